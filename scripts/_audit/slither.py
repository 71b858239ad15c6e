"""Run slither over the production contracts and compare its findings with the answered ones.

Slither reads the syntax trees that the project's own compiler wrote. OpenZeppelin and the mocks are not looked at. A
finding is known by its detector and the place it names, without line numbers, so that moving code answers nothing anew.
The answers are in tests/audit/slither.toml; a finding without an answer and an answer without a finding both fail.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from scripts._audit.sources import ROOT, closure, production_units, syntax_trees

ANSWERS = ROOT / "tests" / "audit" / "slither.toml"
SLITHER = ROOT / ".venv-audit" / "bin" / "slither"
STANDARD_EXPORT = 10  # crytic-compile's number of its own export format


@dataclass(frozen=True, order=True)
class Finding:
    detector: str
    place: str  # unit:contract.function, or the unit of what has no contract
    count: int
    impact: str
    lines: str
    description: str


def export(path: Path) -> None:
    """Write what slither reads: syntax trees and the names of contracts, without bytecode."""
    trees = syntax_trees(closure(production_units()))
    files = {
        unit: {"absolute": str(ROOT / unit), **dict.fromkeys(("relative", "short", "used"), unit)} for unit in trees
    }
    nothing = {"abi": [], "bin": "", "bin-runtime": "", "srcmap": "", "srcmap-runtime": "", "libraries": {}}
    units: dict[str, Any] = {}
    for unit, tree in trees.items():
        contract = nothing | {"filenames": files[unit], "is_dependency": unit.startswith("node_modules/")}
        contracts = {node["name"]: contract for node in tree["nodes"] if node["nodeType"] == "ContractDefinition"}
        units[unit] = {"ast": tree, "contracts": contracts}
    compiler = {"compiler": "solc", "version": "0.8.37", "optimized": True}
    document = {
        "compilation_units": {
            "crosspoint": {"compiler": compiler, "source_units": units, "filenames": list(files.values())}
        },
        "package": "crosspoint",
        "working_dir": str(ROOT),
        "type": STANDARD_EXPORT,
        "unit_tests": [],
        "crytic_version": "0.0.2",
    }
    path.write_text(json.dumps(document))


def run() -> list[Finding]:
    with tempfile.TemporaryDirectory() as folder:
        source, report = Path(folder) / "crosspoint_export.json", Path(folder) / "report.json"
        export(source)
        command = [str(SLITHER), str(source), "--filter-paths", "node_modules|contracts/mocks", "--json", str(report)]
        log = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if not report.exists():
            sys.exit(f"slither did not finish:\n{log.stdout}\n{log.stderr}")
        answer = json.loads(report.read_text())
    if not answer["success"]:
        sys.exit(f"slither failed: {answer['error']}\n{log.stderr}")
    return _merge(answer["results"].get("detectors", []))


def _merge(results: list[dict[str, Any]]) -> list[Finding]:
    """One finding for each detector and place."""
    grouped: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result in results:
        grouped.setdefault((result["check"], _place(result)), []).append(result)
    return sorted(
        Finding(
            detector,
            place,
            len(group),
            group[0]["impact"],
            ", ".join(dict.fromkeys(_lines(result) for result in group)),
            group[0]["description"].split("\n")[0].replace(str(ROOT) + "/", ""),
        )
        for (detector, place), group in grouped.items()
    )


def _place(result: dict[str, Any]) -> str:
    if not result["elements"]:
        return "project"
    element = result["elements"][0]
    unit = element["source_mapping"]["filename_relative"].removeprefix("contracts/")
    names = []
    while element.get("name") and element["type"] in ("function", "variable", "node", "contract", "event", "struct"):
        if element["type"] != "node":
            names.append(element["name"])
        element = element.get("type_specific_fields", {}).get("parent", {"type": ""})
    return ":".join((unit, ".".join(reversed(names)))) if names else unit


def _lines(result: dict[str, Any]) -> str:
    lines = result["elements"][0]["source_mapping"]["lines"] if result["elements"] else []
    return str(lines[0]) if lines else "-"


@dataclass(frozen=True)
class Answer:
    detector: str
    pattern: str
    reason: str

    def matches(self, finding: Finding) -> bool:
        return finding.detector == self.detector and fnmatchcase(finding.place, self.pattern)


def answers() -> list[Answer]:
    document = tomllib.loads(ANSWERS.read_text())
    return [
        Answer(entry["detector"], pattern, entry["reason"])
        for entry in document["finding"]
        for pattern in entry["places"]
    ]


def main() -> None:
    findings, known = run(), answers()
    unanswered = [finding for finding in findings if not any(answer.matches(finding) for answer in known)]
    for finding in findings:
        state = "OPEN" if finding in unanswered else "answered"
        print(f"{state:9} {finding.impact:14} {finding.detector:24} {finding.place} ({finding.lines})")
        if finding in unanswered:
            print(f"          {finding.description}")
    stale = [answer for answer in known if not any(answer.matches(finding) for finding in findings)]
    for answer in stale:
        print(f"STALE     answer without a finding: {answer.detector} at {answer.pattern}")
    impacts = Counter(finding.impact for finding in findings)
    print(f"{len(findings)} findings {dict(impacts)}, {len(unanswered)} open, {len(stale)} stale answers")
    sys.exit(1 if unanswered or stale else 0)


if __name__ == "__main__":
    main()
