"""Rules of traders who place and replace orders, well and badly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from offchain.chain import eip712
from tests.stateful import api_checks as checks
from tests.stateful.api_asking import DECIDED, Asking, as_answer, names, transports
from tests.stateful.api_orders import FAULTS, LOTS_PER_BTC, Intent, Placement, array_of, intents, quotes, taking, units
from tests.stateful.api_world import DOCUMENTED, TRADERS, Answer
from tests.unit.api.exchange import BTC_USDC, DOMAIN, ENGINE, FEE_BPS

ELSEWHERE = eip712.Domain(1, ENGINE)
"""Another chain."""

faults = st.none() | st.sampled_from(sorted(FAULTS))
wishes = st.lists(st.tuples(names, st.one_of(intents, taking()), transports), min_size=3, max_size=8)
"""who, what, and whether over a socket"""

mistakes = st.lists(faults, min_size=4, max_size=8)


IMPOSSIBLE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "invalidPostOnly": ({"time_in_force": 2, "expiry": 60}, {"postOnly": True}),
    "reduceOnlySpot": ({"reduce_only": True}, {}),
    "feeAboveCap": ({"max_fee_bps": FEE_BPS - 1}, {}),
    "staleEpoch": ({"epoch": 1}, {}),
    "invalidNonce": ({"nonce": (None, 2**32 - 1)}, {}),
    "nonceKeyMarket": ({"nonce": (10, None)}, {}),
    "expectFilledMismatch": ({"nonce": (9, None)}, {"expectFilled": "0"}),
}
"""By the code with which the engine refuses them: what is signed instead, and what comes with it unsigned."""

impossible = st.sampled_from(sorted(IMPOSSIBLE))


class Trading(Asking):
    """Orders, one by one and together, new ones and successors."""

    @initialize()
    def quote(self) -> None:
        """So that whoever comes meets somebody."""
        for name, spread, lots in (("maker", 1, 50), ("other", 2, 200)):
            self.place_array(name, quotes(spread, lots), by_socket=False)

    @rule(wanted=wishes)
    def place(self, wanted: list[tuple[str, Intent, bool]]) -> None:
        for who, intent, by_socket in wanted:
            placement = self.desk.sign(who, intent, self.now_ms)
            before = self.before()
            self.decided(placement, self.submit(placement, by_socket=by_socket), before)
            self.world.catch_up()

    @rule(wanted=st.lists(st.tuples(names, taking(), transports), min_size=2, max_size=6))
    def take(self, wanted: list[tuple[str, Intent, bool]]) -> None:
        self.place(wanted)

    @precondition(lambda self: self._held())
    @rule(data=st.data(), share=st.integers(1, 120))
    def protect(self, data: st.DataObject, share: int) -> None:
        """Let reduce-only orders close a position later, and close a share (per cent) of it at once."""
        name, symbol, lots = data.draw(st.sampled_from(self._held()))
        side, against, far = ("sell", "buy", 4) if lots > 0 else ("buy", "sell", -4)
        part = max(1, abs(lots) * share // 100)
        terms = {"symbol": symbol, "is_market": False, "jump": 1, "life": 60}
        resting = Intent(side=side, step=far, lots=abs(lots), time_in_force="GTC", key=4, reduce_only=True, **terms)
        taken = Intent(side=against, step=-far // 4, lots=part, time_in_force="GTC", key=3, reduce_only=False, **terms)
        closing = Intent(side=side, step=-far, lots=part, time_in_force="IOC", key=5, reduce_only=False, **terms)
        another = next(each for each in TRADERS if each != name)
        self.place([(name, resting, False), (another, taken, False), (name, closing, True)])

    def _held(self) -> list[tuple[str, str, int]]:
        """Positions: whose, in which market, lots."""
        return [
            (name, symbol, units(row["size"], LOTS_PER_BTC))
            for name in TRADERS
            for symbol, row in self.world.listeners[name].knowledge.positions.items()
            if row["size"] != "0"
        ]

    @rule(name=names, wanted=st.lists(intents, min_size=2, max_size=4), by_socket=transports)
    def place_array(self, name: str, wanted: list[Intent], by_socket: bool) -> None:
        placements = self._distinct(name, wanted)
        if len(placements) < 2:
            return
        array = array_of(placements)
        if by_socket:
            answer = as_answer(self.world.send(name, op="placeArray", array=array), None, 200)
        else:
            answer = self.world.ask("POST", "/v1/orders/array", array)
        self._decided_together(placements, answer)

    @rule(name=names, wanted=st.lists(intents, min_size=1, max_size=4), fault=st.sampled_from([None, None, *FAULTS]))
    def place_batch(self, name: str, wanted: list[Intent], fault: str | None) -> None:
        """One of them may be wrong, which keeps the others from nothing."""
        placements = self._distinct(name, wanted)
        bodies = [placement.body for placement in placements]
        wrong = None
        if fault is not None:
            change, code, _ = FAULTS[fault]
            changed = change(self._spoiled(name, wanted[0]))
            if isinstance(changed, dict) and fault != "too much":
                bodies.insert(0, changed)
                wrong = code
        answer = self.world.ask("POST", "/v1/orders/batch", {"orders": bodies}, **self.world.key())
        assert answer.status == 200, answer
        if wrong is not None:
            problem = answer.body["results"].pop(0)["problem"]
            assert (problem["code"], problem["status"]) == (wrong, DOCUMENTED[wrong])
        self._decided_together(placements, answer)

    def _spoiled(self, name: str, intent: Intent) -> dict[str, Any]:
        """The body of an order that is sent to be refused."""
        return self.desk.sign(name, replace(intent, jump=1, trigger=None), self.now_ms).body

    def _distinct(self, name: str, wanted: list[Intent]) -> list[Placement]:
        """Signed, one of each nonce key: each has the sequence that follows the latest."""
        chosen = {self.desk.key_of(intent): intent for intent in wanted}
        return [self.desk.sign(name, intent, self.now_ms) for intent in chosen.values()]

    def _decided_together(self, placements: list[Placement], answer: Answer) -> None:
        assert answer.status == 200, answer
        for placement, entry in zip(placements, answer.body["results"], strict=True):
            assert (entry["order"] is None) != (entry["problem"] is None)
            if entry["order"] is None:
                problem = entry["problem"]
                assert DOCUMENTED[problem["code"]] == problem["status"]
                self.decided(placement, Answer(problem["status"], problem), None)
            elif not self._is_old(placement):
                self.decided(placement, Answer(201, entry["order"]), None)
        self.world.catch_up()

    def _is_old(self, placement: Placement) -> bool:
        """Whether its nonce was used before, so that its answer is that of another time."""
        return any(sent.order_id == placement.order_id for sent, _ in self.sent)

    @precondition(lambda self: self.sent)
    @rule(
        data=st.data(),
        intent=intents,
        which=st.sampled_from(("any", "open", "partiallyFilled", "partiallyFilled")),
        expected=st.sampled_from([None, "0", "0", "right"]),
        by_socket=transports,
    )
    def replace(self, data: st.DataObject, intent: Intent, which: str, expected: str | None, by_socket: bool) -> None:
        """PUT: an open order is replaced, and nothing is placed if it has ended."""
        found = [placement for placement, _ in self.sent if which in ("any", self._status_of(placement))]
        old = data.draw(st.sampled_from(found or [placement for placement, _ in self.sent]))
        known = self.world.listeners[old.name].knowledge.open_orders().get(old.order_id)
        intent = replace(intent, symbol=old.market.symbol, key=(old.order.nonce >> 32) % 10, jump=1, trigger=None)
        if expected == "right":
            expected = known["filled"] if known is not None else "0"
        if expected is not None:
            intent = replace(intent, unsigned={**intent.unsigned, "expectFilled": expected})
        placement = self.desk.sign(old.name, intent, self.now_ms)
        before = self.before()
        answer = self.submit(placement, by_socket=by_socket, replaces=old.order_id)
        if known is None and answer.code != "marketNotActive":
            assert answer.code in DECIDED - {"insufficientBalance", "postOnlyWouldCross"}, answer
        if known is not None and expected is not None and before is not None:
            if units(known["filled"], LOTS_PER_BTC) == units(expected, LOTS_PER_BTC):
                assert answer.code != "expectFilledMismatch"
            else:
                assert answer.code, "it was to be replaced only if it had not filled"
        self.decided(placement, answer, before)
        self.world.catch_up()
        if not answer.code:
            ended = self.world.listeners[old.name].knowledge.orders[old.order_id]
            assert (ended["status"], ended["code"]) == ("canceled", "replaced")

    def _status_of(self, placement: Placement) -> str | None:
        order = self.world.listeners[placement.name].knowledge.orders.get(placement.order_id)
        return order["status"] if order is not None else None

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), by_socket=transports)
    def send_again(self, data: st.DataObject, by_socket: bool) -> None:
        """The same bytes are executed once."""
        placement, first = data.draw(st.sampled_from(self.sent))
        before = self.before()
        answer = self.submit(placement, by_socket=by_socket)
        self.world.catch_up()
        order = placement.order
        latest = self.desk.latest.get((placement.name, order.nonce >> 32), -1)
        if before is not None:
            assert checks.fingerprint(self.world) == before
        if order.nonce & 0xFFFF_FFFF < latest:
            assert answer.code in ("staleNonce", "orderExpired"), answer
        elif answer.code not in ("orderExpired", "nonceReused", "staleNonce"):
            assert answer.code == first.code, (first, answer)
            if not answer.code:
                assert answer.body == first.body

    @rule(
        name=names, intent=intents, signer=names, wrong=st.lists(faults, min_size=4, max_size=8), by_socket=transports
    )
    def place_wrongly(self, name: str, intent: Intent, signer: str, wrong: list[str | None], by_socket: bool) -> None:
        for fault in wrong:
            if fault is None:
                self._forge(name, signer, intent, by_socket)
            else:
                self._spoil(name, intent, fault, by_socket)

    def _spoil(self, name: str, intent: Intent, fault: str, by_socket: bool) -> None:
        """Change a signed body; what is wrong with it is told by code and name."""
        change, code, param = FAULTS[fault]
        body = change(self._spoiled(name, intent))
        before, tail = self.before(), self.world.exchange.sequencer.tail()
        if by_socket and isinstance(body, dict) and fault != "too much":
            answer = as_answer(self.world.send(name, op="place", order=body), "order", 201)
        else:
            answer = self.world.ask("POST", "/v1/orders", body)
        assert (answer.code, answer.body["param"]) == (code, param), answer
        self.refused(answer, before, tail)

    @rule(
        name=st.sampled_from(("maker", "other")),
        intent=intents,
        code=st.sampled_from(sorted(IMPOSSIBLE)),
        by_socket=transports,
    )
    def place_impossibly(self, name: str, intent: Intent, code: str, by_socket: bool) -> None:
        """Well signed, and refused by the engine for what is signed; what the key has open goes on."""
        changes, unsigned = IMPOSSIBLE[code]
        intent = replace(intent, symbol=BTC_USDC.symbol, lots=1, jump=1, trigger=None, unsigned={}, time_in_force="GTC")
        placement = self.desk.sign(name, intent, self.now_ms, **self._signed(name, intent, changes))
        placement.body |= unsigned
        before = self.before()
        answer = self.submit(placement, by_socket=by_socket)
        assert answer.code == ("marketNotActive" if self.is_halted(intent.symbol) else code), answer
        if code != "invalidNonce":  # which is not remembered
            self.desk.used(placement)
            self.sent.append((placement, answer))
        self.refused(answer, before)
        again = self.submit(placement, by_socket=by_socket)
        assert again.code == answer.code or answer.code == "marketNotActive"
        self.refused(again, before)

    def _signed(self, name: str, intent: Intent, changes: dict[str, Any]) -> dict[str, Any]:
        """`nonce` of changes: which key, in place of the intent's, and which sequence if it is not the next."""
        changes = dict(changes)
        if "nonce" in changes:
            key, sequence = changes["nonce"]
            key = self.desk.key_of(intent) if key is None else key
            changes["nonce"] = key << 32 | (sequence or self.desk.latest.get((name, key), 0) + 1)
        if "expiry" in changes:
            changes["expiry"] += self.now_ms // 1000
        return changes

    def _forge(self, name: str, signer: str, intent: Intent, by_socket: bool) -> None:
        """Another trader signs, or the account itself for another chain."""
        placement = self.desk.sign(name, intent, self.now_ms)
        domain = ELSEWHERE if signer == name else DOMAIN
        placement.body["signature"] = TRADERS[signer].sign(placement.order, domain)
        before, tail = self.before(), self.world.exchange.sequencer.tail()
        answer = self.submit(placement, by_socket=by_socket)
        assert (answer.code, answer.body["param"]) == ("signerMismatch", "signature")
        self.refused(answer, before, tail)
