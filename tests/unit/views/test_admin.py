"""The audit log and dead letters as readers see them."""

from __future__ import annotations

import pytest

from offchain.domain.admin import Actor, ChangeSettings, Denied
from offchain.domain.commands import AdminAction, Administer, BatchClosed, BatchParked, BatchRetry, Bust, SetStatus
from offchain.domain.errors import Rejection
from offchain.domain.events import Trade
from offchain.ports import AuditQuery
from tests.unit.views.projecting import close, project, settled, trade
from tests.utils.records import Exchange
from tests.utils.scenario import MARKET, create_block

ALL = AuditQuery()


def act(exchange: Exchange, action: AdminAction, subject: str = "alice") -> None:
    exchange.run(Administer(Actor("https://id.example", subject, ["ops"], "r1", "192.0.2.1"), action))


def park(exchange: Exchange, *fills: Trade, item: int | None = None, number: int = 1) -> None:
    exchange.run(BatchParked(number, "StaleNonce(3)", item))


async def letters(views) -> list[tuple[int, int, str, int | None]]:
    page = await views.dead_letters(None, 100)
    return [(row.seq, row.batch, row.status, row.item) for row in page.rows]


async def test_the_log_is_newest_first_and_filtered(views, exchange):
    act(exchange, SetStatus(MARKET.id, True, "maintenance"))
    act(exchange, ChangeSettings(max_open_orders=5), "bob")
    act(exchange, Denied("haltMarket", "POST …", Rejection("notInGroup", "", "no")), "bob")
    act(exchange, SetStatus(MARKET.id, False, ""))
    await project(views, exchange)
    page = await views.admin_audit(ALL, None, 3)
    assert ([row.seq for row in page.rows], page.next) == ([4, 3, 2], 2)
    page = await views.admin_audit(ALL, page.next, 3)
    assert ([row.seq for row in page.rows], page.next) == ([1], None)
    (row,) = page.rows
    assert (row.event.action, row.event.after) == (
        SetStatus(MARKET.id, True, "maintenance"),
        {"halted": True, "reason": "maintenance"},
    )
    for query, entries in (
        (AuditQuery(subject="bob"), [3, 2]),
        (AuditQuery(action="haltMarket"), [3, 1]),
        (AuditQuery("bob", "haltMarket"), [3]),
        (AuditQuery("carol"), []),
    ):
        assert [row.seq for row in (await views.admin_audit(query, None, 10)).rows] == entries
    with pytest.raises(ValueError, match="limit"):
        await views.admin_audit(ALL, None, 0)


async def test_a_letter_lives_from_parked_to_settled(views, exchange):
    fill = trade(exchange)
    close(exchange, 1, fill)
    park(exchange, fill, item=fill.item)
    await project(views, exchange)
    assert await letters(views) == [(1, 1, "parked", fill.item)]
    row = await views.dead_letter(1)
    assert (row.first, row.last, row.reason) == (fill.item, fill.item, "StaleNonce(3)")
    act(exchange, BatchRetry(1))
    await project(views, exchange)
    assert await letters(views) == [(1, 1, "retried", fill.item)]
    park(exchange, fill)
    await project(views, exchange)
    assert await letters(views) == [(1, 1, "parked", None)], "the same items that fail again are the same letter"
    act(exchange, BatchRetry(1))
    exchange.run(create_block(3, settled(1, fill)))
    await project(views, exchange)
    assert await letters(views) == [(1, 1, "settled", None)]


async def test_busted_items_end_their_letter_and_the_number_goes_on(views, exchange):
    first, second = trade(exchange), trade(exchange, sequence=2)
    close(exchange, 1, first, second)
    park(exchange, item=first.item)
    act(exchange, Bust([first.id], "bad"))
    exchange.run(BatchClosed(1, second.item, second.item, second.time_ms // 1000))
    park(exchange)
    await project(views, exchange)
    assert await letters(views) == [(2, 1, "parked", None), (1, 1, "reopened", first.item)]
    assert await views.dead_letter(3) is None
    page = await views.dead_letters(2, 1)
    assert ([row.seq for row in page.rows], page.next) == ([1], None)


async def test_a_retried_batch_that_is_closed_otherwise_is_another_letter(views, exchange):
    first, second = trade(exchange), trade(exchange, sequence=2)
    close(exchange, 1, first, second)
    park(exchange)
    act(exchange, BatchRetry(1))
    close(exchange, 1, first)
    park(exchange)
    await project(views, exchange)
    assert await letters(views) == [(2, 1, "parked", None), (1, 1, "reopened", None)]
