"""Funding of perpetuals: the hourly rate and the cumulative index (the rules of `IClearinghouse`).

Rates are in units of 1e-8 per hour (1 bp is 10,000), prices and indices micro-USDC per lot, the funding index
micro-USDC per lot x 2^32, times Unix seconds. A positive rate is paid by longs to shorts.
"""

from __future__ import annotations

from collections.abc import Sequence

from offchain.domain.clearing import FUNDING_SCALE

RATE_SCALE = 10**8
HOUR = 3600


def truncated_div(dividend: int, divisor: int) -> int:
    """Rounded toward zero, as the contracts divide signed numbers. `divisor` is positive."""
    return dividend // divisor if dividend >= 0 else -(-dividend // divisor)


def index_step(rate: int, index: int) -> int:
    """dF = rate * I * 2^32 / 1e8, toward zero: what one accrual adds to the funding index."""
    return truncated_div(rate * index * FUNDING_SCALE, RATE_SCALE)


def hourly_rate(samples: Sequence[tuple[int, int]], period: int, cap: int) -> int:
    """The rate of an hour with these samples of (mark, index): mean((mark - index) / index) * HOUR / period.

    Rounded toward zero and clamped to +-`cap`. `period` is in seconds; an hour makes the rate the premium itself. The
    mean is exact: it is taken over a common denominator. No samples: 0. Raises ValueError for an index that is not
    positive.
    """
    if any(index <= 0 for _, index in samples):
        raise ValueError("funding: an index must be positive")
    numerator, denominator = 0, 1
    for mark, index in samples:
        numerator, denominator = numerator * index + (mark - index) * denominator, denominator * index
    rate = truncated_div(numerator * RATE_SCALE * HOUR, denominator * max(1, len(samples)) * period)
    return max(-cap, min(cap, rate))
