"""Transactions that the service sends for traders: what is taken, what it does at once, when it may be sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchain.domain.actions import (
    MAX_ENDED,
    MAX_HASHES,
    MAX_PENDING_OF_ACCOUNT,
    OPERATOR,
    Action,
    ActionStatus,
    ScheduleFee,
    SignedCancelAll,
    SignedDelegate,
)
from offchain.domain.commands import (
    ActionEnded,
    ActionSent,
    ChainRollback,
    Command,
    DelegateSet,
    RequestAction,
    WithdrawalNonceUsed,
    WithdrawalRequested,
)
from offchain.domain.core import Core
from offchain.domain.errors import Code
from offchain.domain.events import ActionUpdate
from offchain.domain.order import Address
from offchain.domain.results import ActionResult
from tests.utils.exchange import BTC, BUY, MAKER, OTHER, START_MS, TAKER, USDC, Exchange, digest
from tests.utils.relaying import LATER, SIGNATURE, STRANGER, code_of, end, id_of, ready, request, withdrawal

# ---------------------------------------------------------------------------------------------------------------------
# The way of an action
# ---------------------------------------------------------------------------------------------------------------------


def test_an_action_is_requested_sent_and_ended(exchange: Exchange) -> None:
    action = withdrawal()
    action_id = id_of(action)
    assert request(exchange, action) == ActionResult(action_id, ActionStatus.REQUESTED)
    assert exchange.of(ActionUpdate) == [
        ActionUpdate(action_id, MAKER, "withdrawal", ActionStatus.REQUESTED, action=action)
    ]
    exchange.run(ActionSent(action_id, b"\x01" * 32))
    assert exchange.of(ActionUpdate)[0].tx_hash == b"\x01" * 32
    exchange.run(ActionSent(action_id, b"\x02" * 32))
    (due,) = exchange.core.due_actions()
    assert (due.hashes, due.is_ready) == ((b"\x01" * 32, b"\x02" * 32), True)
    exchange.run(ActionEnded(action_id, ActionStatus.SETTLED, tx_hash=b"\x01" * 32))
    assert [(one.status, one.tx_hash) for one in exchange.of(ActionUpdate)] == [("settled", b"\x01" * 32)]
    assert exchange.core.due_actions() == []


def test_the_same_again_tells_how_it_stands(exchange: Exchange) -> None:
    action = withdrawal()
    request(exchange, action)
    assert request(exchange, action) == ActionResult(id_of(action), ActionStatus.REQUESTED, repeated=True)
    exchange.run(ActionSent(id_of(action), b"\x01" * 32))
    assert request(exchange, action) == ActionResult(id_of(action), ActionStatus.SENT, "", b"\x01" * 32, True)
    end(exchange, action, "settled")
    assert request(exchange, action) == ActionResult(id_of(action), ActionStatus.SETTLED, "", b"\x01" * 32, True)
    assert exchange.core.due_actions() == []


@pytest.mark.parametrize("status", ["refused", "failed", "needsOwner"])
def test_what_was_not_done_may_be_asked_for_again(exchange: Exchange, status: str) -> None:
    request(exchange, withdrawal())
    end(exchange, withdrawal(), status)
    assert request(exchange, withdrawal()) == ActionResult(id_of(withdrawal()), ActionStatus.REQUESTED)
    assert len(exchange.core.due_actions()) == 1


def test_the_worker_is_told_of_what_it_repeats(exchange: Exchange) -> None:
    action = withdrawal()
    assert code_of(exchange.run(ActionSent(id_of(action), b"\x01" * 32))) == Code.UNKNOWN_ACTION
    request(exchange, action)
    exchange.run(ActionSent(id_of(action), b"\x01" * 32))
    assert code_of(exchange.run(ActionSent(id_of(action), b"\x01" * 32))) == Code.REPEATED
    end(exchange, action, "settled")
    assert code_of(end(exchange, action, "settled")) == Code.REPEATED
    assert code_of(end(exchange, action, "refused")) == Code.UNKNOWN_ACTION


def test_hashes_are_bounded(exchange: Exchange) -> None:
    request(exchange, withdrawal())
    for number in range(MAX_HASHES + 1):
        exchange.run(ActionSent(id_of(withdrawal()), bytes([number]) * 32))
    (due,) = exchange.core.due_actions()
    assert [tx_hash[0] for tx_hash in due.hashes] == list(range(1, MAX_HASHES + 1))


# ---------------------------------------------------------------------------------------------------------------------
# Who may ask
# ---------------------------------------------------------------------------------------------------------------------


def test_a_stranger_is_refused(exchange: Exchange) -> None:
    assert code_of(request(exchange, SignedDelegate(OTHER, LATER, 0, SIGNATURE), STRANGER)) == Code.ACCOUNT_NOT_FUNDED
    assert STRANGER not in set(exchange.core.accounts())


def test_an_account_without_balance_is_refused(exchange: Exchange) -> None:
    exchange.mine(exchange.deposited(STRANGER, USDC, 0))
    assert code_of(request(exchange, SignedCancelAll(0, SIGNATURE), STRANGER)) == Code.ACCOUNT_NOT_FUNDED


def test_pending_actions_of_an_account_are_bounded(exchange: Exchange) -> None:
    for nonce in range(MAX_PENDING_OF_ACCOUNT):
        assert code_of(request(exchange, withdrawal(nonce, amount=1))) == ""
    assert code_of(request(exchange, withdrawal(MAX_PENDING_OF_ACCOUNT, amount=1))) == Code.TOO_MANY_ACTIONS
    assert code_of(request(exchange, withdrawal(amount=1), TAKER)) == ""


def test_pending_actions_are_bounded(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offchain.domain.relay.MAX_PENDING", 1)
    request(exchange, withdrawal())
    assert code_of(request(exchange, withdrawal(), TAKER)) == Code.ACTION_BACKLOG


def test_traders_may_not_ask_for_what_is_the_administrators(exchange: Exchange) -> None:
    fee = ScheduleFee(10, LATER)
    assert code_of(request(exchange, fee, MAKER)) == Code.NOT_OWNER
    assert code_of(request(exchange, withdrawal(), OPERATOR)) == Code.NOT_OWNER
    assert request(exchange, fee, OPERATOR) == ActionResult(id_of(fee, OPERATOR), ActionStatus.REQUESTED)
    assert ready(exchange) == [True]
    update = ActionEnded(id_of(fee, OPERATOR), ActionStatus.NEEDS_OWNER, "why", target=b"\x01" * 20, data=b"\x02")
    exchange.run(update)
    (told,) = exchange.of(ActionUpdate)
    assert (told.status, told.reason, told.target, told.data) == ("needsOwner", "why", b"\x01" * 20, b"\x02")


# ---------------------------------------------------------------------------------------------------------------------
# Withdrawals and delegates
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "code"),
    [
        (withdrawal(amount=10**10), ""),
        (withdrawal(amount=10**10 + 1), Code.INSUFFICIENT_BALANCE),
        (withdrawal(amount=0), Code.INSUFFICIENT_BALANCE),
        (withdrawal(kind=2, asset=BTC, amount=10**8), ""),
        (withdrawal(kind=2, asset=99), Code.UNKNOWN_ASSET),
        (withdrawal(kind=2, asset=USDC), Code.UNKNOWN_ASSET),
        (withdrawal(kind=0, asset=BTC), Code.UNKNOWN_ASSET),
        (withdrawal(kind=3), Code.UNKNOWN_ASSET),
        (withdrawal(kind=1), ""),
        (withdrawal(expiry=START_MS // 1000), Code.ACTION_EXPIRED),
        (withdrawal(nonce=1), Code.INVALID_NONCE),
        (SignedDelegate(OTHER, LATER, 1, SIGNATURE), Code.INVALID_NONCE),
        (SignedDelegate(OTHER, START_MS // 1000, 0, SIGNATURE), Code.ACTION_EXPIRED),
        (SignedDelegate(OTHER, LATER, 0, SIGNATURE), ""),
        (SignedCancelAll(1, SIGNATURE), Code.STALE_EPOCH),
        (SignedCancelAll(0, SIGNATURE, STRANGER), Code.NOT_DELEGATE),
    ],
)
def test_what_the_contracts_would_refuse_is_refused(exchange: Exchange, action: Action, code: str) -> None:
    assert code_of(request(exchange, action)) == code


def test_other_requests_come_first(exchange: Exchange) -> None:
    exchange.mine(WithdrawalRequested(MAKER, 1, USDC, 4 * 10**9, 0, digest("other"), 0))
    assert code_of(request(exchange, withdrawal(amount=6 * 10**9 + 1))) == Code.INSUFFICIENT_BALANCE
    assert code_of(request(exchange, withdrawal(amount=6 * 10**9))) == ""


def test_open_orders_make_room(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 9_000)
    assert exchange.balance(MAKER, USDC).available < 10**10
    assert code_of(request(exchange, withdrawal(amount=10**10))) == ""


def test_nonces_are_taken_in_order(exchange: Exchange) -> None:
    request(exchange, withdrawal(0))
    assert exchange.core.action_nonces(MAKER) == (1, 0)
    request(exchange, withdrawal(1))
    request(exchange, SignedDelegate(OTHER, LATER, 0, SIGNATURE))
    assert exchange.core.action_nonces(MAKER) == (2, 1)
    assert code_of(request(exchange, withdrawal(1, amount=5))) == Code.STALE_NONCE
    assert ready(exchange) == [True, False, True]
    exchange.mine(WithdrawalNonceUsed(MAKER, 0), DelegateSet(MAKER, OTHER, LATER))
    assert ready(exchange) == [True, True, True]
    for action in (withdrawal(0), withdrawal(1), SignedDelegate(OTHER, LATER, 0, SIGNATURE)):
        end(exchange, action, "settled")
    exchange.mine(WithdrawalNonceUsed(MAKER, 1))
    assert exchange.core.action_nonces(MAKER) == (2, 1)


def test_what_waits_for_a_nonce_that_is_not_used_ends_with_it(exchange: Exchange) -> None:
    for nonce in range(3):
        request(exchange, withdrawal(nonce))
    request(exchange, withdrawal(), TAKER)
    end(exchange, withdrawal(0), "refused")
    assert [(one.id, one.status) for one in exchange.of(ActionUpdate)] == [
        (id_of(withdrawal(nonce)), "refused") for nonce in range(3)
    ]
    assert [due.account for due in exchange.core.due_actions()] == [TAKER]
    assert exchange.core.action_nonces(MAKER) == (0, 0)


def test_what_waits_for_a_nonce_that_another_has_used_goes_on(exchange: Exchange) -> None:
    request(exchange, withdrawal(0))
    request(exchange, withdrawal(1))
    exchange.mine(WithdrawalNonceUsed(MAKER, 0))
    end(exchange, withdrawal(0), "refused")
    assert [due.id for due in exchange.core.due_actions()] == [id_of(withdrawal(1))]


def test_a_rollback_gives_nonces_back(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=3)
    number, block_hash = exchange.head
    exchange.mine(WithdrawalNonceUsed(MAKER, 4), DelegateSet(MAKER, OTHER, LATER))
    assert exchange.core.action_nonces(MAKER) == (5, 1)
    exchange.run(ChainRollback(number, block_hash))
    assert exchange.core.action_nonces(MAKER) == (0, 0)


# ---------------------------------------------------------------------------------------------------------------------
# Memory
# ---------------------------------------------------------------------------------------------------------------------


def test_what_ended_long_ago_is_forgotten(exchange: Exchange) -> None:
    fees = [ScheduleFee(10, number) for number in range(MAX_ENDED + 1)]
    for fee in fees:
        request(exchange, fee, OPERATOR)
        end(exchange, fee, "settled", OPERATOR)
    assert request(exchange, fees[1], OPERATOR).repeated  # type: ignore[union-attr]
    assert not request(exchange, fees[0], OPERATOR).repeated  # type: ignore[union-attr]


ACCOUNTS = st.sampled_from([MAKER, TAKER])
ACTIONS = st.one_of(
    st.builds(withdrawal, st.integers(0, 3), st.sampled_from([1, 10**10, 10**11])),
    st.builds(SignedCancelAll, st.integers(0, 1), st.just(SIGNATURE)),
    st.builds(SignedDelegate, st.just(OTHER), st.just(LATER), st.integers(0, 2), st.just(SIGNATURE)),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("request"), ACCOUNTS, ACTIONS),
        st.tuples(st.just("sent"), ACCOUNTS, ACTIONS),
        st.tuples(st.sampled_from(["settled", "refused", "failed"]), ACCOUNTS, ACTIONS),
    ),
    max_size=40,
)


@given(STEPS)
def test_a_restored_core_goes_on_like_the_one_that_was_saved(
    steps: list[tuple[str, Address, Action]],
) -> None:
    exchange = Exchange()
    exchange.mine(*(exchange.deposited(account, USDC, 10**10) for account in (MAKER, TAKER)))
    for kind, account, action in steps:
        restored = Core.restore(exchange.core.snapshot())
        command = _command(kind, account, action)
        assert restored.execute(command, exchange.now_ms) == (exchange.run(command), exchange.events)
        assert restored.snapshot() == exchange.core.snapshot()
        pending = [due.id for due in exchange.core.due_actions()]
        assert len(set(pending)) == len(pending) <= 2 * MAX_PENDING_OF_ACCOUNT
        closed = {due.account for due in exchange.core.due_actions() if isinstance(due.action, SignedCancelAll)}
        assert all(exchange.core.account_update(one).is_bumping for one in closed)


def _command(kind: str, account: Address, action: Action) -> Command:
    if kind == "request":
        return RequestAction(id_of(action, account), account, action, START_MS)
    if kind == "sent":
        return ActionSent(id_of(action, account), digest(action))
    return ActionEnded(id_of(action, account), ActionStatus(kind))
