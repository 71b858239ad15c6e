"""What all commands and chain logs share."""

from __future__ import annotations

import msgspec


class Base(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Common settings of commands and chain logs: frozen data has no cycles to collect."""
