"""Asking the exchange: what may be answered, and what a refusal must leave."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from tests.stateful import api_checks as checks
from tests.stateful.api_orders import LOTS_PER_BTC, Desk, Placement, units
from tests.stateful.api_world import DOCUMENTED, TRADERS, Answer, World

names = st.sampled_from(tuple(TRADERS))
transports = st.booleans()

DECIDED = {
    *("marketNotActive", "priceUnavailable", "settlementBacklog", "insufficientBalance", "insufficientMargin"),
    *("poolShort", "priceOutsideBand", "postOnlyWouldCross", "nothingToReduce", "tooManyOrders", "staleNonce"),
    *("nonceReused", "duplicateClientOrderId", "orderExpired", "expectFilledMismatch", "orderNotOpen"),
    "invalidQuantity",
}
"""Why the engine may refuse an order that is well-formed."""

UNREMEMBERED = {"staleNonce", "nonceReused"}
"""Refusals that leave the nonce as it was."""


class Asking(RuleBasedStateMachine):
    """Sends requests, and knows what answers to them are possible."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.desk = Desk()
        self.waiting: set[str] = set()
        """orders that were answered to wait"""
        self.sent: list[tuple[Placement, Answer]] = []
        self.halted: set[str | None] = set()
        """None: all of them"""
        self.credited = Counter({"USDC": 60_000 * 10**6, "BTC": 30_000_000})
        self.paid: Counter[str] = Counter()
        self.requests: dict[tuple[str, str], int] = {}
        self.batch = 0
        self.keys: list[tuple[str, str, str, list[str]]] = []
        self.world.catch_up()

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:  # else a step has failed, and that is what is to be told
                checks.check_history(self.world)
                for name in TRADERS:
                    checks.check_replay(self.world, name, 0)
        finally:
            self.world.close()

    @property
    def now_ms(self) -> int:
        return self.world.exchange.clock.ms

    def is_halted(self, symbol: str) -> bool:
        return bool(self.halted & {symbol, None})

    def refused(self, answer: Answer, before: Any, tail: int | None = None) -> None:
        """A refusal changes nothing; one of form, given the last event before it, does not even reach the engine."""
        assert answer.code, answer
        if tail is not None:
            assert self.world.exchange.sequencer.tail() == tail
        if before is not None:
            self.world.catch_up()
            assert checks.fingerprint(self.world) == before, "a refusal has changed something"

    def before(self) -> Any:
        """What a refusal must leave; None while time has come for something that any command brings with it."""
        if self.world.exchange.core.is_due(self.now_ms):
            return None
        return checks.fingerprint(self.world)

    def submit(self, placement: Placement, *, by_socket: bool, replaces: str | None = None) -> Answer:
        if by_socket:
            operation = {"op": "place"} if replaces is None else {"op": "replace", "orderId": replaces}
            said = self.world.send(placement.name, **operation, order=placement.body)
            return as_answer(said, "order", 201)
        if replaces is None:
            return self.world.ask("POST", "/v1/orders", placement.body)
        return self.world.ask("PUT", f"/v1/orders/{replaces}", placement.body)

    def decided(self, placement: Placement, answer: Answer, before: Any) -> None:
        """What the engine may answer to an order that is well-formed."""
        self.sent.append((placement, answer))
        if answer.code:
            assert answer.code in DECIDED, answer
            if answer.code not in UNREMEMBERED:
                self.desk.used(placement)
                assert answer.body["orderId"] == placement.order_id
            self.refused(answer, before)
            return
        assert answer.status in (200, 201)
        assert not self.is_halted(placement.market.symbol)
        if answer.status == 200:
            return  # the answer of another time
        self.desk.used(placement)
        self.accepted(placement, answer.body)

    def accepted(self, placement: Placement, body: dict[str, Any]) -> None:
        order, terms, fills = placement.order, placement.body, body.get("fills", [])
        assert body["orderId"] == placement.order_id
        lots, filled, remaining = (
            order.quantity,
            units(body["filled"], LOTS_PER_BTC),
            units(body["remaining"], LOTS_PER_BTC),
        )
        assert filled == sum(units(fill["quantity"], LOTS_PER_BTC) for fill in fills)
        assert filled + remaining == lots or (order.reduce_only and filled + remaining < lots)
        for fill in fills:
            price = units(fill["price"], 10)
            assert price <= order.price if order.side == 0 else price >= order.price
        status, tif = body["status"], terms["timeInForce"]
        if body.get("waiting"):
            assert (status, filled) == ("open", 0)
            assert "trigger" in terms
            self.waiting.add(placement.order_id)
            return
        if terms.get("postOnly"):
            assert status == "open"
        if tif in ("IOC", "FOK"):
            assert status in ("filled", "canceled")
        if tif == "FOK":
            assert filled in (0, lots)
        assert (status == "filled") == (remaining == 0)
        if status == "canceled":
            assert body["code"] in ("iocRemainder", "fokUnfilled", "selfTrade"), body


def as_answer(said: dict[str, Any], field: str | None, status: int) -> Answer:
    """What a socket answered, as HTTP would have."""
    if said["op"] == "error":
        return Answer(DOCUMENTED[said["code"]], said)
    return Answer(status, said if field is None else said[field])
