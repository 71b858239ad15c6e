"""What readers see after records are projected."""

from __future__ import annotations

import msgspec
import pytest

from offchain.domain.commands import (
    CancelOrder,
    ChainRollback,
    CreateApiKey,
    RevokeApiKey,
    Tick,
    WithdrawalCanceled,
    WithdrawalRequested,
    WithdrawalSettled,
)
from offchain.domain.events import ApiKeyUpdate, BalanceUpdate, BatchUpdate, DepositUpdate, OrderUpdate, Trade
from offchain.domain.market import USDC
from offchain.domain.order import LAST_SEQUENCE, OrderStatus, Side, TimeInForce
from offchain.ports import OrderQuery
from tests.unit.views.projecting import ALL, BYSTANDER, close, project, settlement_of, trade
from tests.utils.scenario import (
    MAKER,
    MARKET,
    PRICE,
    TAKER,
    block_hash,
    create_block,
    create_deposit,
    create_order,
    create_trading,
)

# ---------------------------------------------------------------------------------------------------------------------
# Orders and trades
# ---------------------------------------------------------------------------------------------------------------------


async def test_order_lives_from_open_to_canceled(views, exchange):
    place = create_order(MAKER, Side.BUY, 7, client_order_id="mine")
    exchange.run(place)
    await project(views, exchange)
    row = await views.order(place.order_hash)
    assert (row.order, row.status, row.filled, row.client_order_id) == (place.order, "open", 0, "mine")
    exchange.run(CancelOrder(MAKER, place.order_hash, bytes(64), 0))
    await project(views, exchange)
    row = await views.order(place.order_hash)
    assert (row.status, row.code) == ("canceled", "user")
    assert row.updated_ms > row.created_ms
    assert await views.order(b"\x00" * 32) is None


async def test_fill_reaches_both_orders_and_both_accounts(views, exchange):
    fill = trade(exchange)
    await project(views, exchange)
    for account in (MAKER, TAKER):
        (order,) = (await views.orders(account, ALL, None, 10)).rows
        assert (order.status, order.filled) == ("filled", 5)
        (row,) = (await views.account_trades(account, None, 10)).rows
        assert (row.item, row.id, row.price, row.quantity) == (fill.item, fill.id, PRICE, 5)
        assert (row.maker_fee, row.taker_fee) == (fill.maker_fee, fill.taker_fee)
        assert (row.settlement, row.batch, row.tx_hash) == ("pending", 0, b"")


async def test_rejected_order_is_shown_with_its_code(views, exchange):
    exchange.run(create_block(2, create_deposit(BYSTANDER, USDC, 1)))
    place = create_order(BYSTANDER, Side.BUY, 7)
    exchange.run(place)
    await project(views, exchange)
    row = await views.order(place.order_hash)
    assert (row.status, row.code, row.filled) == ("rejected", "insufficientBalance", 0)


async def test_repeated_order_hides_nothing(views, exchange):
    first, second = create_order(MAKER, Side.BUY, 7), create_order(MAKER, Side.BUY, 8, sequence=2)
    exchange.run(first)
    exchange.run(second, first)
    await project(views, exchange)
    row = await views.order(first.order_hash)
    assert (row.status, row.code) == ("canceled", "replaced")
    assert len((await views.orders(MAKER, ALL, None, 10)).rows) == 2


async def test_later_refusal_does_not_hide_what_became_of_an_order(views, exchange):
    place = create_order(MAKER, Side.BUY, 7)
    record = exchange.run(place)
    refusal = msgspec.structs.replace(record.events[0][0], status=OrderStatus.REJECTED, depth_change=0, code="late")
    exchange.records.append(exchange.maker.make((place, [refusal])))
    await project(views, exchange)
    assert (await views.order(place.order_hash)).status == "open"


async def test_order_that_is_refused_again_is_one_row(views, exchange):
    place = create_order(MAKER, Side.BUY, 7, sequence=LAST_SEQUENCE)
    exchange.run(place)
    exchange.run(place)
    await project(views, exchange)
    (row,) = (await views.orders(MAKER, ALL, None, 10)).rows
    assert (row.status, row.code) == ("rejected", "invalidNonce")
    assert row.created_ms == exchange.maker.time_ms


async def test_filters_and_pages_are_complete_and_ordered(views, exchange):
    exchange.run(*create_trading(200))
    await project(views, exchange)
    everything = (await views.orders(MAKER, ALL, None, 1_000)).rows
    assert [row.seq for row in everything] == sorted((row.seq for row in everything), reverse=True)
    collected, before = [], None
    while True:
        page = await views.orders(MAKER, ALL, before, 7)
        collected += page.rows
        before = page.next
        if before is None:
            break
    assert collected == everything
    for statuses in [("open",), ("open", "partiallyFilled"), ("canceled", "filled"), ("rejected",)]:
        expected = [row for row in everything if row.status in statuses]
        assert (await views.orders(MAKER, OrderQuery(statuses=statuses), None, 1_000)).rows == expected
    live = exchange.core.open_orders(MAKER)
    shown = await views.orders(MAKER, OrderQuery(MARKET.id, ("open", "partiallyFilled")), None, 1_000)
    assert {(row.order_hash, row.filled) for row in shown.rows} == {(one.order_hash, one.filled) for one in live}
    assert (await views.orders(MAKER, OrderQuery(market=2), None, 10)).rows == []


async def test_trades_page_like_orders(views, exchange):
    exchange.run(*create_trading(200))
    await project(views, exchange)
    everything = (await views.trades(MARKET.id, None, 1_000)).rows
    assert len(everything) > 20
    for read in (
        lambda before: views.trades(MARKET.id, before, 9),
        lambda before: views.account_trades(TAKER, before, 9),
    ):
        collected, before = [], None
        while True:
            page = await read(before)
            collected += page.rows
            before = page.next
            if before is None:
                break
        assert collected == [row for row in everything if TAKER in (row.maker, row.taker)]


async def test_client_order_id_finds_its_order(views, exchange):
    place = create_order(MAKER, Side.BUY, 7, client_order_id="mine")
    exchange.run(place, create_order(MAKER, Side.BUY, 7, key=1, client_order_id="other"))
    await project(views, exchange)
    page = await views.orders(MAKER, OrderQuery(client_order_id="mine"), None, 10)
    assert [row.order_hash for row in page.rows] == [place.order_hash]


@pytest.mark.parametrize("limit", [0, -1, 1_001])
async def test_page_size_is_bounded(views, limit):
    reads = [
        views.orders(MAKER, ALL, None, limit),
        views.trades(1, None, limit),
        views.account_trades(MAKER, None, limit),
        views.batches(limit),
        views.withdrawals(MAKER, limit),
        views.deposits(MAKER, limit),
        views.api_keys(MAKER, limit),
        views.account_events(MAKER, 0, limit),
        views.blocks(limit),
    ]
    for read in reads:
        with pytest.raises(ValueError, match=f"limit: {limit}"):
            await read


# ---------------------------------------------------------------------------------------------------------------------
# Money
# ---------------------------------------------------------------------------------------------------------------------


async def test_balances_are_those_of_the_core(views, exchange):
    exchange.run(*create_trading(200))
    await project(views, exchange)
    assert await views.balances() == exchange.balances()


async def test_amounts_beyond_64_bits_are_exact(views, exchange):
    amount = 2**100 + 1
    exchange.run(create_block(2, create_deposit(MAKER, USDC, amount, 9)))
    await project(views, exchange)
    assert [row.amount for row in await views.deposits(MAKER, 1)] == [amount]
    balance = next(row for row in await views.balances() if row.account == MAKER and row.asset == USDC)
    assert balance.settled == 10**12 + amount


async def test_api_keys_show_how_they_ended(views, exchange):
    for key_id, expiry in (("k1", 0), ("k2", 2)):
        exchange.run(CreateApiKey(MAKER, key_id, b"\x01" * 32, key_id, ["read", "cancel"], expiry))
    exchange.run(RevokeApiKey(MAKER, "k1"))
    exchange.run(CreateApiKey(MAKER, "k1", b"\x02" * 32, "again", ["read"], 2))
    exchange.maker.time_ms = 2_000
    exchange.run(Tick())
    await project(views, exchange)
    assert [(row.id, row.label, row.scopes, row.status) for row in await views.api_keys(MAKER, 10)] == [
        ("k1", "again", ("read",), "expired"),
        ("k2", "k2", ("read", "cancel"), "expired"),
        ("k1", "k1", ("read", "cancel"), "revoked"),
    ]
    assert await views.api_keys(TAKER, 10) == []
    told = [type(event) for _, event in await views.account_events(MAKER, 0, 100)]
    assert told.count(ApiKeyUpdate) == 6


async def test_deposit_that_is_rolled_back(views, exchange):
    exchange.run(create_block(2, create_deposit(MAKER, USDC, 5, 9)))
    await project(views, exchange)
    assert (await views.deposits(MAKER, 1))[0].status == "credited"
    exchange.run(ChainRollback(1, block_hash(1)))
    await project(views, exchange)
    assert (await views.deposits(MAKER, 1))[0].status == "reverted"
    assert [block.number for block in await views.blocks(10)] == [1]


async def test_withdrawal_is_requested_released_settled_and_restored(views, exchange):
    request = WithdrawalRequested(MAKER, 0, USDC, 1_000, 0, b"\x01" * 32, 0)
    exchange.run(create_block(2, request))
    await project(views, exchange)
    (row,) = await views.withdrawals(MAKER, 10)
    assert (row.status, row.amount, row.tx_hash) == ("releasing", 1_000, b"\x01" * 32)
    (item,) = await views.items(1, 10)
    assert (item.item, item.withdrawal, item.trade) == (row.item, row, None)
    exchange.run(create_block(3, WithdrawalSettled(MAKER, 0, USDC, 1_000, 1_000, True, b"\x02" * 32, 0)))
    await project(views, exchange)
    (row,) = await views.withdrawals(MAKER, 10)
    assert (row.status, row.tx_hash) == ("settled", b"\x02" * 32)
    assert await views.items(1, 10) == []
    exchange.run(ChainRollback(2, block_hash(2)))
    await project(views, exchange)
    (row,) = await views.withdrawals(MAKER, 10)
    assert row.status == "releasing"
    assert [item.item for item in await views.items(1, 10)] == [row.item]


async def test_newer_request_ends_the_older(views, exchange):
    exchange.run(create_block(2, WithdrawalRequested(MAKER, 0, USDC, 1_000, 0, b"\x01" * 32, 0)))
    exchange.run(create_block(3, WithdrawalRequested(MAKER, 0, USDC, 2_000, 0, b"\x02" * 32, 0)))
    await project(views, exchange)
    assert [(row.amount, row.status) for row in await views.withdrawals(MAKER, 10)] == [
        (2_000, "releasing"),
        (1_000, "canceled"),
    ]
    exchange.run(ChainRollback(2, block_hash(2)))
    await project(views, exchange)
    assert [(row.amount, row.status) for row in await views.withdrawals(MAKER, 10)] == [
        (2_000, "reverted"),
        (1_000, "releasing"),
    ]
    exchange.run(create_block(3, WithdrawalCanceled(MAKER, 0, USDC, b"\x03" * 32, 0), fork="b"))
    await project(views, exchange)
    assert [(row.amount, row.status) for row in await views.withdrawals(MAKER, 10)] == [
        (2_000, "reverted"),
        (1_000, "canceled"),
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Events of an account
# ---------------------------------------------------------------------------------------------------------------------


async def test_account_events_are_everything_that_concerns_it(views, exchange):
    fill = trade(exchange)
    exchange.run(create_block(2, create_deposit(BYSTANDER, USDC, 1)))
    bystander = create_order(BYSTANDER, Side.BUY, 7)
    exchange.run(bystander)
    close(exchange, 1, fill)
    await project(views, exchange)
    told = await views.account_events(TAKER, 0, 1_000)
    assert [seq for seq, _ in told] == sorted(seq for seq, _ in told)
    kinds = [type(event) for _, event in told]
    assert kinds.count(Trade) == 1
    assert kinds.count(BatchUpdate) == 1
    assert kinds.count(OrderUpdate) == 1
    assert BalanceUpdate in kinds
    assert fill in [event for _, event in told]
    cut = told[3][0]
    assert await views.account_events(TAKER, cut, 2) == told[4:6]
    assert [type(event) for _, event in await views.account_events(BYSTANDER, 0, 10)] == [
        DepositUpdate,
        DepositUpdate,
        BalanceUpdate,
        OrderUpdate,
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Projection
# ---------------------------------------------------------------------------------------------------------------------


async def test_records_must_follow_what_is_applied(views, exchange):
    with pytest.raises(ValueError, match="include event 0, not 7"):
        await views.apply(7, exchange.records)
    exchange.run(create_order(MAKER, Side.BUY, 1))
    with pytest.raises(ValueError, match="does not follow event 0"):
        await views.apply(0, exchange.records[1:])
    assert await views.applied() == 0
    await project(views, exchange)
    with pytest.raises(ValueError, match="not 0"):
        await views.apply(0, exchange.records)
    assert await views.applied() == exchange.records[-1].last


async def test_failing_chunk_leaves_nothing_behind(views, exchange):
    exchange.run(create_order(MAKER, Side.BUY, 1, time_in_force=TimeInForce.GTC))
    broken = msgspec.structs.replace(exchange.records[1], events=[[Trade(*[None] * 15)]])  # type: ignore[arg-type]
    with pytest.raises(Exception, match="NOT NULL"):
        await views.apply(0, [exchange.records[0], broken])
    assert await views.applied() == 0
    assert await views.balances() == []
    await project(views, exchange)
    assert await views.balances() == exchange.balances()


async def test_readers_see_whole_records_of_another_process(create_views, exchange):
    writer, reader = create_views(), create_views(read_only=True)
    fill = trade(exchange)
    await project(writer, exchange)
    assert await reader.applied() == exchange.records[-1].last
    assert await settlement_of(reader, fill) == ("pending", 0, b"")
    with pytest.raises(ValueError, match="reading only"):
        await reader.apply(0, [])


async def test_reader_may_come_first(create_views, exchange):
    reader, writer = create_views(read_only=True), create_views()
    assert await reader.applied() == 0
    await project(writer, exchange)
    assert await reader.applied() == exchange.records[-1].last
