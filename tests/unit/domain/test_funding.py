"""Funding: the hourly rate and the step of the index (the rules of `IClearinghouse`)."""

from __future__ import annotations

from fractions import Fraction
from math import trunc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchain.domain.clearing import FUNDING_SCALE
from offchain.domain.funding import HOUR, RATE_SCALE, hourly_rate, index_step

prices = st.integers(1, 2**56)
samples = st.lists(st.tuples(prices, prices), max_size=12)


def test_a_premium_of_one_percent_costs_one_percent_per_period() -> None:
    hour = [(1_010_000, 1_000_000)] * 60
    assert hourly_rate(hour, HOUR, 10**8) == 10**6
    assert hourly_rate(hour, 8 * HOUR, 10**8) == 125_000  # an eighth


def test_the_rate_is_clamped() -> None:
    assert hourly_rate([(2_000, 1_000)], HOUR, 50_000) == 50_000
    assert hourly_rate([(1, 1_000)], HOUR, 50_000) == -50_000


def test_an_hour_without_samples_costs_nothing() -> None:
    assert hourly_rate([], 8 * HOUR, 50_000) == 0


def test_an_index_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="index"):
        hourly_rate([(1, 1), (1, 0)], HOUR, 50_000)


@given(samples, st.integers(3_600, 86_400))
def test_the_rate_is_the_exact_mean_toward_zero(hour: list[tuple[int, int]], period: int) -> None:
    mean = sum((Fraction(mark - index, index) for mark, index in hour), Fraction()) / max(1, len(hour))
    exact = mean * RATE_SCALE * HOUR / period
    assert hourly_rate(hour, period, 2**200) == trunc(exact)
    assert hourly_rate(hour, period, 50_000) == max(-50_000, min(50_000, trunc(exact)))


@given(samples, st.integers(3_600, 86_400), st.randoms())
def test_the_order_of_the_samples_does_not_matter(
    hour: list[tuple[int, int]], period: int, random: st.DataObject
) -> None:
    shuffled = list(hour)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert hourly_rate(shuffled, period, 2**200) == hourly_rate(hour, period, 2**200)


@given(st.integers(-50_000, 50_000), st.integers(1, 2**64 - 1))
def test_the_step_is_rounded_toward_zero_and_odd(rate: int, index: int) -> None:
    assert index_step(rate, index) == trunc(Fraction(rate * index * FUNDING_SCALE, RATE_SCALE))
    assert index_step(-rate, index) == -index_step(rate, index)
