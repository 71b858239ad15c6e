"""Orders of two markets never trade with each other, wherever their markets lie in the batch's table."""

from __future__ import annotations

import pytest

MARKET_SHIFT, FLAGS_SHIFT = 224, 216
ROWS = (0, 1, 255, 256, 257, 512, 2**15, 2**16 - 1)


@pytest.fixture(scope="module")
def terms(project, owner):
    return owner.deploy(project.MockOrderTerms)


def word(market: int, side: int) -> int:
    """The first word of an order; every other field is full."""
    rest = (2**256 - 1) ^ ((2**16 - 1) << MARKET_SHIFT) ^ (1 << FLAGS_SHIFT)
    return rest | market << MARKET_SHIFT | side << FLAGS_SHIFT


@pytest.mark.parametrize("row", ROWS)
def test_only_orders_of_one_market_are_opposite(terms, row):
    """A batch of 257 markets must not pair row 0 with row 256: their indices differ in the upper byte only."""
    for other in ROWS:
        for side, against in ((0, 0), (0, 1), (1, 0), (1, 1)):
            is_pair = row == other and side != against
            assert terms.isOpposite(word(row, side), word(other, against)) == is_pair, (row, other)


@pytest.mark.parametrize("bit", range(16))
def test_every_bit_of_the_market_counts(terms, bit):
    assert not terms.isOpposite(word(0, 0), word(1 << bit, 1))
