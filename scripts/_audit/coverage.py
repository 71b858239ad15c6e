"""Line and branch coverage of the production contracts by the functional tests.

The tests run on a copy of the project in which each statement and each outcome of a condition reports its number, by a
static call to the address at which Anvil listens for console output. Anvil prints it for transactions and calls, also
reverted ones, and a filter beside it keeps every number once. So what is measured is what really ran in the EVM.

Counted are: a line, if a statement begins on it (covered, if each such statement ran); a branch, for both outcomes of
every condition of `if`, `?:` and `require`, of the left side of `&&` and `||`, and for each clause of a `try`.
Inline assembly counts as one statement. Left out are tests of gas and of code as it was compiled, and those of
deployment and management and the differential ones, which take very long with probes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from zlib import crc32

from scripts._audit.rewrite import IMPORTED, Rewriter, is_statement
from scripts._audit.sources import MOCKS, ROOT, Json, closure, production_units, syntax_trees
from scripts._audit.tree import PROBES, QUIET, SELECTED, Tree

# With a probe at each statement the plain doubles of the assembly need more stack than there is.
DOUBLES = ("contracts/mocks/reference", "tests/functional/reference")
SLOW = ("tests/functional/deploy", "tests/functional/manage", "tests/functional/test_differential.py")
TREE = Tree(ROOT / ".audit" / "coverage", (*DOUBLES, *SLOW))
REPORT = TREE.folder / "coverage.json"
ROOM, PROBES_PER_UNIT = 90_000_000, 10_000
LOWEST_LINES, LOWEST_BRANCHES = 98.0, 95.0
DONE = "done"
NOTHING_SELECTED = 5  # pytest's status

PROBE = """// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

function _report(uint256 probe) view {
    assembly ("memory-safe") {
        mstore(0x00, shl(224, 0xf82c50f1)) // log(uint256)
        mstore(0x04, probe)
        pop(staticcall(gas(), 0x000000000000000000636F6e736F6c652e6c6f67, 0x00, 0x24, 0x00, 0x00))
    }
}

function probeStatement(uint256 probe) pure {
    function(uint256) internal view report = _report;
    function(uint256) internal pure hidden;
    assembly ("memory-safe") {
        hidden := report
    }
    hidden(probe);
}

function probeCondition(uint256 probe, bool outcome) pure returns (bool) {
    probeStatement(outcome ? probe : probe + 1);
    return outcome;
}
"""


@dataclass(frozen=True)
class Probe:
    unit: str
    line: int
    kind: str  # "statement", or what makes the branch
    text: str


class Instrument(Rewriter):
    functions = ("probeStatement", "probeCondition")

    def __init__(self) -> None:
        super().__init__()
        self.probes: dict[int, Probe] = {}

    def rewrite(self, unit: str, tree: Json, source: str) -> str:
        self.next = first_probe(unit)
        assert self.next not in self.probes, f"{unit} has the same numbers as {self.probes[self.next].unit}"
        return super().rewrite(unit, tree, source)

    def wrap(self, node: Json, parent: Json, field: str, text: str) -> str:
        kind, above = node["nodeType"], parent["nodeType"]
        if is_statement(node, parent, field):
            number = self._add(node, "statement")
            marked = f"probeStatement({number}); {text}"
            return marked if field == "statements" else f"{{ {marked} }}"
        if field == "condition" and above in ("IfStatement", "Conditional"):
            return self._condition(node, "if" if above == "IfStatement" else "?:", text)
        if field == "leftExpression" and parent.get("operator") in ("&&", "||"):
            return self._condition(node, parent["operator"], text)
        if field == "arguments" and node is parent["arguments"][0] and _is_requirement(parent):
            return self._condition(node, "require", text)
        if kind in ("Block",) and above == "TryCatchClause":
            number = self._add(node, "try")
            return "{ " + f"probeStatement({number}); " + text[1:]
        return text

    def _condition(self, node: Json, kind: str, text: str) -> str:
        number = self._add(node, f"{kind} true")
        self._add(node, f"{kind} false")
        return f"probeCondition({number}, {text})"

    def _add(self, node: Json, kind: str) -> int:
        text = " ".join(self.text(node).split())
        self.probes[self.next] = Probe(self.unit, self.line(node), kind, text[:70])
        self.next += 1
        return self.next - 1


def first_probe(unit: str) -> int:
    """A unit's numbers stay the same when other units change."""
    return PROBES + crc32(unit.encode()) % (ROOM // PROBES_PER_UNIT) * PROBES_PER_UNIT


def _is_requirement(node: Json) -> bool:
    return node["nodeType"] == "FunctionCall" and node["expression"].get("name") in ("require", "assert")


def instrument() -> dict[int, Probe]:
    """Lay the tree with instrumented contracts."""
    sources = closure(production_units())
    trees = syntax_trees(sources)
    rewriter = Instrument()
    contracts = {unit: rewriter.rewrite(unit, trees[unit], sources[unit]) for unit in production_units()}
    contracts[IMPORTED] = PROBE
    TREE.lay(contracts)
    return rewriter.probes


def run_tests(paths: list[str], jobs: int) -> list[str]:
    """Run the tests below each path on the tree, `jobs` paths at a time; returns the paths that failed.

    What a path has hit is kept, and the path is not run again while its tests and the contracts that it hits are the
    same.
    """

    def run(path: str) -> str | None:
        hits = TREE.hits / path.replace("/", "-")
        done_before = hits / DONE
        if done_before.exists() and done_before.read_text() == _digest(path, hits):
            print(f"{path:44}as before", flush=True)
            return None
        shutil.rmtree(hits, ignore_errors=True)
        hits.mkdir(parents=True)
        command = ["ape", "test", "-q", "-p", QUIET, "-k", SELECTED, path]
        environment = TREE.environment(AUDIT_HITS=str(hits))
        done = subprocess.run(command, cwd=TREE.folder, env=environment, capture_output=True, text=True, check=False)
        print(f"{path:44}{done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr}", flush=True)
        if done.returncode in (0, NOTHING_SELECTED):
            done_before.write_text(_digest(path, hits))
            return None
        print(done.stdout)
        return path

    with ThreadPoolExecutor(jobs) as pool:
        return [path for path in pool.map(run, TREE.shards(paths)) if path]


def _digest(path: str, hits: Path) -> str:
    """Of what the tests of a path are made of and of the rewritten contracts that they hit."""
    hit_blocks = {number // PROBES_PER_UNIT for number in _numbers(hits)}
    hit_units = [unit for unit in production_units() if first_probe(unit) // PROBES_PER_UNIT in hit_blocks]
    files = [TREE.folder / unit for unit in hit_units]
    for folder in (TREE.folder / MOCKS, TREE.folder / "tests" / "utils", TREE.folder / path):
        files += [folder] if folder.is_file() else sorted(folder.rglob("*.*"))
    whole = hashlib.sha256(SELECTED.encode())
    for file in files:
        if file.suffix in (".sol", ".py"):
            whole.update(file.read_bytes())
    return whole.hexdigest()


def _numbers(hits: Path) -> set[int]:
    return {int(line) for path in hits.glob("*.txt") for line in path.read_text().split()}


def report(probes: dict[int, Probe]) -> bool:
    """Print the table; whether the goals are met."""
    numbers = set().union(*map(_numbers, TREE.hits.iterdir()))
    lines: dict[str, dict[int, bool]] = defaultdict(dict)
    branches: dict[str, list[tuple[Probe, bool]]] = defaultdict(list)
    for number, probe in probes.items():
        if probe.kind == "statement":
            lines[probe.unit][probe.line] = number in numbers and lines[probe.unit].get(probe.line, True)
        else:
            branches[probe.unit].append((probe, number in numbers))
    print(f"{'':48}{'lines':>14}{'branches':>18}")
    for unit in sorted(lines):
        _row(unit, list(lines[unit].values()), [hit for _, hit in branches[unit]])
    every_line = [hit for unit in lines.values() for hit in unit.values()]
    every_branch = [hit for unit in branches.values() for _, hit in unit]
    shares = _row("total", every_line, every_branch)
    for unit in sorted(lines):
        for line in sorted(line for line, hit in lines[unit].items() if not hit):
            print(f"missed line    {unit}:{line}")
        for probe, hit in branches[unit]:
            if not hit:
                print(f"missed branch  {unit}:{probe.line} {probe.kind}: {probe.text}")
    REPORT.write_text(
        json.dumps({"lines": shares[0], "branches": shares[1], "probes": [asdict(probe) for probe in probes.values()]})
    )
    return shares[0] >= LOWEST_LINES and shares[1] >= LOWEST_BRANCHES


def _row(name: str, lines: list[bool], branches: list[bool]) -> tuple[float, float]:
    shares = tuple(100 * sum(hits) / len(hits) if hits else 100.0 for hits in (lines, branches))
    counts = (f"{sum(lines)}/{len(lines)}", f"{sum(branches)}/{len(branches)}")
    print(f"{name:44}{shares[0]:8.2f} % {counts[0]:>9}{shares[1]:8.2f} % {counts[1]:>9}")
    return shares[0], shares[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tests", nargs="*", default=["tests/functional"])
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    probes = instrument()
    failed = run_tests(arguments.tests, arguments.jobs)
    is_good = report(probes)
    if failed:
        # Ape takes the last call of a trace for what reverted, which here may be a probe: see the errors above.
        print(f"tests failed in {', '.join(failed)}: the figures are of what ran")
    if not is_good:
        print(f"goal: {LOWEST_LINES} % of lines, {LOWEST_BRANCHES} % of branches")
    sys.exit(1 if failed or not is_good else 0)


if __name__ == "__main__":
    main()
