"""The benchmarks run, and print what they promise. How fast anything is, no test says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run(name: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, str(ROOT / "benchmarks" / name), *arguments, "--json"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    printed: dict[str, Any] = json.loads(result.stdout)
    return printed


def test_matching() -> None:
    printed = run("matching.py", "--operations", "1000")
    assert set(printed) == {"operations", "engines", "ratio_to_best"}
    engines = printed["engines"]
    assert {"crosspoint", "pyorderbook"} < set(engines)
    assert all(each["per_s"] > 0 and each["fills"] > 0 for each in engines.values())
    assert len({(each["fills"], each["lots"]) for each in engines.values()}) == 1, "all have done the same work"


@pytest.mark.parametrize("resting", [0, 500])
def test_core(resting: int) -> None:
    printed = run("core.py", "--commands", "1000", "--resting", str(resting))
    assert (printed["commands"], printed["resting"]) == (1_000, resting)
    assert printed["fills"] > 0
    for stage in ("execute", "journaled", "replay"):
        assert set(printed[stage]) == {"per_s", "us"}
        assert printed[stage]["per_s"] > 0
    assert printed["longest_record_ms"] >= 0


def test_queries() -> None:
    printed = run("queries.py", "--trades", "5000", "--rounds", "10")
    assert printed["trades"] == 5_000
    assert {"candles, 1m", "ticker", "statistics"} <= {each["query"] for each in printed["queries"]}
    assert all(each["p99_ms"] >= each["p50_ms"] > 0 for each in printed["queries"])
