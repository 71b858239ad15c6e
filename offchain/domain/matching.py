"""Whom a taker meets: a plan made against the book as it is, which changes nothing.

Prices are micro-USDC per lot, quantities lots.
"""

from __future__ import annotations

from offchain.domain.account import LiveOrder
from offchain.domain.book import BookSide
from offchain.domain.clearing import fee_down
from offchain.domain.oracle import is_beyond, notional_down
from offchain.domain.order import Order, SelfTrade, TimeInForce
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


class Plan:
    """What happens to the makers, in order, and what is left of the taker."""

    __slots__ = ("fills", "remaining", "spent_down", "steps", "stop")

    def __init__(self, quantity: int) -> None:
        self.steps: list[tuple[LiveOrder, int, str]] = []
        """(maker, lots filled, ""), or (maker, 0, why it ends)"""
        self.fills = 0
        self.remaining = quantity
        self.spent_down = 0
        """notional plus the taker's fees, micro-USDC"""
        self.stop = ""
        """why the remainder may not rest although it could cross further; "" if it may"""

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
    is_immediate = order.time_in_force >= TimeInForce.IOC
    max_fills, limit_code = MAX_FILLS, "fillLimit"
    if is_immediate:
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
            if maker.order.is_dead(now_ms):
                result.steps.append((maker, 0, "expired"))
                continue
            if rate is not None and is_beyond(maker.order.side, maker.order.conversion_limit, rate):
                result.steps.append((maker, 0, "conversionLimit"))
                continue
            if maker.order.account == order.account:
                if self_trade is not SelfTrade.EXPIRE_TAKER:
                    result.steps.append((maker, 0, "selfTrade"))
                if self_trade is not SelfTrade.EXPIRE_MAKER:
                    result.stop = "selfTrade"
                    return result
                continue
            if result.fills == max_fills:
                result.stop = limit_code
                return result
            quantity = min(result.remaining, maker.remaining)
            if trial is not None:
                quantity, unfit = trial.offer(maker, price, quantity)
                if unfit:
                    result.steps.append((maker, 0, unfit))
                    continue
            notional = price * quantity if rate is None else notional_down(quantity, price, rate)
            result.steps.append((maker, quantity, ""))
            result.fills += 1
            result.remaining -= quantity
            result.spent_down += notional + fee_down(notional, fee_bps)
            if not result.remaining:
                return result
    return result
