"""Which CPUs a process runs on.

The core has one of its own: whenever another process runs where it was, its caches are gone, which costs it up to twice
the time for the next order.
"""

from __future__ import annotations

import os
from collections.abc import Set

CORE = "core"


def cpus_of(role: str, allowed: Set[int]) -> set[int]:
    """Of the CPUs that the service may use, those of one process: the last is the core's, the others everybody else's.

    A single CPU is shared.
    """
    if len(allowed) < 2:
        return set(allowed)
    own = {max(allowed)}
    return own if role == CORE else set(allowed) - own


def dedicate_cpus(role: str) -> None:
    """Keep this process, and the threads that it starts from now on, on its CPUs; only Linux can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus_of(role, os.sched_getaffinity(0)))
