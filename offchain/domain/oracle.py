"""A price oracle's rounds, as the contracts ask for them (`IPriceOracle`).

Prices are USD per whole unit with 18 decimals, times Unix seconds. The index of a market is in micro-USDC per lot.
"""

from __future__ import annotations

from dataclasses import dataclass

from offchain.domain.batch import SettlementError

SUCCESSOR_GRACE = 60
"""A round may still be used for so many seconds after its successor came."""

PRICE_DECIMALS = 18


@dataclass(frozen=True, slots=True)
class Round:
    id: int
    price: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class PriceFeed:
    """The rounds of one oracle, oldest first, at least one; each is followed by the next."""

    rounds: tuple[Round, ...]
    max_age: int
    """seconds for which a price counts as fresh"""

    def latest(self, now: int) -> Round:
        """The newest round; StalePrice if it is older than `max_age`."""
        newest = self.rounds[-1]
        if now - newest.updated_at > self.max_age:
            raise SettlementError("StalePrice", (newest.id, newest.updated_at))
        return newest

    def price_at(self, round_id: int, time: int) -> int:
        """Price of the round that held at `time`: the latest with `updated_at <= time`, or one whose successor came
        less than a minute before; not older than `max_age` then. Else WrongRound."""
        found, successor = self._find(round_id, time)
        has_held = successor is None or successor.updated_at > time - SUCCESSOR_GRACE
        if found.updated_at > time or not has_held or time - found.updated_at > self.max_age:
            raise SettlementError("WrongRound", (round_id, time))
        return found.price

    def price_across(self, round_id: int, time: int) -> int:
        """Price of the round that is the last before `time`, where the next has come. Else WrongRound."""
        found, successor = self._find(round_id, time)
        if successor is None or not found.updated_at <= time < successor.updated_at:
            raise SettlementError("WrongRound", (round_id, time))
        return found.price

    def _find(self, round_id: int, time: int) -> tuple[Round, Round | None]:
        for index, each in enumerate(self.rounds):
            if each.id == round_id:
                return each, self.rounds[index + 1] if index + 1 < len(self.rounds) else None
        raise SettlementError("WrongRound", (round_id, time))


def index_down(price: int, lot_size: int, base_decimals: int) -> int:
    """I = floor(price * lotSize / 10^(baseDecimals + 12)): micro-USDC per lot from USD per whole unit (18 decimals)."""
    return price * lot_size // int(10 ** (base_decimals + 12))


def conversion_rate_down(price: int) -> int:
    """Micro-USDC per whole unit of a quote asset from USD per whole unit (18 decimals)."""
    return price // 10**12
