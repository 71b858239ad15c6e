"""Which round an oracle lets a settlement use, and the integers that come out of its price."""

from __future__ import annotations

import pytest

from offchain.domain.batch import SettlementError
from offchain.domain.oracle import PriceFeed, Round, conversion_rate_down, index_down

FEED = PriceFeed((Round(7, 700, 1_000), Round(8, 800, 1_100), Round(9, 900, 1_500)), max_age=500)


@pytest.mark.parametrize(
    ("round_id", "time", "price"),
    [
        (7, 1_000, 700),
        (7, 1_099, 700),
        (7, 1_159, 700),  # its successor came 59 s before
        (7, 1_160, None),
        (7, 999, None),
        (8, 1_100, 800),
        (8, 1_559, 800),
        (8, 1_560, None),
        (9, 1_500, 900),
        (9, 2_000, 900),
        (9, 2_001, None),
        (6, 1_100, None),
        (10, 1_600, None),
    ],
)
def test_the_round_that_held(round_id: int, time: int, price: int | None) -> None:
    if price is None:
        with pytest.raises(SettlementError, match=rf"WrongRound\({round_id}, {time}\)"):
            FEED.price_at(round_id, time)
    else:
        assert FEED.price_at(round_id, time) == price


@pytest.mark.parametrize(
    ("round_id", "time", "price"),
    [(7, 1_099, 700), (7, 1_100, None), (8, 1_100, 800), (8, 1_099, None), (9, 1_500, None), (6, 1_100, None)],
)
def test_the_round_across_a_time(round_id: int, time: int, price: int | None) -> None:
    if price is None:
        with pytest.raises(SettlementError, match="WrongRound"):
            FEED.price_across(round_id, time)
    else:
        assert FEED.price_across(round_id, time) == price


def test_the_latest_round_must_be_fresh() -> None:
    assert FEED.latest(2_000) == Round(9, 900, 1_500)
    with pytest.raises(SettlementError, match=r"StalePrice\(9, 1500\)"):
        FEED.latest(2_001)


def test_the_index_is_floored_micro_usdc_per_lot() -> None:
    # 50,000.123456789 USD per BTC, 0.00001 BTC per lot: 500,001.23...
    assert index_down(50_000_123_456_789 * 10**9, 1_000, 8) == 500_001
    assert index_down(2_500 * 10**18, 10**15, 18) == 2_500_000


def test_the_conversion_rate_is_floored_micro_usdc_per_unit() -> None:
    assert conversion_rate_down(50_000_123_456_789 * 10**9) == 50_000_123_456
