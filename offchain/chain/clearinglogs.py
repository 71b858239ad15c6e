"""What the Clearinghouse logs in one transaction, taken together."""

from __future__ import annotations

from typing import Any

from offchain.domain.commands import ClearedPosition, ClearingChanged, ClearingPayment, FundingAccrual

CLEARINGHOUSE = "Clearinghouse"


class ClearingLogs:
    """Collects the logs of one transaction in order."""

    def __init__(self) -> None:
        self.positions: list[ClearedPosition] = []
        self.pools: list[tuple[int, int]] = []
        self._funding: list[FundingAccrual] = []
        self._expired: list[tuple[int, int]] = []
        self._payments: list[ClearingPayment] = []
        self._fund = 0

    def add(self, name: str, values: dict[str, Any], log_index: int) -> None:
        """Take an event's values in."""
        market: int = values["market"]
        match name:
            case "PositionChanged":
                terms = (values["size"], values["quote"], values["fundingIndex"])
                self.positions.append(ClearedPosition(_address(values["account"]), market, *terms))
            case "PoolChanged":
                self.pools.append((market, values["pool"]))
            case "FundingAccrued":
                accrual = (values["hour"], values["funding"], values["rate"], values["index"])
                self._funding.append(FundingAccrual(market, *accrual))
            case "MarketExpired":
                self._expired.append((market, values["settlePerLot"]))
            case "Closed":
                self._pay(values["account"], market, values["paid"], log_index)
                self._fund -= values["covered"]
            case "TakenOver":
                self._fund -= values["topUp"]
            case "Exited":
                self._pay(values["account"], market, values["paid"], log_index)
                self._fund -= values["topUp"]
            case "Deleveraged":
                self._pay(values["winner"], market, values["credit"], log_index)

    def changes(self, tx_hash: bytes) -> ClearingChanged:
        """What the transaction did, if it settled no batch."""
        return ClearingChanged(
            tx_hash, self.positions, self.pools, self._funding, self._expired, self._payments, self._fund
        )

    def _pay(self, account: str, market: int, amount: int, log_index: int) -> None:
        if amount:
            self._payments.append(ClearingPayment(_address(account), market, amount, log_index))


def _address(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
