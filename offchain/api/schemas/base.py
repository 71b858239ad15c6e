"""What all schemas share."""

from __future__ import annotations

import msgspec


class Base(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Common settings."""


class Sparse(Base, frozen=True, kw_only=True, omit_defaults=True):
    """Fields at their default are left out."""
