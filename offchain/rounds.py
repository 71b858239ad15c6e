"""The oracles' rounds by which fills were matched, and whether a batch can settle at them."""

from __future__ import annotations

from collections.abc import Sequence

from offchain.catalogue import Catalogue
from offchain.domain.oracle import Conversion, conversion_rate_down
from offchain.ports import BatchRow, Chain, ItemRow


class Rounds:
    """The oracles' rounds at which the fills of a batch that grows were matched: one for each market that needs one."""

    def __init__(self) -> None:
        self.by_market: dict[int, int] = {}
        self._second: int | None = None

    def take(self, group: Sequence[ItemRow]) -> bool:
        """Add fills; False if they were matched at another round, or at one that came after the batch's match time."""
        for trade in (item.trade for item in group):
            if trade is None:
                continue
            if self._second is None:
                self._second = trade.time_ms // 1000
            conversion = trade.conversion
            if conversion is None:
                continue
            if conversion.updated_at > self._second:
                return False
            if self.by_market.setdefault(trade.market, conversion.round) != conversion.round:
                return False
        return True


def rounds_of(items: Sequence[ItemRow]) -> dict[int, Conversion]:
    """By market, at what the fills of a batch are paid."""
    return {
        item.trade.market: item.trade.conversion
        for item in items
        if item.trade is not None and item.trade.conversion is not None
    }


async def replaced_round(chain: Chain, catalogue: Catalogue, row: BatchRow, items: Sequence[ItemRow]) -> int | None:
    """The first item of a market whose round has another price now, as after a reorganisation: it would settle for
    other money than both sides were told. None if all rounds are as they were matched."""
    for market, conversion in rounds_of(items).items():
        price = await chain.price_at(catalogue.market(market).oracle, conversion.round, row.matched_at)
        if price is None or conversion_rate_down(price) != conversion.rate:
            return next(item.item for item in items if item.trade is not None and item.trade.market == market)
    return None
