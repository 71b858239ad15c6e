"""What the API reads from the core: copies, made between two commands."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import msgspec

from offchain.api.patience import unhurried
from offchain.api.present import Presenter, hex_of, side_name
from offchain.api.schemas import stream
from offchain.api.state import Live
from offchain.catalogue import Listing, listing_of
from offchain.domain.account import LiveOrder
from offchain.domain.commands import Configure, PlaceOrder
from offchain.domain.core import Core
from offchain.domain.events import ApiKeyUpdate, BalanceUpdate, DelegateUpdate, ExchangeUpdate
from offchain.domain.fees import FeeSchedule
from offchain.domain.market import Asset
from offchain.domain.order import Address, OrderStatus, Side
from offchain.domain.positionview import PositionView

_ALL_LEVELS = sys.maxsize

Levels = list[tuple[int, int]]
"""(price, lots), best first"""


@dataclass(frozen=True, slots=True)
class Seed:
    """Everything that the stream starts from, as of event `seq`."""

    seq: int
    configuration: Configure | None
    fee_bps: int
    fees: FeeSchedule
    delegates: list[DelegateUpdate]
    api_keys: list[ApiKeyUpdate]
    assets: list[Asset]
    listings: list[Listing]
    books: list[tuple[Levels, Levels]]
    """bids and asks of each listing"""
    exchange: ExchangeUpdate | None
    """what holds for all markets"""


async def read_seed(live: Live) -> Seed:
    """Raises Unavailable."""

    def look(core: Core) -> Seed:
        listings = []
        books = []
        for market in core.markets.values():
            listings.append(listing_of(core, market))
            books.append((core.depth(market.id, Side.BUY, _ALL_LEVELS), core.depth(market.id, Side.SELL, _ALL_LEVELS)))
        return Seed(
            live.tail(),
            core.configuration,
            core.fee_bps,
            core.fees,
            core.all_delegates(),
            core.all_api_keys(),
            list(core.assets.values()),
            listings,
            books,
            core.exchange_update(),
        )

    return await live.read(look)


class _OrderNow(msgspec.Struct, gc=False):
    """What changes in an order, as it was when the order was looked at."""

    live: LiveOrder
    quantity: int
    filled: int
    status: OrderStatus
    waiting: PlaceOrder | None


class _TraderNow(msgspec.Struct):
    seq: int
    orders: list[_OrderNow]
    balances: list[BalanceUpdate]
    positions: list[PositionView]


async def read_trader(live: Live, present: Presenter, account: Address, now_ms: int) -> tuple[int, stream.TraderState]:
    """Open orders, balances and positions of an account, and the event up to which they count. Raises Unavailable.

    There may be ten thousand orders. Between two commands they are only copied, which takes a millisecond; putting
    them into words takes fifty, during which others have their turn.
    """

    def look(core: Core) -> _TraderNow:
        orders = [
            _OrderNow(each, each.quantity, each.filled, each.status, each.waiting) for each in core.open_orders(account)
        ]
        return _TraderNow(live.tail(), orders, core.balances(account), core.positions(account, now_ms))

    now = await live.read(look)
    state = stream.TraderState(
        orders=[_open_order(present, each) async for each in unhurried(now.orders)],
        balances=[present.balance(balance) for balance in now.balances],
        positions=[present.position(position) for position in now.positions],
    )
    return now.seq, state


def _open_order(present: Presenter, now: _OrderNow) -> stream.OpenOrder:
    order, market = now.live.order, now.live.market
    trigger = now.waiting.trigger if now.waiting is not None else None
    return stream.OpenOrder(
        order_id=hex_of(now.live.order_hash),
        market=market.symbol,
        side=side_name(order.side),
        price=present.price(market, order.price),
        quantity=present.quantity(market, now.quantity),
        filled=present.quantity(market, now.filled),
        remaining=present.quantity(market, now.quantity - now.filled),
        status=now.status.value,
        nonce=str(order.nonce),
        client_order_id=now.live.client_order_id,
        trigger=present.trigger(market, trigger, None) if trigger is not None else None,
    )
