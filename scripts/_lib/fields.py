"""Reading single fields of a listing or of a command: exact, and every refusal names the field and the reason."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from eth_utils.address import to_checksum_address

_DECIMAL = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]+)?")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


class DeploymentError(Exception):
    """The command cannot start or go on; the message says what and why."""


def parse_address(where: str, value: Any) -> str:
    """Return the address with its checksum; one given in mixed case must have the right one."""
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value) or int(value, 16) == 0:
        raise DeploymentError(f"{where}: {value!r} is not an address")
    checksummed = to_checksum_address(value)
    if value[2:] not in (value[2:].lower(), value[2:].upper()) and value != checksummed:
        raise DeploymentError(f"{where}: {value} has a wrong checksum, which means a mistyped address")
    return checksummed


def parse_text(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise DeploymentError(f"{where}: must be a non-empty string")
    return value


def parse_flag(where: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise DeploymentError(f"{where}: {value!r} is not true or false")
    return value


def parse_count(where: str, value: Any, lowest: int, highest: int) -> int:
    if type(value) is not int or not lowest <= value <= highest:
        raise DeploymentError(f"{where}: {value!r} is not an integer from {lowest} to {highest}")
    return value


def parse_decimal(where: str, value: Any, decimals: int) -> int:
    """Convert a decimal string above 0 to an integer of 10^-decimals, exactly."""
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise DeploymentError(f"{where}: {value!r} is not a decimal string")
    scaled = Decimal(value).scaleb(decimals)
    if scaled != scaled.to_integral_value():
        raise DeploymentError(f"{where}: {value} has more than {decimals} decimals")
    if scaled == 0:
        raise DeploymentError(f"{where}: must be above 0")
    return int(scaled)


def check_fields(where: str, entry: Any, required: set[str], optional: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """Refuse an object that lacks a field or has one that means nothing."""
    if not isinstance(entry, dict):
        raise DeploymentError(f"{where}: must be an object")
    if missing := sorted(required - entry.keys()):
        raise DeploymentError(f"{where}.{missing[0]}: is missing")
    if unknown := sorted(entry.keys() - required - optional):
        raise DeploymentError(f"{where}.{unknown[0]}: is unknown")


def check_unique(where: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise DeploymentError(f"{where}: {name} is listed twice")
