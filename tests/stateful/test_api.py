"""The whole interface under random sequences of valid and invalid requests by several traders.

What is checked after every step needs no knowledge of how the exchange decides: see `api_checks`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from offchain.domain.market import USDC
from tests import strategies
from tests.stateful import api_checks as checks
from tests.stateful.api_asking import as_answer, names, transports
from tests.stateful.api_orders import Intent, symbols
from tests.stateful.api_outside import Outside
from tests.stateful.api_trading import wishes
from tests.stateful.api_world import TRADERS
from tests.unit.api.exchange import BTC

steps = st.integers(-4, 4)
ASSETS = {"USDC": USDC, "BTC": BTC.id}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The service's log of refusals is long, and says less than what goes over the wire."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


class ApiMachine(Outside):
    """What everybody may do, what happens meanwhile, and what must be true after each step."""

    # -----------------------------------------------------------------------------------------------------------------
    # Getting out
    # -----------------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), name=st.none() | names, by_socket=transports)
    def cancel(self, data: st.DataObject, name: str | None, by_socket: bool) -> None:
        """An order that was placed, by its owner or by somebody else."""
        placement, _ = data.draw(st.sampled_from(self.sent))
        name = name or placement.name
        trader, order_id = TRADERS[name], placement.order_id
        known = self.world.listeners[placement.name].knowledge.open_orders().get(order_id)
        body = {"account": trader.account, "signature": trader.sign_cancel(order_id)}
        before = self.before()
        if by_socket:
            answer = as_answer(self.world.send(name, op="cancel", orderId=order_id, **body), "order", 200)
        else:
            answer = self.world.ask("DELETE", f"/v1/orders/{order_id}", body)
        if name != placement.name:
            assert answer.code == "unknownOrder", answer
        elif before is not None:
            assert (not answer.code) == (known is not None), (known, answer)
        if answer.code:
            assert answer.code in ("unknownOrder", "orderNotOpen")
            self.refused(answer, before)
        else:
            assert answer.body["status"] == "canceled"
            assert known is not None
            assert (answer.body["filled"], answer.body["remaining"]) == (known["filled"], known["remaining"])
        self.world.catch_up()

    @rule(
        name=names,
        market=st.none() | symbols | st.just("DOGE-USDC"),
        side=st.sampled_from([None, None, "buy", "sell", "both"]),
        by_socket=transports,
    )
    def cancel_many(self, name: str, market: str | None, side: str | None, by_socket: bool) -> None:
        knowledge = self.world.listeners[name].knowledge
        chosen = {"market": market, "side": side}
        filters = {key: value for key, value in chosen.items() if value is not None}
        expected = {
            key
            for key, order in knowledge.open_orders().items()
            if market in (None, order["market"]) and side in (None, order["side"])
        }
        before, tail = self.before(), self.world.exchange.sequencer.tail()
        if by_socket:
            answer = as_answer(self.world.send(name, op="cancelAll", **filters), None, 200)
        else:
            query = "&".join(f"{key}={value}" for key, value in filters.items())
            path = "/v1/orders" + (f"?{query}" if query else "")
            headers = self.world.key()
            answer = self.world.ask("DELETE", path, by=name, **headers)
            again = self.world.ask("DELETE", path, by=name, **headers)
            assert answer.code or again.raw == answer.raw
        if market == "DOGE-USDC" or side == "both":
            assert answer.code in ("unknownMarket", "invalidSide")
            self.refused(answer, before, tail)
            return
        assert answer.body["remaining"] == 0
        canceled = set(answer.body["orderIds"])
        assert canceled == expected if before is not None else canceled <= expected
        self.world.catch_up()
        assert not canceled & knowledge.open_orders().keys()

    @rule(name=names, seconds=st.sampled_from([0, 1, 5, 30, -1, 86_401]), by_socket=transports)
    def cancel_after(self, name: str, seconds: int, by_socket: bool) -> None:
        before, tail = self.before(), self.world.exchange.sequencer.tail()
        if by_socket:
            answer = as_answer(self.world.send(name, op="cancelAfter", seconds=seconds), None, 200)
        else:
            answer = self.world.ask("PUT", "/v1/cancel-after", {"seconds": seconds}, by=name)
        if not 0 <= seconds <= 86_400:
            assert answer.code == "invalidDeadline"
            self.refused(answer, before, tail)
            return
        at = self.now_ms + 1000 * seconds if seconds else None
        assert answer.body["cancelsAt"] == at
        self.world.catch_up()
        assert self.world.listeners[name].knowledge.cancels_at == at

    @rule(name=names, enabled=st.sampled_from([True, True, False]))
    def watch(self, name: str, enabled: bool) -> None:
        answer = self.world.send(name, op="cancelOnDisconnect", enabled=enabled)
        assert answer["enabled"] is enabled
        self.world.entry(name).watched = enabled
        self.world.catch_up()

    @precondition(lambda self: self.world.entries)
    @rule(data=st.data())
    def hang_up(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.world.entries))
        before = self.before()
        self.world.hang_up(entry)
        self.world.catch_up()
        if entry.watched:
            assert not self.world.listeners[entry.name].knowledge.open_orders()
        elif before is not None:
            assert checks.fingerprint(self.world) == before

    # -----------------------------------------------------------------------------------------------------------------
    # Who asks
    # -----------------------------------------------------------------------------------------------------------------

    @rule(name=names, stranger=names)
    def read_as_a_stranger(self, name: str, stranger: str) -> None:
        world, tail = self.world, self.world.exchange.sequencer.tail()
        assert world.ask("GET", "/v1/balances").code == "authenticationRequired"
        ended = {"Authorization": f"Bearer {world.ended_token(name)}"}
        assert world.ask("GET", "/v1/balances", **ended).code == "invalidToken"
        assert world.ask("PUT", "/v1/cancel-after", {"seconds": 5}, **ended).code == "invalidToken"
        assert world.ask("GET", "/v1/orders?limit=0", by=name).code == "invalidParameter"
        assert world.ask("GET", "/v1/fills?cursor=abc", by=name).code == "invalidCursor"
        assert world.ask("DELETE", "/v1/orders", by=name).code == "missingIdempotencyKey"
        if stranger != name:
            account = TRADERS[name].account
            assert world.ask("GET", f"/v1/orders?account={account}", by=stranger).code == "notYourAccount"
            for order_id in list(world.listeners[name].knowledge.orders)[-1:]:
                assert world.ask("GET", f"/v1/orders/{order_id}", by=stranger).code == "unknownOrder"
        assert world.ask("POST", "/v1/admin/halt", {"reason": "mine"}, by=name, **world.key()).code == "invalidToken"
        self._sign_in(name)
        assert world.exchange.sequencer.tail() == tail

    def _sign_in(self, name: str) -> None:
        world, trader = self.world, TRADERS[name]
        text = world.ask("POST", "/v1/auth/challenge", {"account": trader.account}).body["message"]
        body = {"message": text, "signature": trader.sign_text(text)}
        answer = world.ask("POST", "/v1/auth/sessions", body)
        assert answer.status == 201, answer
        token = {"Authorization": f"Bearer {answer.body['token']}"}
        assert world.ask("GET", "/v1/balances", **token).body["account"] == trader.account
        assert world.ask("POST", "/v1/auth/sessions", body).code == "unknownChallenge"
        assert world.ask("DELETE", "/v1/auth/sessions/current", **token).status == 204
        assert world.ask("GET", "/v1/balances", **token).code == "invalidToken"

    @rule(name=names, scopes=st.sampled_from([["read"], ["cancel"], ["read", "cancel"], ["trade"], []]))
    def create_key(self, name: str, scopes: list[str]) -> None:
        headers, body = self.world.key(), {"label": "bot", "scopes": scopes}
        before = self.before()
        answer = self.world.ask("POST", "/v1/keys", body, by=name, **headers)
        assert self.world.ask("POST", "/v1/keys", body, by=name, **headers).raw == answer.raw or answer.code
        if answer.code:
            assert answer.code in ("invalidValue", "tooManyApiKeys"), answer
            self.refused(answer, before)
        else:
            assert self.world.ask("POST", "/v1/keys", {**body, "label": "b"}, by=name, **headers).code == (
                "idempotencyKeyReused"
            )
            self.keys.append((name, answer.body["key"]["id"], answer.body["secret"], scopes))
        self.world.catch_up()

    @precondition(lambda self: self.keys)
    @rule(data=st.data(), is_revoked=st.booleans())
    def use_key(self, data: st.DataObject, is_revoked: bool) -> None:
        key = data.draw(st.sampled_from(self.keys))
        name, key_id, secret, scopes = key
        token = {"Authorization": f"Bearer {secret}"}
        if is_revoked:
            answer = self.world.ask("DELETE", f"/v1/keys/{key_id}", by=name, **self.world.key())
            assert answer.body["status"] == "revoked"
            self.keys.remove(key)
        read = self.world.ask("GET", "/v1/balances", **token)
        cancel = self.world.ask("DELETE", "/v1/orders?side=sell", **token, **self.world.key())
        for scope, answer in (("read", read), ("cancel", cancel)):
            wanted = "invalidToken" if is_revoked else "" if scope in scopes else "insufficientScope"
            assert answer.code == wanted
        assert self.world.ask("GET", "/v1/keys", **token).code == (
            "invalidToken" if is_revoked else "insufficientScope"
        )
        self.world.catch_up()

    # -----------------------------------------------------------------------------------------------------------------
    # Starting again, and reading again
    # -----------------------------------------------------------------------------------------------------------------

    @rule(is_crash=st.booleans(), at=st.sampled_from((0.0, 0.5, 1.0, 1.0)), silent=st.none() | names)
    def restart(self, is_crash: bool, at: float, silent: str | None) -> None:
        """`silent`: who has set a deadline before, and does not put it off afterwards."""
        if silent is not None:
            self.cancel_after(silent, 30, by_socket=False)
        self.world.catch_up()
        watched = {entry.name for entry in self.world.entries if entry.watched}
        before = None if watched or self.before() is None else checks.visible(self.world)
        self.world.restart(is_crash=is_crash, at=at)
        self.world.catch_up()
        if before is not None:
            assert checks.visible(self.world) == before
        for name in watched:
            assert not self.world.listeners[name].knowledge.open_orders()
        if silent is not None:
            self.wait(31_000, 0, is_told=True)

    @rule(name=names | st.just("public"), wanted=wishes)
    def miss(self, name: str, wanted: list[tuple[str, Intent, bool]]) -> None:
        """Something happens while one is not connected."""
        self.world.lose(name)
        self.place(wanted)
        self.world.listen_again(name)
        self.world.catch_up()

    @rule(name=names, share=st.floats(0, 1))
    def read_again(self, name: str, share: float) -> None:
        checks.check_snapshot(self.world, name)
        checks.check_replay(self.world, name, int(share * self.world.exchange.sequencer.tail()))

    # -----------------------------------------------------------------------------------------------------------------
    # What always holds
    # -----------------------------------------------------------------------------------------------------------------

    @invariant()
    def everybody_sees_the_same(self) -> None:
        all_open = checks.check_accounts(self.world, self.desk, self.waiting)
        checks.check_books(self.world, all_open)
        checks.check_money(self.world, self.credited, self.paid)


ApiMachine.TestCase.settings = settings(
    strategies.PROFILE,
    max_examples=strategies.PROFILE.max_examples // 4,
    stateful_step_count=strategies.PROFILE.stateful_step_count // 2,
)
TestApi = ApiMachine.TestCase
