"""The whole state as bytes, and back. Equal states give equal bytes; a restored state continues like the original.

Everything is written in the order in which the state keeps it, as the order of dictionaries decides what happens first.
"""

from __future__ import annotations

from collections import deque

import msgspec

from offchain.domain.account import Account, LiveOrder, NonceKey, drawn_asset
from offchain.domain.blocks import ChainView
from offchain.domain.codec import Codec
from offchain.domain.order import NO_EXPIRY, OrderHash
from offchain.domain.outbox import Fill, Outbox, SettledBatch
from offchain.domain.snapshotform import (
    SavedAccount,
    SavedChain,
    SavedFill,
    SavedMarket,
    SavedNonceKey,
    SavedOrder,
    SavedOutbox,
    SavedSettledBatch,
    SavedState,
)
from offchain.domain.state import MarketState, State

VERSION = 9
"""Of the snapshot's form; another form has another number."""


class SnapshotError(Exception):
    """The bytes are not a snapshot of this version."""


class _Head(msgspec.Struct, array_like=True):
    """The beginning of a snapshot of any version."""

    version: int


_CODEC: Codec[SavedState] = Codec(SavedState)
_HEAD_CODEC: Codec[_Head] = Codec(_Head)


# ---------------------------------------------------------------------------------------------------------------------
# Writing
# ---------------------------------------------------------------------------------------------------------------------


def encode(state: State) -> bytes:
    """The bytes of `state`."""
    outbox, chain = state.outbox, state.chain
    settled = [
        SavedSettledBatch(
            batch.number, batch.matched_at, batch.tx_hash, batch.gas_used, [_write_fill(f) for f in batch.fills]
        )
        for batch in outbox.settled.values()
    ]
    return _CODEC.encode(
        SavedState(
            version=VERSION,
            configuration=state.configuration,
            fee_bps=state.fee_bps,
            fees=state.fees,
            assets=list(state.assets.values()),
            markets=[_write_market(venue) for venue in state.markets.values()],
            accounts=[_write_account(account) for account in state.accounts.values()],
            orders=[_write_order(live) for live in state.orders.values()],
            ended_orders=[_write_order(live) for live in _ended(outbox).values()],
            known_orders=[(known, key.address, key.key) for known, key in state.known_orders.items()],
            next_ticket=state.next_ticket,
            outbox=SavedOutbox(
                outbox.next_item,
                [_write_fill(fill) for fill in outbox.fills.values()],
                list(outbox.releases.values()),
                outbox.batch,
                outbox.last_batch,
                outbox.last_matched_at,
                settled,
                list(outbox.halts.items()),
            ),
            chain=SavedChain(
                chain.head_number,
                chain.head_hash,
                chain.head_seen_ms,
                chain.confirmed,
                chain.pruned,
                list(chain.records),
            ),
            diverged=state.diverged,
            prices=list(state.prices.items()),
            exchange_halt=state.exchange_halt,
            admin_entries=state.administration.entries,
            admin_requests=list(state.administration.requests.values()),
            actions=list(state.actions.pending.values()),
            next_action=state.actions.next_number,
            ended_actions=list(state.actions.ended.values()),
            watched=list(state.watched.items()),
        )
    )


def _ended(outbox: Outbox) -> dict[OrderHash, LiveOrder]:
    fills = [fill for batch in outbox.settled.values() for fill in batch.fills]
    return {
        live.order_hash: live
        for fill in [*fills, *outbox.fills.values()]
        for live in (fill.maker, fill.taker)
        if not live.is_open
    }


def _write_fill(fill: Fill) -> SavedFill:
    changes = None
    if fill.changes is not None:
        changes = [(balance.address, balance.asset, change) for balance, change in fill.changes]
    return SavedFill(fill.trade, changes)


def _write_market(venue: MarketState) -> SavedMarket:
    bids, asks = (
        [live.order_hash for _, level in side.levels() for live in level.orders.values()]
        for side in (venue.book.bids, venue.book.asks)
    )
    positions = [(one.address, one.settled, one.current) for one in venue.positions.values()]
    status = (venue.status, venue.status_at, venue.operator_halt)
    limits = (venue.quantity_limit, venue.opening_margin_bps)
    ready = [(order_hash, price) for order_hash, (_, price) in venue.waiting.ready.items()] if venue.waiting else []
    seen = (venue.last_price, venue.sample)
    return SavedMarket(venue.market, *status, bids, asks, venue.clearing, venue.pool, *seen, positions, *limits, ready)


def _write_account(account: Account) -> SavedAccount:
    return SavedAccount(
        account.address,
        account.epoch,
        [(b.asset, b.settled, b.unsettled, b.reserved, b.held) for b in account.balances.values()],
        [
            SavedNonceKey(
                number,
                key.market,
                key.sequence,
                key.order_hash,
                key.result,
                key.ended,
                key.working.order_hash if key.working is not None else None,
            )
            for number, key in account.nonce_keys.items()
        ],
        [(kind, asset, hold) for (kind, asset), hold in account.holds.items()],
        account.is_bump_requested,
        account.is_bumping,
        [(instrument, key, sequence) for (instrument, key), sequence in account.ended_keys.items()],
        list(account.delegations.items()),
        account.ending_epoch,
        (account.withdrawal_nonce, account.delegate_nonce),
        account.deadline_ms,
        list(account.api_keys.values()),
    )


def _write_order(live: LiveOrder) -> SavedOrder:
    return SavedOrder(
        live.order,
        live.quantity,
        live.order_hash,
        live.client_order_id,
        live.filled,
        live.reserved,
        live.ticket,
        live.status,
        live.delegate,
        live.waiting,
    )


# ---------------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------------


def decode(data: bytes) -> State:
    """The state that `data` was written from. Raises `SnapshotError`."""
    try:
        version = _HEAD_CODEC.decode(data).version
        if version != VERSION:
            raise SnapshotError(f"the snapshot has version {version}, this is version {VERSION}")
        saved = _CODEC.decode(data)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"not a snapshot: {error}") from error
    state = State()
    state.configuration = saved.configuration
    state.fee_bps, state.fees = saved.fee_bps, saved.fees
    state.assets = {asset.id: asset for asset in saved.assets}
    state.next_ticket = saved.next_ticket
    state.diverged = saved.diverged
    state.prices = dict(saved.prices)
    state.exchange_halt = saved.exchange_halt
    state.administration.entries = saved.admin_entries
    state.administration.requests = {request.name: request for request in saved.admin_requests}
    state.watched = dict(saved.watched)
    state.chain = _read_chain(saved.chain)
    state.actions.next_number = saved.next_action
    state.actions.pending = {one.id: one for one in saved.actions}
    state.actions.ended = {one.id: one for one in saved.ended_actions}
    for market in saved.markets:
        venue = state.markets[market.market.id] = MarketState(market.market)
        venue.status, venue.status_at, venue.operator_halt = market.status, market.status_at, market.operator_halt
        venue.clearing, venue.pool, venue.last_price = market.clearing, market.pool, market.last_price
        venue.quantity_limit, venue.opening_margin_bps = market.quantity_limit, market.opening_margin_bps
        venue.sample = market.sample
        for address, settled, current in market.positions:
            position = venue.position(address)
            position.settled, position.current = settled, current
            venue.count(position)
    for account in saved.accounts:
        _read_account(state, account)
    orders = {one.order_hash: _read_order(state, one) for one in [*saved.orders, *saved.ended_orders]}
    _read_open_orders(state, saved, orders)
    _read_outbox(state, saved.outbox, orders)
    return state


def _read_chain(saved: SavedChain) -> ChainView:
    chain = ChainView()
    chain.head_number, chain.head_hash, chain.head_seen_ms = saved.head_number, saved.head_hash, saved.head_seen_ms
    chain.confirmed, chain.pruned = saved.confirmed, saved.pruned
    chain.records = deque(saved.records)
    return chain


def _read_account(state: State, saved: SavedAccount) -> None:
    account = state.account(saved.address)
    account.epoch = saved.epoch
    account.deadline_ms = saved.deadline_ms
    if saved.deadline_ms:
        state.deadlines.add((saved.deadline_ms, saved.address))
    for asset, settled, unsettled, reserved, held in saved.balances:
        balance = account.balance(asset)
        balance.settled, balance.unsettled, balance.reserved, balance.held = settled, unsettled, reserved, held
    account.ending_epoch = saved.ending_epoch
    account.withdrawal_nonce, account.delegate_nonce = saved.nonces
    account.holds = {(kind, asset): hold for kind, asset, hold in saved.holds}
    account.is_bump_requested, account.is_bumping = saved.is_bump_requested, saved.is_bumping
    account.ended_keys = {(instrument, key): sequence for instrument, key, sequence in saved.ended_keys}
    for delegate, delegation in saved.delegations:
        account.delegations[delegate] = delegation
        if delegation.counted:
            state.delegations.add((delegation.counted, account.address, delegate))
    for api_key in saved.api_keys:
        account.api_keys[api_key.id] = api_key
        if api_key.expiry:
            state.api_key_ends.add((api_key.expiry, account.address, api_key.id))
    for one in saved.nonce_keys:
        key = account.nonce_keys[one.key] = NonceKey(saved.address, one.key)
        key.market, key.sequence, key.order_hash = one.market, one.sequence, one.order_hash
        key.result, key.ended = one.result, one.ended


def _read_order(state: State, saved: SavedOrder) -> LiveOrder:
    account = state.account(saved.order.account)
    market = state.markets[saved.order.market].market
    balance = account.balance(drawn_asset(market, saved.order.side))
    return LiveOrder(
        saved.order,
        saved.order_hash,
        account,
        balance,
        market,
        saved.quantity,
        saved.client_order_id,
        saved.delegate,
        saved.filled,
        saved.reserved,
        saved.ticket,
        saved.status,
        saved.waiting,
    )


def _read_open_orders(state: State, saved: SavedState, orders: dict[OrderHash, LiveOrder]) -> None:
    for one in saved.orders:
        live = orders[one.order_hash]
        state.orders[live.order_hash] = live
        live.account.orders[live.order_hash] = live
        live.account.nonce_keys[live.order.key].working = live
        if live.client_order_id is not None:
            live.account.client_order_ids[live.client_order_id] = live.order_hash
        if live.waiting is not None:
            state.markets[live.order.market].put_to_sleep(live, live.ticket)
        elif live.order.reduce_only:
            state.markets[live.order.market].position(live.order.account).reducing[live.order_hash] = live
        if live.order.expiry != NO_EXPIRY:
            state.timed.add((live.order.expiry, live.order_hash))
    for market in saved.markets:
        book = state.markets[market.market.id].book
        for order_hash in [*market.bids, *market.asks]:
            live = orders[order_hash]
            book.side(live.order.side).add(live, live.ticket)
        _read_ready(state, market, orders)
    for order_hash, address, key in saved.known_orders:
        state.known_orders[order_hash] = state.account(address).nonce_keys[key]


def _read_ready(state: State, saved: SavedMarket, orders: dict[OrderHash, LiveOrder]) -> None:
    waiting = state.markets[saved.market.id].waiting
    for order_hash, price in saved.ready:
        assert waiting is not None, "an order that is ready has waited"
        waiting.make_ready(orders[order_hash], price)
        state.ready[saved.market.id] = None


def _read_outbox(state: State, saved: SavedOutbox, orders: dict[OrderHash, LiveOrder]) -> None:
    def fill(one: SavedFill) -> Fill:
        read = Fill(one.trade, orders[one.trade.maker_hash], orders[one.trade.taker_hash])
        if one.changes is not None:
            read.changes = tuple((state.balance(address, asset), amount) for address, asset, amount in one.changes)
        return read

    outbox = state.outbox
    outbox.next_item = saved.next_item
    outbox.fills = {one.trade.item: fill(one) for one in saved.fills}
    outbox.releases = {release.item: release for release in saved.releases}
    outbox.batch = saved.batch
    outbox.last_batch, outbox.last_matched_at = saved.last_batch, saved.last_matched_at
    for batch in saved.settled:
        fills = [fill(one) for one in batch.fills]
        outbox.settled[batch.number] = SettledBatch(
            batch.number, batch.matched_at, batch.tx_hash, batch.gas_used, fills
        )
    outbox.halts = dict(saved.halts)
