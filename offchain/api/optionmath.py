"""Implied volatility and greeks of options: figures to look at. No money depends on them, so they are floats.

The model is Black's (F. Black, The pricing of commodity contracts, Journal of Financial Economics 3, 1976) with the
index F as forward, undiscounted (r = 0). With w = sigma * sqrt(T), d1 = ln(F / K) / w + w / 2 and d2 = d1 - w

    call(K) = F * N(d1) - K * N(d2)        put(K) = K * N(-d2) - F * N(-d1)

A call here pays min(max(S - K, 0), cap - K) = max(S - K, 0) - max(S - cap, 0): it is a call spread, and every figure of
it is that of call(K) less that of call(cap). A put pays K - S at most, which needs no cap.

A spread is not monotone in volatility. Its derivative by w, F * (n(d1(K)) - n(d1(cap))), is zero only where
d1(K) = -d1(cap), at w*^2 = ln(K * cap / F^2): where F^2 < K * cap it rises up to w* and falls from there on, elsewhere
it falls at once. Implied volatilities are those of the first of these branches, from zero on: beyond w*, where more
volatility makes a call cheaper, no market means them.

Prices are USDC per whole base unit, T years of 365 days, volatilities parts of one per year.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import erfc, exp, inf, log, pi, sqrt

YEAR_SECONDS = 365 * 86_400
DAYS = 365

MAX_VOLATILITY = 10.0
"""1,000 % a year: what would need more has no implied volatility."""

MAX_ITERATIONS = 64
TOLERANCE = 1e-10
"""Of w, relative."""

CACHED = 8_192
"""Results that are remembered; the minute of a chain of 200 options has some 800."""

_ROOT_2 = sqrt(2)
_ROOT_2_PI = sqrt(2 * pi)


@dataclass(frozen=True, slots=True)
class Terms:
    """What there is to know of an option beside its price."""

    forward: float
    strike: float
    cap: float | None
    """of a call"""
    is_put: bool
    years: float
    """until expiry, above 0"""

    @property
    def legs(self) -> tuple[tuple[float, int], ...]:
        """(strike, sign) of the plain options that it consists of."""
        return ((self.strike, 1),) if self.cap is None else ((self.strike, 1), (self.cap, -1))

    @property
    def intrinsic(self) -> float:
        """What it would pay at the forward: its value without any volatility."""
        if self.is_put:
            return max(0.0, self.strike - self.forward)
        paid = max(0.0, self.forward - self.strike)
        return paid if self.cap is None else min(paid, self.cap - self.strike)


@dataclass(frozen=True, slots=True)
class Greeks:
    """How the value of one base unit of the option changes."""

    delta: float
    """per USDC of the index"""
    gamma: float
    """of delta, per USDC of the index"""
    vega: float
    """per percentage point of volatility, USDC"""
    theta: float
    """per day that passes, USDC"""
    rho: float
    """per percentage point of interest, at the same index, USDC"""


def value(terms: Terms, volatility: float) -> float:
    """What the model says that it is worth."""
    return _value_and_slope(terms, volatility * sqrt(terms.years))[0]


@lru_cache(CACHED)
def implied_volatility(terms: Terms, price: float) -> float | None:
    """The volatility at which the model's value is `price`; None where no volatility up to MAX_VOLATILITY explains it,
    such as beyond the bounds of arbitrage.

    Newton's method, kept within a bracket by bisection: at most MAX_ITERATIONS steps.
    """
    low, high = 0.0, MAX_VOLATILITY * sqrt(terms.years)
    turning = _turning_point(terms)
    sign = 1 if turning else -1
    if turning:
        high = min(high, turning)
    if sign * (price - terms.intrinsic) <= 0 or sign * (price - _value_and_slope(terms, high)[0]) > 0:
        return None
    w = (low + high) / 2
    for _ in range(MAX_ITERATIONS):
        found, slope = _value_and_slope(terms, w)
        error = found - price
        if sign * error > 0:
            high = w
        else:
            low = w
        step = w - error / slope if slope else low
        following = step if low < step < high else (low + high) / 2
        if abs(following - w) <= TOLERANCE * w:
            w = following
            break
        w = following
    return w / sqrt(terms.years)


@lru_cache(CACHED)
def greeks(terms: Terms, volatility: float) -> Greeks:
    """At a volatility above 0. Rho counts that the forward of an index grows with the rate: T * (delta * F - value)."""
    root = sqrt(terms.years)
    w = volatility * root
    delta = gamma = vega = worth = 0.0
    for strike, sign in terms.legs:
        d1 = log(terms.forward / strike) / w + w / 2
        density = _density(d1)
        delta += sign * (_normal(d1) - terms.is_put)
        gamma += sign * density / (terms.forward * w)
        vega += sign * terms.forward * density * root
        worth += sign * _plain(terms.forward, strike, d1, w, terms.is_put)
    theta = -vega * volatility / (2 * terms.years)
    rho = terms.years * (delta * terms.forward - worth)
    return Greeks(delta, gamma, vega / 100, theta / DAYS, rho / 100)


def _turning_point(terms: Terms) -> float:
    """Up to which w the value rises: w* of a capped call, 0 if it falls from the beginning."""
    if terms.cap is None:
        return inf
    square = log(terms.strike * terms.cap / terms.forward**2)
    return sqrt(square) if square > 0 else 0.0


def _value_and_slope(terms: Terms, w: float) -> tuple[float, float]:
    """Value, and its derivative by w."""
    worth = slope = 0.0
    for strike, sign in terms.legs:
        d1 = log(terms.forward / strike) / w + w / 2
        worth += sign * _plain(terms.forward, strike, d1, w, terms.is_put)
        slope += sign * terms.forward * _density(d1)
    return worth, slope


def _plain(forward: float, strike: float, d1: float, w: float, is_put: bool) -> float:
    if is_put:
        return strike * _normal(w - d1) - forward * _normal(-d1)
    return forward * _normal(d1) - strike * _normal(d1 - w)


def _normal(x: float) -> float:
    """N(x); by the complementary error function, which keeps its digits in the tail."""
    return erfc(-x / _ROOT_2) / 2


def _density(x: float) -> float:
    return exp(-x * x / 2) / _ROOT_2_PI
