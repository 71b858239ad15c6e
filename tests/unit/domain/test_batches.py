"""Batches: what may be closed, sent, parked and retried, and what the chain's answer does."""

from __future__ import annotations

import pytest

from offchain.domain import batches
from offchain.domain.commands import BatchClosed, BatchParked, BatchRetry, BatchSent, Bust
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import BatchUpdate, Diverged, MarketUpdate
from offchain.domain.results import Done
from tests.utils.exchange import BUY, ENGINE, FOK, IOC, MAKER, OTHER, SELL, TAKER, USDC, Exchange, digest


@pytest.fixture
def traded(exchange: Exchange) -> Exchange:
    """Four unsettled fills: items 1, 2 and 4 in market 1, item 3 in market 2."""
    for market in (1, 1, 2, 1):
        exchange.place(MAKER, BUY, 100, 10, market=market)
        exchange.place(TAKER, SELL, 100, 10, market=market)
    return exchange


def refusal(result: object) -> tuple[str, str]:
    assert isinstance(result, Rejection)
    return result.code, result.param


def statuses(exchange: Exchange) -> list[str]:
    return [update.status for update in exchange.of(BatchUpdate)]


def test_batch_is_closed_sent_settled_and_confirmed(traded: Exchange) -> None:
    assert traded.run(BatchClosed(1, 1, 3, 100)) == Done()
    assert traded.of(BatchUpdate) == [BatchUpdate(1, "closed", 1, 3, 100)]
    assert traded.run(BatchSent(1, digest("tx"))) == Done()
    assert traded.of(BatchUpdate) == [BatchUpdate(1, "sent", 1, 3, 100, digest("tx"))]
    before = {b.asset: b for b in traded.core.balances(MAKER)}
    traded.mine(traded.batch_settled(1, traded.trades()[:3]))
    assert statuses(traded) == ["settled", "confirmed"]
    for balance in traded.core.balances(MAKER):
        was = before[balance.asset]
        assert balance.settled + balance.unsettled == was.settled + was.unsettled
    assert traded.balance(MAKER, USDC).unsettled == -10 * 10**6 * 1_005 // 1_000
    status = traded.core.status()
    assert (status.last_batch, status.unsettled_fills, status.oldest_item, status.batch) == (1, 1, 4, 0)
    assert traded.run(BatchClosed(2, 4, 4, 10**10)) == Done()


def test_settlement_moves_deltas_and_nothing_else(traded: Exchange) -> None:
    accounts = (MAKER, TAKER, ENGINE)
    totals = [(b.account, b.asset, b.settled + b.unsettled) for a in accounts for b in traded.core.balances(a)]
    traded.mine(traded.batch_settled(1, traded.trades()))
    after = [b for a in accounts for b in traded.core.balances(a)]
    assert [(b.account, b.asset, b.settled) for b in after] == totals
    assert all(b.unsettled == 0 for b in after)


@pytest.mark.parametrize(
    ("closed", "code", "param"),
    [
        (BatchClosed(2, 1, 2, 100), Code.UNKNOWN_BATCH, "number"),
        (BatchClosed(0, 1, 2, 100), Code.REPEATED, "number"),
        (BatchClosed(1, 2, 3, 100), Code.INVALID_BATCH, "first"),
        (BatchClosed(1, 1, 5, 100), Code.INVALID_BATCH, "last"),
        (BatchClosed(1, 1, 0, 100), Code.INVALID_BATCH, "last"),
    ],
)
def test_invalid_batch_is_refused(traded: Exchange, closed: BatchClosed, code: str, param: str) -> None:
    assert refusal(traded.run(closed)) == (code, param)
    assert traded.core.status().batch == 0


def test_nothing_to_settle(exchange: Exchange) -> None:
    assert refusal(exchange.run(BatchClosed(1, 1, 1, 100))) == (Code.INVALID_BATCH, "first")


def test_batch_size_is_bounded(traded: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAX_BATCH_FILLS", 3)
    assert refusal(traded.run(BatchClosed(1, 1, 4, 100))) == (Code.INVALID_BATCH, "last")
    assert traded.run(BatchClosed(1, 1, 3, 100)) == Done()


def test_match_time_never_runs_backwards(traded: Exchange) -> None:
    traded.mine(traded.batch_settled(1, traded.trades()[:1]))
    settled_at = traded.core.status().last_matched_at
    assert refusal(traded.run(BatchClosed(2, 2, 2, settled_at - 1))) == (Code.INVALID_BATCH, "matchedAt")


@pytest.mark.parametrize("tif", [IOC, FOK])
def test_group_is_not_split(exchange: Exchange, tif: int) -> None:
    for account in (MAKER, OTHER):
        exchange.place(account, BUY, 100, 10)
    exchange.place(TAKER, SELL, 100, 20, tif=tif)
    assert refusal(exchange.run(BatchClosed(1, 1, 1, 100))) == (Code.INVALID_BATCH, "last")
    assert exchange.run(BatchClosed(1, 1, 2, 100)) == Done()


def test_fills_of_a_resting_order_may_be_split(exchange: Exchange) -> None:
    for account in (MAKER, OTHER):
        exchange.place(account, BUY, 100, 10)
    exchange.place(TAKER, SELL, 100, 20)
    assert exchange.run(BatchClosed(1, 1, 1, 100)) == Done()


def test_release_stands_between_batches_but_blocks_nobody(traded: Exchange) -> None:
    traded.mine(traded.requested(OTHER, USDC, 5))
    for account, side in ((MAKER, BUY), (TAKER, SELL)):
        traded.place(account, side, 100, 10)
    assert refusal(traded.run(BatchClosed(1, 1, 6, 100))) == (Code.INVALID_BATCH, "last")
    assert traded.run(BatchClosed(1, 1, 4, 100)) == Done()
    traded.mine(traded.batch_settled(1, traded.trades()[:4]))
    assert traded.core.status().pending_releases == 1
    assert traded.run(BatchClosed(2, 6, 6, 10**10)) == Done(), "the release could not be paid"


def test_batch_may_be_closed_anew_until_it_is_on_chain(traded: Exchange) -> None:
    traded.run(BatchClosed(1, 1, 3, 100))
    assert refusal(traded.run(BatchClosed(1, 1, 3, 100))) == (Code.REPEATED, "number")
    assert traded.run(BatchClosed(1, 1, 2, 101)) == Done()
    traded.run(BatchSent(1, digest("tx")))
    assert refusal(traded.run(BatchSent(1, digest("tx")))) == (Code.REPEATED, "txHash")
    assert traded.run(BatchSent(1, digest("replacement"))) == Done()
    traded.mine(traded.batch_settled(1, traded.trades()[:2]))
    for repeated in (BatchClosed(1, 1, 2, 101), BatchSent(1, digest("x")), BatchParked(1, "", None), BatchRetry(1)):
        assert refusal(traded.run(repeated)) == (Code.REPEATED, "number")


def test_unknown_batches_are_refused(traded: Exchange) -> None:
    for unknown in (BatchSent(1, digest("x")), BatchParked(1, "", None), BatchRetry(1)):
        assert refusal(traded.run(unknown)) == (Code.UNKNOWN_BATCH, "number")


def test_parking_halts_the_market_at_fault(traded: Exchange) -> None:
    traded.run(BatchClosed(1, 1, 4, 100))
    assert refusal(traded.run(BatchParked(1, "StaleNonce(3)", 9))) == (Code.INVALID_BATCH, "item")
    assert traded.run(BatchParked(1, "StaleNonce(3)", 3)) == Done()
    assert [(u.status, u.reason) for u in traded.of(BatchUpdate)] == [("parked", "StaleNonce(3)")]
    assert [(u.market.id, u.halted, u.reason) for u in traded.of(MarketUpdate)] == [(2, True, "StaleNonce(3)")]
    assert traded.core.status().parked_batch == 1
    assert traded.place(OTHER, BUY, 100, 1, market=2).status == "rejected"
    assert traded.place(OTHER, BUY, 100, 1).status == "open"
    assert refusal(traded.run(BatchParked(1, "again", 3))) == (Code.REPEATED, "number")
    assert refusal(traded.run(BatchSent(1, digest("x")))) == (Code.INVALID_BATCH, "number")
    assert refusal(traded.run(BatchClosed(1, 1, 2, 100))) == (Code.INVALID_BATCH, "number")


def test_parking_without_an_item_halts_every_market_of_the_batch(traded: Exchange) -> None:
    traded.run(BatchClosed(1, 1, 4, 100))
    traded.run(BatchParked(1, "unknown", None))
    assert [(u.market.id, u.halted) for u in traded.of(MarketUpdate)] == [(1, True), (2, True)]


def test_retry_waits_for_the_chain_before_the_market_resumes(traded: Exchange) -> None:
    traded.run(BatchClosed(1, 1, 4, 100))
    assert refusal(traded.run(BatchRetry(1))) == (Code.INVALID_BATCH, "number")
    traded.run(BatchParked(1, "StaleNonce(3)", 3))
    assert traded.run(BatchRetry(1)) == Done()
    assert statuses(traded) == ["retried"]
    assert refusal(traded.run(BatchRetry(1))) == (Code.REPEATED, "number")
    assert traded.core.market_state(2).halted
    assert traded.run(BatchClosed(1, 1, 4, 100)) == Done()
    traded.mine(traded.batch_settled(1, traded.trades()))
    assert [(u.market.id, u.halted) for u in traded.of(MarketUpdate)] == [(2, False)]


def test_parking_again_for_another_item_lets_the_first_market_resume(traded: Exchange) -> None:
    traded.run(BatchClosed(1, 1, 4, 100))
    traded.run(BatchParked(1, "StaleNonce(3)", 3))
    traded.run(BatchRetry(1))
    traded.run(BatchParked(1, "StaleNonce(1)", 1))
    assert [(u.market.id, u.halted) for u in traded.of(MarketUpdate)] == [(2, False), (1, True)]


def test_busting_the_bad_item_resumes_its_market(traded: Exchange) -> None:
    traded.run(BatchClosed(1, 1, 4, 100))
    traded.run(BatchParked(1, "StaleNonce(3)", 3))
    traded.run(Bust([traded.trades()[0].id], "not this one"))
    assert statuses(traded) == ["reopened"]
    assert traded.core.market_state(2).halted
    traded.run(Bust([traded.trades()[2].id], "bad"))
    assert not traded.core.market_state(2).halted
    assert traded.run(BatchClosed(1, 2, 4, 100)) == Done(), "the gap that the busted fills leave is no fill"


def test_busting_in_a_batch_parked_as_a_whole_resumes_its_markets(traded: Exchange) -> None:
    traded.run(BatchClosed(1, 1, 3, 100))
    traded.run(BatchParked(1, "unknown", None))
    traded.run(Bust([traded.trades()[1].id], "bad"))
    assert [(u.market.id, u.halted) for u in traded.of(MarketUpdate)] == [(1, False), (2, False)]


@pytest.mark.parametrize("mistake", ["number", "order", "foreign", "many", "none"])
def test_other_fills_than_matched_diverge(traded: Exchange, mistake: str) -> None:
    trades = traded.trades()
    log = {
        "number": traded.batch_settled(2, trades),
        "order": traded.batch_settled(1, trades[::-1]),
        "foreign": traded.batch_settled(1, trades[1:]),
        "many": traded.batch_settled(1, [*trades, trades[0]]),
        "none": traded.batch_settled(1, []),
    }[mistake]
    before = [traded.core.balances(account) for account in (MAKER, TAKER, ENGINE)]
    traded.mine(log)
    (event,) = traded.of(Diverged)
    assert event.batch == log.number
    assert [(u.market.id, u.halted) for u in traded.of(MarketUpdate)] == [(1, True), (2, True)]
    assert [traded.core.balances(account) for account in (MAKER, TAKER, ENGINE)] == before, "no state is guessed"
    status = traded.core.status()
    assert (status.last_batch, status.unsettled_fills) == (0, 4)
    assert status.diverged == event.detail
    assert traded.place(OTHER, BUY, 100, 1).status == "rejected"


def test_batch_that_nobody_closed_settles_all_the_same(traded: Exchange) -> None:
    """The journal may have lost the news of closing; the chain's fills are the next ones."""
    traded.mine(traded.batch_settled(1, traded.trades()[:2]))
    assert statuses(traded) == ["settled", "confirmed"]
    assert traded.core.status().diverged == ""
