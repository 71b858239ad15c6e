"""A batch's fills in match order, as the Engine checks and books them; see settlement.py."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from offchain.domain.batch import Batch, FillEntry, OrderEntry, SettlementError
from offchain.domain.clearing import fee_down
from offchain.domain.ids import fill_id
from offchain.domain.ledger import NonceKey, Position
from offchain.domain.oracle import notional_down
from offchain.domain.order import Address, Side, TimeInForce
from offchain.domain.settlement_clearing import DerivativeFill
from offchain.domain.settlement_orders import BatchMarket, WorkingOrder

MAX_GROUP_FILLS = 256
"""Fills of one IOC or FOK order."""

_FILLS = 3
"""Value of IEngine.Table."""


class Fills:
    """Applies the fills. A group is the run of fills of one IOC or FOK taker."""

    def __init__(
        self, batch: Batch, markets: Sequence[BatchMarket], orders: Sequence[WorkingOrder], fee_bps: int
    ) -> None:
        self._fee_bps = fee_bps
        self._batch = batch
        self._markets = markets
        self._orders = orders
        self._latest: dict[NonceKey, int] = {}
        self._group: int | None = None
        self._group_fills = 0
        self.usdc: defaultdict[Address, int] = defaultdict(int)
        """change by account, of spot fills, after fees"""
        self.fees: defaultdict[Address, int] = defaultdict(int)
        """fees by account, of spot fills"""
        self.base: defaultdict[Position, int] = defaultdict(int)
        self.derivatives: list[DerivativeFill] = []
        self.ids: list[bytes] = []

    def apply_all(self) -> None:
        for index in range(len(self._batch.fills)):
            self._apply(index)
        self._close_group()

    def _apply(self, index: int) -> None:
        fill = self._batch.fills[index]
        if self._group is not None and fill.taker != self._group:
            self._close_group()
        if fill.maker >= len(self._orders) or fill.taker >= len(self._orders):
            raise SettlementError("IndexOutOfRange", (_FILLS, index))
        maker, taker = self._orders[fill.maker], self._orders[fill.taker]
        _check_pair(maker, taker, fill, index)
        self._count_group(taker, fill, index)
        self._use(maker, index)
        self._use(taker, index)
        if not _is_crossing(maker.entry, taker.entry):
            raise SettlementError("NotCrossing", (index,))
        for order, order_index in ((maker, fill.maker), (taker, fill.taker)):
            if order.filled + fill.quantity > order.entry.quantity:
                raise SettlementError("Overfill", (index, order_index))
        self.ids.append(fill_id(maker.hash, taker.hash, maker.filled, taker.filled))
        maker.filled += fill.quantity
        taker.filled += fill.quantity
        buyer, seller = (maker, taker) if taker.entry.side == Side.SELL else (taker, maker)
        if self._markets[maker.entry.market].is_derivative:
            self.derivatives.append(_derivative_fill(buyer, seller, maker.entry.price, fill.quantity, index))
        else:
            self._move(buyer, seller, maker.entry.price, fill.quantity)

    def _close_group(self) -> None:
        """The group of an IOC or FOK order, if one is open, has ended."""
        if self._group is None:
            return
        order = self._orders[self._group]
        if order.entry.time_in_force == TimeInForce.FOK and order.filled != order.entry.quantity:
            raise SettlementError("FokIncomplete", (self._group,))
        order.is_closed = True
        self._group, self._group_fills = None, 0

    def _count_group(self, taker: WorkingOrder, fill: FillEntry, index: int) -> None:
        if not taker.entry.is_immediate:
            return
        self._group = fill.taker
        self._group_fills += 1
        if self._group_fills > MAX_GROUP_FILLS:
            raise SettlementError("GroupTooLarge", (index,))

    def _use(self, order: WorkingOrder, index: int) -> None:
        """Note that an order acts; no lower sequence of its nonce key may act afterwards."""
        if self._latest.get(order.nonce_key, 0) > order.entry.sequence:
            raise SettlementError("Superseded", (index,))
        self._latest[order.nonce_key] = order.entry.sequence
        order.is_used = True

    def _move(self, buyer: WorkingOrder, seller: WorkingOrder, price: int, quantity: int) -> None:
        market = self._markets[buyer.entry.market]
        notional = notional_down(quantity, price, market.rate)
        fee = fee_down(notional, self._fee_bps)
        lots = quantity * market.rules.lot_size
        self.usdc[buyer.account] -= notional + fee
        self.usdc[seller.account] += notional - fee
        self.fees[buyer.account] += fee
        self.fees[seller.account] += fee
        self.base[buyer.position] += lots
        self.base[seller.position] -= lots


def _derivative_fill(
    buyer: WorkingOrder, seller: WorkingOrder, price: int, quantity: int, index: int
) -> DerivativeFill:
    return DerivativeFill(
        buyer=buyer.entry.position,
        seller=seller.entry.position,
        market=buyer.entry.market,
        buyer_reduces_only=buyer.entry.reduce_only,
        seller_reduces_only=seller.entry.reduce_only,
        buyer_forced=buyer.entry.forced,
        seller_forced=seller.entry.forced,
        fill=index,
        price=price,
        quantity=quantity,
    )


def _check_pair(maker: WorkingOrder, taker: WorkingOrder, fill: FillEntry, index: int) -> None:
    refusals = (
        ("ZeroQuantity", fill.quantity == 0),
        ("MarketMismatch", maker.entry.market != taker.entry.market),
        ("SameSide", maker.entry.side == taker.entry.side),
        ("SelfTrade", maker.account == taker.account),
        ("MakerNotResting", maker.entry.is_immediate),
        ("GroupClosed", taker.is_closed),
    )
    for name, is_refused in refusals:
        if is_refused:
            raise SettlementError(name, (index,))


def _is_crossing(maker: OrderEntry, taker: OrderEntry) -> bool:
    return taker.price <= maker.price if taker.side == Side.SELL else taker.price >= maker.price
