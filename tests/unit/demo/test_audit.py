"""The demo's comparison of its witnesses finds what differs."""

from __future__ import annotations

from scripts._demo.audit import Books, compare

MAKER = b"\x01" * 20
ORDER = b"\x02" * 32


def test_equal_books_have_no_differences() -> None:
    books = Books({(MAKER, 0): 5, (MAKER, 1): 0}, {ORDER: 3})
    assert compare("service", books, "chain", Books({(MAKER, 0): 5}, {ORDER: 3})) == []


def test_a_unit_of_a_balance_is_a_difference() -> None:
    (line,) = compare("service", Books({(MAKER, 0): 5}), "chain", Books({(MAKER, 0): 4}))
    assert "service 5, chain 4" in line


def test_an_order_that_one_side_does_not_know_is_a_difference() -> None:
    (line,) = compare("journal", Books(), "chain", Books({}, {ORDER: 3}))
    assert "journal 0, chain 3" in line
