"""What the API reads from the core: copies, made between two commands."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from offchain.api.present import Presenter, hex_of, side_name
from offchain.api.schemas import stream
from offchain.api.schemas.http import TriggerInfo
from offchain.api.state import Live
from offchain.catalogue import Listing, listing_of
from offchain.domain.account import LiveOrder
from offchain.domain.commands import Configure
from offchain.domain.core import Core
from offchain.domain.events import ApiKeyUpdate, DelegateUpdate, ExchangeUpdate
from offchain.domain.fees import FeeSchedule
from offchain.domain.market import Asset, Market
from offchain.domain.order import Address, Side

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


def _trigger(present: Presenter, market: Market, live_order: LiveOrder) -> TriggerInfo | None:
    trigger = live_order.waiting.trigger if live_order.waiting is not None else None
    return None if trigger is None else present.trigger(market, trigger, None)


async def read_trader(live: Live, present: Presenter, account: Address, now_ms: int) -> tuple[int, stream.TraderState]:
    """Open orders, balances and positions of an account, and the event up to which they count. Raises Unavailable."""

    def look(core: Core) -> tuple[int, stream.TraderState]:
        orders = []
        for live_order in core.open_orders(account):
            order = live_order.order
            market = core.markets[order.market]
            orders.append(
                stream.OpenOrder(
                    order_id=hex_of(live_order.order_hash),
                    market=market.symbol,
                    side=side_name(order.side),
                    price=present.price(market, order.price),
                    quantity=present.quantity(market, live_order.quantity),
                    filled=present.quantity(market, live_order.filled),
                    remaining=present.quantity(market, live_order.remaining),
                    status=live_order.status.value,
                    nonce=str(order.nonce),
                    client_order_id=live_order.client_order_id,
                    trigger=_trigger(present, market, live_order),
                )
            )
        balances = [present.balance(balance) for balance in core.balances(account)]
        positions = [present.position(position) for position in core.positions(account, now_ms)]
        return live.tail(), stream.TraderState(orders=orders, balances=balances, positions=positions)

    return await live.read(look)
