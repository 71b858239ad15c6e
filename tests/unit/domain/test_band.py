"""The price band: only what reaches too far through the book is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from offchain.domain.errors import Code
from offchain.domain.results import PlaceResult
from tests.utils.exchange import BUY, FOK, IOC, MAKER, OTHER, SELL, TAKER, Exchange


@pytest.fixture
def banded(create_exchange: Callable[..., Exchange]) -> Exchange:
    """10 % around a book of 100 bid, 103 asked."""
    exchange = create_exchange(price_band_bps=1_000)
    exchange.place(MAKER, BUY, 100, 5)
    exchange.place(MAKER, SELL, 103, 5)
    return exchange


def is_refused(result: PlaceResult) -> bool:
    if result.rejection is None:
        return False
    assert (result.rejection.code, result.rejection.param) == (Code.PRICE_OUTSIDE_BAND, "price")
    return True


@pytest.mark.parametrize(
    ("side", "price", "expected"),
    [
        (BUY, 113, False),  # 103 * 1.1 = 113.3
        (BUY, 114, True),
        (SELL, 90, False),
        (SELL, 89, True),
        (BUY, 1, False),  # the other way an order reaches for nothing
        (SELL, 10_000, False),
    ],
)
@pytest.mark.parametrize("tif", [0, IOC, FOK])
def test_the_band_is_measured_at_the_best_opposite_price(
    banded: Exchange, side: int, price: int, expected: bool, tif: int
) -> None:
    assert is_refused(banded.place(TAKER, side, price, 1, tif=tif)) == expected


def test_a_price_at_the_edge_is_within(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(price_band_bps=1_000)
    exchange.place(MAKER, SELL, 110, 5)
    assert not is_refused(exchange.place(TAKER, BUY, 121, 1))
    assert is_refused(exchange.place(TAKER, BUY, 122, 1))


def test_the_refusal_says_what_would_do(banded: Exchange) -> None:
    rejection = banded.place(TAKER, BUY, 200, 1).rejection
    assert rejection is not None
    assert "the best price 103" in rejection.detail
    assert "the highest is 113" in rejection.detail
    rejection = banded.place(TAKER, SELL, 1, 1).rejection
    assert rejection is not None
    assert "the lowest is 90" in rejection.detail


def test_where_nobody_offers_any_price_rests(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(price_band_bps=1_000)
    assert exchange.place(TAKER, BUY, 9_000, 1).status == "open"


def test_the_band_follows_the_book(banded: Exchange) -> None:
    assert is_refused(banded.place(TAKER, BUY, 120, 1))
    banded.place(TAKER, BUY, 103, 5)
    banded.place(OTHER, SELL, 112, 1)
    assert not is_refused(banded.place(TAKER, BUY, 120, 1))


def test_a_refused_order_gets_the_same_answer_again(banded: Exchange) -> None:
    first = banded.place(TAKER, BUY, 200, 1, key=7)
    again = banded.place(TAKER, BUY, 200, 1, key=7)
    assert (again.repeated, again.rejection) == (True, first.rejection)


def test_without_a_band_every_price_is_taken(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange()
    exchange.place(MAKER, SELL, 100, 1)
    assert exchange.place(TAKER, BUY, 9_000, 1).status == "filled"


def test_a_band_of_everything_bounds_buys_only(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(price_band_bps=10_000)
    exchange.place(MAKER, BUY, 100, 5)
    exchange.place(MAKER, SELL, 103, 5)
    assert not is_refused(exchange.place(TAKER, SELL, 1, 1))
    assert is_refused(exchange.place(TAKER, BUY, 207, 1))
