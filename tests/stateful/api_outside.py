"""What happens around the traders: blocks, time, prices, and what the operator does."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from offchain.domain.commands import BatchSettled, Deposited, Tick, WithdrawalRequested, WithdrawalSettled
from offchain.domain.market import USDC
from tests.stateful import api_checks as checks
from tests.stateful.api_asking import names
from tests.stateful.api_orders import symbols, units
from tests.stateful.api_trading import Trading
from tests.stateful.api_world import MAX_OPEN_ORDERS, PRICE_BAND_BPS, TRADERS
from tests.unit.api.derivatives import tell_index
from tests.unit.api.exchange import BTC

steps = st.integers(-4, 4)
ASSETS = {"USDC": USDC, "BTC": BTC.id}

SETTINGS = (
    ("/v1/admin/settings", "maxOpenOrders", 4),
    ("/v1/admin/settings", "maxOpenOrders", MAX_OPEN_ORDERS),
    ("/v1/admin/settings", "priceBandBps", 20),
    ("/v1/admin/settings", "priceBandBps", PRICE_BAND_BPS),
    ("/v1/admin/markets/{symbol}/limit", "quantityLimit", "0.1"),
    ("/v1/admin/markets/{symbol}/limit", "quantityLimit", None),
    ("/v1/admin/markets/{symbol}/leverage", "openingMarginBps", 5_000),
    ("/v1/admin/markets/{symbol}/leverage", "openingMarginBps", None),
)
"""Address, field, value."""


class Outside(Trading):
    """Everything that changes the exchange and is no trader's."""

    def mine(self, *logs: Any) -> None:
        self.world.run(self.world.exchange.block(*logs))
        self.world.catch_up()

    @rule(name=names, asset=st.sampled_from(tuple(ASSETS)), amount=st.integers(1, 10**9))
    def deposit(self, name: str, asset: str, amount: int) -> None:
        tx_hash = self.world.unique()
        self.mine(Deposited(TRADERS[name].address, ASSETS[asset], amount, tx_hash, 0))
        self.credited[asset] += amount

    @rule(name=names, asset=st.sampled_from(tuple(ASSETS)), share=st.integers(1, 110))
    def request_withdrawal(self, name: str, asset: str, share: int) -> None:
        amount = max(1, self._settled(name, asset) * share // 100)
        kind = 0 if asset == "USDC" else 2
        terms = (amount, self.now_ms // 1000, self.world.unique(), 0)
        self.mine(WithdrawalRequested(TRADERS[name].address, kind, ASSETS[asset], *terms))
        self.requests[name, asset] = amount

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def pay_withdrawal(self, data: st.DataObject) -> None:
        name, asset = data.draw(st.sampled_from(sorted(self.requests)))
        requested = self.requests.pop((name, asset))
        paid = min(requested, self._settled(name, asset))
        kind = 0 if asset == "USDC" else 2
        terms = (requested, paid, True, self.world.unique(), 0)
        self.mine(WithdrawalSettled(TRADERS[name].address, kind, ASSETS[asset], *terms))
        self.paid[asset] += paid

    def _settled(self, name: str, asset: str) -> int:
        return units(self.world.listeners[name].knowledge.balances[asset]["settled"], checks.SCALE[asset])

    def _pending(self) -> list[dict[str, Any]]:
        """One side of each fill that waits for the chain, oldest first."""
        fills = {
            fill["tradeId"]: fill
            for name in TRADERS
            for fill in self.world.listeners[name].knowledge.fills.values()
            if fill["settlement"]["state"] == "pending" and fill["role"] == "taker"
        }
        return sorted(fills.values(), key=lambda fill: fill["item"])

    @precondition(lambda self: self._pending())
    @rule(count=st.sampled_from((1, 2, 5, 100)))
    def settle(self, count: int) -> None:
        fills = self._pending()
        count = min(count, len(fills))
        while count < len(fills) and fills[count]["orderId"] == fills[count - 1]["orderId"]:
            count += 1  # an order's fills are not torn apart
        ids = [bytes.fromhex(fill["tradeId"][2:]) for fill in fills[:count]]
        self.batch += 1
        self.mine(BatchSettled(self.batch, self.now_ms // 1000, ids, self.world.unique(), 10**6))
        assert self.world.exchange.core.status().diverged == ""
        assert len(self._pending()) == len(fills) - count

    @rule(step=steps)
    def move_index(self, step: int) -> None:
        self.world.run(tell_index(self.world.exchange, 95_000 + 100 * step))
        self.world.catch_up()

    @rule(milliseconds=st.sampled_from((1, 500, 3_000, 9_000, 20_000, 1_000_000)), index=steps, is_told=st.booleans())
    def wait(self, milliseconds: int, index: int, is_told: bool) -> None:
        """Time passes, perhaps with a new price, and the exchange looks whether something is due, or not yet."""
        self.world.exchange.clock.ms += milliseconds
        if index:
            self.move_index(index)
        if is_told:
            self.world.run(self.world.exchange.submit(Tick()))
            self.world.catch_up()
            checks.check_time(self.world)

    @rule(symbol=st.none() | symbols, reason=st.sampled_from(["maintenance", "maintenance", ""]))
    def halt_or_resume(self, symbol: str | None, reason: str) -> None:
        """A market, or all of them; without a reason nothing is halted."""
        word = "resume" if symbol in self.halted else "halt"
        path = "/v1/admin" if symbol is None else f"/v1/admin/markets/{symbol}"
        before = self.before()
        body = {"reason": reason} if word == "halt" else {}
        answer = self.world.ask("POST", f"{path}/{word}", body, **self.world.administrator())
        if answer.code:
            assert (word, reason) == ("halt", "")
            self.refused(answer, before)
            return
        self.halted ^= {symbol}
        self.world.catch_up()

    @rule(change=st.sampled_from(SETTINGS), symbol=symbols)
    def change_settings(self, change: tuple[str, str, Any], symbol: str) -> None:
        """What is open already stays, whatever the new bounds are."""
        path, name, value = change
        before = self.before()
        path = path.format(symbol=symbol)
        answer = self.world.ask("POST", path, {name: value}, **self.world.administrator())
        if answer.code:
            assert answer.code in ("repeated", "invalidSetting"), answer
        self.world.catch_up()
        assert before is None or checks.fingerprint(self.world) == before
