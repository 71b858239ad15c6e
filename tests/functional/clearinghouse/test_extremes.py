"""The largest and smallest numbers that every field holds."""

from __future__ import annotations

import pytest

from tests.functional.clearinghouse.house import HOUR, OPTION, PERP, PRICE_OF_INDEX, Fill, fill_word, position_word
from tests.utils.reverts import reverts

LOTS_40 = 2**40 - 1  # most of a fill
PRICE_56 = 2**56 - 1
SIZE_MAX = 2**63 - 1
QUOTE_MAX = 2**95 - 1
RICHES = 2**120


@pytest.fixture(autouse=True)
def deep_pockets(house, maker, taker, rescuer):
    for account in (maker, taker, rescuer):
        house.usdc.mint(house.owner, RICHES, sender=house.owner)
        house.deposit(account, RICHES)


def test_every_field_of_a_fill_at_its_maximum(house, maker, taker):
    """The words are cut by their widths, not by the next field."""
    market = house.create_market(PERP, index=PRICE_56)
    with reverts("QuoteOverflow", fill=65_535):
        _settle_words(house, market, maker, taker, 65_535, PRICE_56, LOTS_40)
    _settle_words(house, market, maker, taker, 65_535, PRICE_56, 2**38)
    margin = 2**38 * PRICE_56 // 10
    assert house.position(maker, market) == (2**38, margin - 2**38 * PRICE_56)


def _settle_words(house, market, buyer, seller, fill, price, quantity):
    words = [fill_word(Fill(buyer, seller, quantity, price), 0, 1, 0, fill)]
    positions = [position_word(account.address, market, n) for n, account in enumerate((buyer, seller))]
    return house.engine.settle(house.now(), 0, [market], [0], positions, words, sender=house.owner)


def test_a_quote_beyond_96_bits(house, maker, taker):
    """A short's quote is 1.1 qP: its limit is reached before the long's."""
    market = house.create_market(PERP, index=2**56 - 1)
    quantity = QUOTE_MAX // PRICE_56 * 10 // 11
    house.trade(maker, taker, quantity - 1, price=PRICE_56, market=market)
    with reverts("QuoteOverflow", fill=0):
        house.trade(maker, taker, quantity // 10, price=PRICE_56, market=market)


def test_a_size_beyond_64_bits(house, maker, taker):
    """Options have no quote, so that only the size limits them."""
    market = house.create_market(OPTION, expiry=house.now() + HOUR, strikePerLot=1, isPut=True)
    store_position(house, maker, market, SIZE_MAX - 5, 0)
    store_position(house, taker, market, -(SIZE_MAX - 5), 0)
    with reverts("SizeOverflow", fill=0):
        house.trade(maker, taker, 6, price=1, market=market)
    house.trade(maker, taker, 5, price=1, market=market)
    assert house.position(maker, market) == (SIZE_MAX, 0)
    with reverts("SizeOverflow", fill=1):
        house.settle([Fill(taker, maker, 1, 1, market=market), Fill(maker, taker, 2, 1, market=market)])


@pytest.mark.parametrize(
    ("size", "quote"), [(1, QUOTE_MAX), (-1, QUOTE_MAX), (1, -QUOTE_MAX - 1), (-1, -QUOTE_MAX - 1)]
)
def test_quotes_at_both_ends_round_trip(house, maker, size, quote):
    store_position(house, maker, house.market, size, quote)
    assert house.position(maker) == (size, quote)
    equity, _ = house.clearing.equity(maker, house.market)
    assert equity == size * 100_000_000 + quote


def test_the_smallest_size_round_trips(house, maker):
    store_position(house, maker, house.market, -(2**63), -(2**95), -(2**95))
    assert house.clearing.positionOf(maker, house.market) == (-(2**63), -(2**95), -(2**95))
    assert house.clearing.equity(maker, house.market)[1] == -(-(2**63) * 100_000_000 * 500 // 10_000)


def test_funding_at_both_ends_of_its_index(house, maker, taker, rescuer):
    """A move over the whole range of the index: the payment does not fit, and the fill says so."""
    store_position(house, maker, house.market, 2**62, 0, -(2**95))
    store_market(house, house.market, 2**95 - 1)
    with reverts("QuoteOverflow", fill=0):
        house.trade(rescuer, maker, 1)


def test_a_funding_index_that_does_not_fit(house):
    store_market(house, house.market, 2**95 - 1)
    hour = house.now() // HOUR + 1
    house.move_to(hour * HOUR)
    with reverts("SafeCastOverflowedIntDowncast", bits=96, value=2**95 - 1 + 50_000 * 100_000_000 * 2**32 // 10**8):
        house.clearing.accrueFunding(house.market, hour, 50_000, 1, sender=house.operator)


@pytest.mark.parametrize("price", [PRICE_OF_INDEX - 1, 0, 2**64 * PRICE_OF_INDEX, 2**128, 2**256 - 1])
def test_an_index_out_of_bounds(house, maker, taker, price):
    house.oracles[house.market].push(price, sender=house.owner)
    with reverts("IndexOutOfBounds", market=house.market, price=price):
        house.trade(maker, taker, 1)


@pytest.mark.parametrize("index", [1, 2**64 - 1])
def test_the_smallest_and_the_largest_index(house, index):
    house.set_index(index)
    store_position(house, house.owner, house.market, SIZE_MAX, 0)
    equity, maintenance = house.clearing.equity(house.owner, house.market)
    assert (equity, maintenance) == (SIZE_MAX * index, -(-SIZE_MAX * index * 500 // 10_000))


def test_the_index_of_a_coarse_lot(house):
    """A lot of 16,777,215 * 10^20 quanta of 24 decimals."""
    terms = {"lotMantissa": 2**24 - 1, "lotExponent": 20, "baseDecimals": 24}
    market = house.create_market(PERP, **terms)
    oracle = house.oracles[market]
    price = 123_456_789_012_345_678
    oracle.push(price, sender=house.owner)
    store_position(house, house.owner, market, 1, 0)
    assert house.clearing.equity(house.owner, market)[0] == price * (2**24 - 1) * 10**20 // 10**36


def store_position(house, account, market, size, quote, funding=0):
    """Write a position's storage word."""
    word = (size % 2**64) << 192 | (quote % 2**96) << 96 | funding % 2**96
    house.store(house.slot_of_position(account, market), word)


def store_market(house, market, funding):
    house.store(house.slot_of_market(market), (funding % 2**96) << 160)
