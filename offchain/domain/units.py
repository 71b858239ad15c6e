"""Decimal strings, as they travel on the wire, and integers, as everything inside counts them.

A decimal string is plain: digits, optionally a point and more digits; no sign, exponent, space or leading zero. The
conversions are exact in both directions and never round.
"""

from __future__ import annotations

import re
from functools import lru_cache

CACHED = 8_192
"""conversions that are remembered: prices and quantities come again and again"""

_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,29})(?:\.([0-9]{1,30}))?", re.ASCII)
_INTEGER = re.compile(r"0|[1-9][0-9]{0,77}", re.ASCII)


@lru_cache(CACHED)
def parse_units(text: str, decimals: int) -> int:
    """`text` in units of 10^-`decimals`. ValueError, saying why, for any other form or more decimals than that."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError("is not a plain decimal number such as 12.5 (no sign, exponent, space or leading zero)")
    whole, fraction = match.groups("")
    if len(fraction) > decimals:
        raise ValueError(f"has {len(fraction)} decimals, at most {decimals} are possible")
    return int(whole + fraction.ljust(decimals, "0"))


@lru_cache(CACHED)
def format_units(value: int, decimals: int) -> str:
    """`value` units of 10^-`decimals` as the shortest decimal string; a negative value carries a minus sign."""
    sign, digits = ("-", str(-value)) if value < 0 else ("", str(value))
    if decimals == 0:
        return sign + digits
    digits = digits.rjust(decimals + 1, "0")
    fraction = digits[-decimals:].rstrip("0")
    return f"{sign}{digits[:-decimals]}.{fraction}" if fraction else sign + digits[:-decimals]


def parse_integer(text: str) -> int:
    """A non-negative integer of at most 78 digits, without sign, space or leading zero; ValueError, saying why."""
    if _INTEGER.fullmatch(text) is None:
        raise ValueError("is not a plain integer in decimal digits")
    return int(text)
