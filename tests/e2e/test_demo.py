"""`ape run demo` as a new user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIELDS = ("batches", "fills", "cancels", "restarts", "gas_per_fill", "orders_per_s", "differences")


def test_demo_ends_by_itself_with_no_difference():
    ape = Path(sys.executable).parent / "ape"
    command = [str(ape), "run", "demo", "--batches", "1", "--min-fills", "50", "--kill-once"]
    demo = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert demo.returncode == 0, demo.stdout[-4_000:] + demo.stderr[-4_000:]
    summary = json.loads(demo.stdout.splitlines()[-1])
    assert tuple(summary) == FIELDS
    assert (summary["restarts"], summary["differences"]) == (1, 0)
    assert summary["batches"] >= 1
    assert summary["fills"] >= 50
    assert summary["gas_per_fill"] > 0
    assert summary["orders_per_s"] > 0
