"""Whom a taker meets: a plan made against the book as it is, which changes nothing.

Prices are micro-USDC per lot, quantities lots.
"""

from __future__ import annotations

import msgspec

from offchain.domain.account import LiveOrder
from offchain.domain.book import BookSide
from offchain.domain.clearing import BPS
from offchain.domain.oracle import is_beyond, notional_down
from offchain.domain.order import NO_EXPIRY, Order, SelfTrade, TimeInForce
from offchain.domain.trial import Trial

MAX_GROUP = 256
"""Makers that an IOC or FOK order may have: the Engine settles its fills as one group of at most so many."""

MAX_CLEARED_GROUP = 192
"""The same in a derivative's market, whose fills need more of the gas that a transaction may use."""

MAX_FILLS = 1_024
"""Fills that one command may make."""

MAX_MET = 8_192
"""Makers that one command may look at, filled or not."""


_PASSED_OVER = ("expired", "conversionLimit", "reduceOnly", "insufficientBalance", "insufficientMargin")
"""Why an order that would stand in the way counts for nothing."""


# Looking a member up on its class costs more than comparing with it.
_IOC = int(TimeInForce.IOC)
_EXPIRE_MAKER, _EXPIRE_TAKER = SelfTrade.EXPIRE_MAKER, SelfTrade.EXPIRE_TAKER


class Plan(msgspec.Struct, gc=False):
    """What happens to the makers, in order, and what is left of the taker."""

    remaining: int
    fills: int = 0
    spent_down: int = 0
    """notional plus the taker's fees, micro-USDC"""
    stop: str = ""
    """why the remainder may not rest although it could cross further; "" if it may"""
    steps: list[tuple[LiveOrder, int, str]] = []
    """(maker, lots filled, ""), or (maker, 0, why it ends)"""

    @property
    def crosses(self) -> bool:
        """Whether a living order stands in the way, the account's own included."""
        return bool(self.fills or self.stop) or any(code not in _PASSED_OVER for _, _, code in self.steps)


def plan(
    makers: BookSide,
    order: Order,
    wanted: int,
    now_ms: int,
    self_trade: SelfTrade,
    replaced: LiveOrder | None,
    fee_bps: int,
    rate: int | None = None,
    trial: Trial | None = None,
) -> Plan:
    """Match `wanted` lots of `order` in price-time order. `replaced` is on its way out and is passed over.

    `rate`: micro-USDC per whole quote unit; None unless the market is cross-quoted. `trial`: of a derivative.
    """
    result = Plan(wanted)
    if makers.sign * order.price > makers.best_key:
        return result  # most orders meet nobody
    steps, account, remaining = result.steps, order.account, wanted
    max_fills, limit_code = MAX_FILLS, "fillLimit"
    if order.time_in_force >= _IOC:
        max_fills, limit_code = MAX_GROUP if trial is None else MAX_CLEARED_GROUP, "groupLimit"
    met = 0
    for price, level in makers.crossing(order.price):
        for maker in level.orders.values():
            if maker is replaced:
                continue
            met += 1
            if met > MAX_MET:
                result.stop = limit_code
                return result
            met_order = maker.order
            if met_order.expiry != NO_EXPIRY and met_order.is_dead(now_ms):
                steps.append((maker, 0, "expired"))
                continue
            if rate is not None and is_beyond(met_order.side, met_order.conversion_limit, rate):
                steps.append((maker, 0, "conversionLimit"))
                continue
            if met_order.account == account:
                if self_trade is not _EXPIRE_TAKER:
                    steps.append((maker, 0, "selfTrade"))
                if self_trade is not _EXPIRE_MAKER:
                    result.stop = "selfTrade"
                    return result
                continue
            if result.fills == max_fills:
                result.stop = limit_code
                return result
            quantity = maker.quantity - maker.filled
            if quantity > remaining:
                quantity = remaining
            if trial is not None:
                quantity, unfit = trial.offer(maker, price, quantity)
                if unfit:
                    steps.append((maker, 0, unfit))
                    continue
            notional = price * quantity if rate is None else notional_down(quantity, price, rate)
            steps.append((maker, quantity, ""))
            remaining -= quantity
            result.fills += 1
            result.remaining = remaining
            result.spent_down += notional + notional * fee_bps // BPS  # as fee_down, without a call per fill
            if not remaining:
                return result
    return result
