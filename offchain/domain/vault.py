"""What `Vault.settle` does, and changes of a ledger that are collected before anything is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from offchain.domain.batch import NOTHING_SIGNED, SettlementError
from offchain.domain.clearing import PositionState
from offchain.domain.ledger import FLAG_TERM, Changes, ClearingMarket, ExitRequest, LedgerState, Position
from offchain.domain.order import Address

_MAX_SHARES = 2**128 - 1
_MAX_FEES_PAID = 2**56 - 1


@dataclass(frozen=True, slots=True)
class VaultEntry:
    account: Address
    epoch: int
    """compared with the account's unless it is NOTHING_SIGNED"""
    fees: int
    """micro-USDC of fees that are part of `delta`"""
    delta: int
    """change of the account's micro-USDC"""


class Draft:
    """New values on top of a ledger, which stays as it is."""

    def __init__(self, state: LedgerState) -> None:
        self._state = state
        self.last_hour = state.last_hour
        self._usdc: dict[Address, int] = {}
        self._fees_paid: dict[Address, int] = {}
        self._clearing: dict[int, ClearingMarket] = {}
        self._positions: dict[Position, PositionState] = {}
        self._exits: dict[Position, ExitRequest | None] = {}
        self._flags: dict[Position, int | None] = {}

    def changes(self) -> Changes:
        return Changes(
            self._usdc,
            self._fees_paid,
            self._clearing,
            self._positions,
            self._exits,
            self._flags,
            self.last_hour,
        )

    # Values -----------------------------------------------------------------------------------------------------------

    def usdc(self, account: Address) -> int:
        return self._usdc.get(account, self._state.usdc.get(account, 0))

    def market(self, market: int) -> ClearingMarket:
        return self._clearing.get(market) or self._state.clearing.get(market, ClearingMarket())

    def set_market(self, market: int, value: ClearingMarket) -> None:
        self._clearing[market] = value

    def position(self, position: Position) -> PositionState:
        return self._positions.get(position) or self._state.positions.get(position, PositionState())

    def set_position(self, position: Position, value: PositionState) -> None:
        self._positions[position] = value

    def exit_of(self, position: Position, clock: int) -> ExitRequest | None:
        """The exit request that counts at `clock`, if there is one."""
        request = self._exits.get(position, self._state.exits.get(position))
        return None if request is None or request.has_ended(clock) else request

    def set_exit(self, position: Position, request: ExitRequest) -> None:
        self._exits[position] = request

    def flag_of(self, position: Position, clock: int) -> int | None:
        """When the position was flagged, if that counts at `clock`."""
        time = self._flags.get(position, self._state.flags.get(position))
        return None if time is None or clock >= time + FLAG_TERM else time

    def set_flag(self, position: Position, time: int | None) -> None:
        self._flags[position] = time

    def end_requests(self, position: Position) -> None:
        """What was asked of a position ends with it."""
        if position in self._exits or position in self._state.exits:
            self._exits[position] = None
        if position in self._flags or position in self._state.flags:
            self._flags[position] = None

    # The Vault --------------------------------------------------------------------------------------------------------

    def settle(self, entries: Sequence[VaultEntry]) -> None:
        """`Vault.settle`: entries one after the other, also of the same account. Raises SettlementError."""
        total = 0
        for index, entry in enumerate(entries):
            if entry.epoch not in (NOTHING_SIGNED, self._state.epochs.get(entry.account, 0)):
                raise SettlementError("StaleEpoch", (index,))
            shares = self.usdc(entry.account) + entry.delta
            if shares < 0:
                raise SettlementError("InsufficientBalance", (index,))
            if shares > _MAX_SHARES:
                raise SettlementError("SharesOverflow", ("0x" + entry.account.hex(),))
            self._usdc[entry.account] = shares
            paid = self._fees_paid.get(entry.account, self._state.fees_paid.get(entry.account, 0))
            if entry.fees:
                self._fees_paid[entry.account] = min(paid + entry.fees, _MAX_FEES_PAID)
            total += entry.delta
        if total:
            raise SettlementError("UnbalancedDeltas", (total,))
