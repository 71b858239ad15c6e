"""A price oracle's rounds, as the contracts ask for them (`IPriceOracle`).

Prices are USD per whole unit with 18 decimals, times Unix seconds. The index of a market is in micro-USDC per lot.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from offchain.domain.batch import SettlementError
from offchain.domain.order import Side

SUCCESSOR_GRACE = 60
"""A round may still be used for so many seconds after its successor came."""

PRICE_DECIMALS = 18

SEEN_FOR_MS = 40_000
"""So long after it was seen last a round may be matched at: its successor is then less than SUCCESSOR_GRACE old, with
time to spare for the way from the chain."""

RATE_SCALE = 10**12
"""Prices of cross-quoted markets are in parts of a whole quote unit."""

MAX_INDEX = 2**64 - 1
"""The highest index that the Clearinghouse takes, micro-USDC per lot."""

_MAX_RATE = 2**64 - 1


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


def notional_down(quantity: int, price: int, rate: int | None) -> int:
    """Micro-USDC of a spot fill: q * P, or floor(q * P * rate / 10^12) in a cross-quoted market, where the price is in
    10^-12 whole quote units per lot and the rate in micro-USDC per whole quote unit."""
    return quantity * price if rate is None else quantity * price * rate // RATE_SCALE


def notional_up(quantity: int, price: int, limit: int) -> int:
    """The most that lots of a cross-quoted market cost in micro-USDC, up to a price and a conversion limit."""
    return -(-quantity * price * limit // RATE_SCALE)


def is_beyond(side: int, limit: int, rate: int) -> bool:
    """Whether an order does not accept a rate: its limit is a buyer's highest, a seller's lowest."""
    return rate > limit if side == Side.BUY else rate < limit


# ---------------------------------------------------------------------------------------------------------------------
# What is known of the newest round
# ---------------------------------------------------------------------------------------------------------------------


class Conversion(msgspec.Struct, frozen=True, array_like=True):
    """At what a cross-quoted fill is paid."""

    round: int
    rate: int
    """micro-USDC per whole quote unit"""
    updated_at: int


class OraclePrice(msgspec.Struct, frozen=True, array_like=True):
    """An oracle's newest round as it was seen."""

    round: int
    price: int
    """USD per whole unit, 18 decimals"""
    updated_at: int
    valid_until: int
    """last second at which the oracle takes the round for fresh"""
    seen_ms: int
    """when the core was told last that it is the newest, Unix milliseconds"""

    def is_usable(self, now_ms: int) -> bool:
        """Whether what is matched now settles at this round."""
        return now_ms - self.seen_ms <= SEEN_FOR_MS and now_ms // 1000 <= self.valid_until

    def conversion(self) -> Conversion | None:
        """None if the rate is one that the Engine refuses."""
        rate = conversion_rate_down(self.price)
        return Conversion(self.round, rate, self.updated_at) if 0 < rate <= _MAX_RATE else None
