"""Decimal strings and integers convert exactly, in both directions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchain.domain.units import format_units, parse_integer, parse_units


@given(st.integers(0, 10**30 - 1), st.integers(0, 18))
def test_parsing_undoes_formatting(value: int, decimals: int) -> None:
    assert parse_units(format_units(value, decimals), decimals) == value


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(0, 6, "0"), (1, 6, "0.000001"), (1_500_000, 6, "1.5"), (-1_500_000, 6, "-1.5"), (-1, 2, "-0.01"), (7, 0, "7")],
)
def test_formatting_is_the_shortest_form(value: int, decimals: int, text: str) -> None:
    assert format_units(value, decimals) == text


@pytest.mark.parametrize("text", ["-1", "1e3", "01", "", ".", "1.", ".1", " 1", "1\n", "٣"])
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="plain"):
        parse_units(text, 6)
    if text != "1.":
        with pytest.raises(ValueError, match="plain"):
            parse_integer(text)


def test_more_decimals_than_units_are_refused() -> None:
    with pytest.raises(ValueError, match="has 3 decimals, at most 2"):
        parse_units("1.230", 2)
