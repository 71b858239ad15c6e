from __future__ import annotations

from tests.unit.jobs.relayworld import chain, maker, taker, world

__all__ = ["chain", "maker", "taker", "world"]
