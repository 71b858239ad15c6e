"""Undo on the test chain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ape.managers import ChainManager


@contextmanager
def isolated(chain: ChainManager) -> Iterator[None]:
    """Put the chain back afterwards.

    Ape's own `chain.isolate()` swallows every exception that is raised in it, failed assertions too.
    """
    snapshot = chain.snapshot()
    try:
        yield
    finally:
        chain.restore(snapshot)
