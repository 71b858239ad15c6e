"""Administrators: who acts, and the actions that nobody else has. Others of theirs are commands by themselves.

Whatever an administrator does comes as one command (`commands.Administer`), so that nothing changes without its entry
in the audit log.
"""

from __future__ import annotations

import msgspec

from offchain.domain.errors import Rejection

Facts = dict[str, int | str | bool | None]
"""How things stand that an action concerns, by their names in the API; numbers are integers as in commands."""


class Base(msgspec.Struct, frozen=True, array_like=True):
    """Common settings."""


class Actor(Base, frozen=True, array_like=True):
    """Who acts: what the token said, and where the request came from."""

    issuer: str
    """of the token; "console" for a command on the service's own machine"""
    subject: str
    groups: list[str]
    request_id: str
    """the HTTP request's, "" for others"""
    address: str
    """the client's, "" where there is none"""


class HaltAll(Base, frozen=True, array_like=True, tag="haltAll"):
    """Halt or resume all markets at once; a market that is halted by itself as well stays so."""

    halted: bool
    reason: str


class ChangeSettings(Base, frozen=True, array_like=True, tag="changeSettings"):
    """Change limits of orders that are placed from now on; None: leave as it is."""

    max_open_orders: int | None = None
    """open orders per account"""
    price_band_bps: int | None = None
    """how far beyond the best price that others offer an order may reach, basis points; 0: not checked"""


class LimitQuantity(Base, frozen=True, array_like=True, tag="limitQuantity"):
    """Lots that an order of the market may have from now on; None: as many as the registry lets it."""

    market: int
    quantity: int | None


class SetLeverage(Base, frozen=True, array_like=True, tag="setLeverage"):
    """What an account must have, in the position and free beside it, for a position of the market to grow.

    The registry's margins never change; this one is the service's own, and asks for more. None: the registry's alone.
    """

    market: int
    opening_margin_bps: int | None
    """basis points of the position's value at the index: 2,000 is a leverage of 5"""


class Denied(Base, frozen=True, array_like=True, tag="denied"):
    """Somebody known was refused before the core had anything to decide; it changes nothing, and is on record."""

    action: str
    """what was asked for, named as in the audit log"""
    request: str
    """method and address, and the beginning of the body"""
    rejection: Rejection
