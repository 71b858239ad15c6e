"""The core's CPU is nobody else's."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from offchain.cpus import cpus_of


def test_the_core_has_the_last_cpu_and_the_others_have_the_rest() -> None:
    assert cpus_of("core", {0, 2, 5}) == {5}
    assert cpus_of("worker", {0, 2, 5}) == {0, 2}


@pytest.mark.parametrize("role", ["core", "worker"])
def test_a_single_cpu_is_shared(role: str) -> None:
    assert cpus_of(role, {3}) == {3}


@pytest.mark.parametrize("role", ["core", "worker"])
def test_threads_that_start_later_stay_on_the_cpus_too(role: str) -> None:
    """Where the system binds nothing to a CPU, nothing happens."""
    script = (
        "import os, sys, concurrent.futures as futures\n"
        "from offchain.cpus import dedicate_cpus\n"
        "dedicate_cpus(sys.argv[1])\n"
        "with futures.ThreadPoolExecutor(1) as pool:\n"
        "    bound_to = getattr(os, 'sched_getaffinity', lambda process: ())\n"
        "    print(*pool.submit(bound_to, 0).result())\n"
    )
    found = subprocess.run([sys.executable, "-c", script, role], capture_output=True, text=True, check=True).stdout
    expected = cpus_of(role, os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else set()
    assert {int(cpu) for cpu in found.split()} == expected
