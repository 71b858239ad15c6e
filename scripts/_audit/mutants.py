"""Mutation testing of Engine, Vault and Clearinghouse, with their libraries, by the functional tests.

All mutants are compiled into one copy of the project (mutations.py). A first run maps which test reaches which mutant;
then each mutant is switched on for the tests that reach it, the fastest first, until one fails. Results are kept
between runs while contracts and tests are the same, those of killed mutants also when only tests change.

The report is tests/audit/mutants.md. A survivor needs an explanation in tests/audit/mutants.toml, by its key.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from scripts._audit.mutations import PROBE, Mutant, Mutate, choose
from scripts._audit.rewrite import IMPORTED
from scripts._audit.sources import ROOT, closure, production_units, syntax_trees
from scripts._audit.tree import BOUNDARIES, PROBES, SELECTED, Tree

TREE = Tree(ROOT / ".audit" / "mutants")
WORK = TREE.folder / "work"
REPORT = ROOT / "tests" / "audit" / "mutants.md"
EXPLANATIONS = ROOT / "tests" / "audit" / "mutants.toml"
GROUPS = {
    "Engine": (70, "Engine.sol BatchPacker.sol libraries/Batch* libraries/[FOS]*Lib.sol libraries/PositionSlot.sol"),
    "Vault": (30, "Vault.sol libraries/AccountSlot.sol"),
    "Clearinghouse": (60, "Clearinghouse.sol clearing/* libraries/Clearing* libraries/Margin* libraries/[DI]*"),
}
"""how many lines to mutate, and where"""
TESTS_PER_SHARD = 10_000  # room for boundaries

Json = dict[str, Any]


@dataclass
class Result:
    state: str
    killer: str = ""


# ---------------------------------------------------------------------------------------------------------------------
# The mutants and their build
# ---------------------------------------------------------------------------------------------------------------------


def select() -> tuple[list[Mutant], dict[str, str]]:
    """The chosen mutants, and the contracts with all of them in."""
    sources = closure(production_units())
    trees = syntax_trees(sources)
    chosen: list[Mutant] = []
    for count, patterns in GROUPS.values():
        finder = Mutate()
        for unit in production_units():
            if any(fnmatchcase(unit.removeprefix("contracts/"), pattern) for pattern in patterns.split()):
                finder.rewrite(unit, trees[unit], sources[unit])
        chosen += choose(finder.found, count)
    writer = Mutate([mutant.key for mutant in chosen])
    contracts = {unit: writer.rewrite(unit, trees[unit], sources[unit]) for unit in production_units()}
    return chosen, contracts | {IMPORTED: PROBE}


def digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def digest_of_tests() -> str:
    return digest(path.read_text() for path in sorted((ROOT / "tests").rglob("*.py")))


# ---------------------------------------------------------------------------------------------------------------------
# Runs
# ---------------------------------------------------------------------------------------------------------------------


def run_ape(paths: list[str], job: Json, name: str) -> None:
    file = WORK / f"{name}.json"
    file.write_text(json.dumps(job))
    command = ["ape", "test", "-q", "-p", "scripts._audit.mutant_loop", "-k", SELECTED]
    if "mutants" in job:
        command += ["-x", "--capture=no"]
    with (WORK / f"{name}.log").open("wb") as log:
        environment = TREE.environment(MUTANTS_JOB=str(file))
        subprocess.run([*command, *paths], cwd=TREE.folder, env=environment, stdout=log, stderr=log, check=False)


def map_reach(shards: list[str], jobs: int) -> dict[int, dict[str, float]]:
    """Run every test once without a mutant: by mutant, the tests that reach it and their seconds."""
    TREE.clear_hits()

    def run(shard: int) -> Json:
        output = WORK / f"map{shard}.out"
        output.unlink(missing_ok=True)
        run_ape([shards[shard]], {"output": str(output), "first": shard * TESTS_PER_SHARD}, f"map{shard}")
        if not output.exists():
            sys.exit(f"the tests of {shards[shard]} did not run: see {WORK / f'map{shard}.log'}")
        answer: Json = json.loads(output.read_text())
        print(f"{shards[shard]:44}{len(answer['tests'])} tests, failed: {answer['failed'] or 'none'}", flush=True)
        return answer

    with ThreadPoolExecutor(jobs) as pool:
        answers = list(pool.map(run, range(len(shards))))
    reached = read_hits()
    reach: dict[int, dict[str, float]] = {}
    for shard, answer in enumerate(answers):
        for index, test in enumerate(answer["tests"]):
            if test not in answer["failed"]:
                for mutant in reached.get(shard * TESTS_PER_SHARD + index, ()):
                    reach.setdefault(mutant, {})[test] = answer["seconds"][test]
    return reach


def read_hits() -> dict[int, set[int]]:
    """By boundary, the mutants that were reached after it."""
    reached: dict[int, set[int]] = {}
    for path in TREE.hits.iterdir():
        current: set[int] = set()
        for number in map(int, path.read_text().split()):
            if number >= BOUNDARIES:
                current = reached.setdefault(number - BOUNDARIES, set())
            else:
                current.add(number - PROBES)
    return reached


def in_order(tests: dict[str, float]) -> list[str]:
    """The fastest first, but those of a module together, because they share what it sets up."""
    modules: dict[str, float] = {}
    for test, seconds in tests.items():
        module = test.split("::")[0]
        modules[module] = min(seconds, modules.get(module, seconds))
    return sorted(tests, key=lambda test: (modules[test.split("::")[0]], test.split("::")[0], tests[test]))


def run_mutants(numbers: list[int], reach: dict[int, dict[str, float]], shards: list[str], options: Json) -> None:
    """Append a line for each mutant to the results of this build."""
    mutants = [(number, in_order(reach[number])) for number in numbers if number in reach]
    job = {"mutants": mutants, "output": str(WORK / "results"), **options}
    run_ape(shards, job, "mutants")


# ---------------------------------------------------------------------------------------------------------------------
# Results and report
# ---------------------------------------------------------------------------------------------------------------------


def read_results(chosen: list[Mutant]) -> dict[str, Result]:
    """By key, the last result of each mutant."""
    path = WORK / "results"
    results: dict[str, Result] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        entry = json.loads(line)
        results[chosen[entry["mutant"] - 1].key] = Result(entry["state"], entry["killer"])
    return results


def write_report(chosen: list[Mutant], results: dict[str, Result]) -> bool:
    """Whether every survivor is explained, and every explanation is of a survivor."""
    reasons: dict[str, str] = tomllib.loads(EXPLANATIONS.read_text()).get("survivors", {})
    states = Counter(results[mutant.key].state for mutant in chosen)
    lines = ["# Mutants", "", "Written by `make mutants`; explanations are in mutants.toml.", ""]
    lines += [f"{len(chosen)} mutants of {len({mutant.place for mutant in chosen})} lines: "]
    lines[-1] += ", ".join(f"{count} {state}" for state, count in sorted(states.items())) + "."
    lines += ["", "| mutant | result |", "|---|---|"]
    for mutant in chosen:
        result = results[mutant.key]
        text = f"killed by {result.killer.split('/')[-1]}" if result.killer else result.state
        if result.state not in ("killed", "timeout"):
            text = f"**{text}**: {reasons.get(mutant.key, 'not explained')}"
        lines.append(f"| `{mutant.key.replace('|', chr(92) + '|')}` | {text.replace('|', chr(92) + '|')} |")
    REPORT.write_text("\n".join(lines) + "\n")
    survivors = {mutant.key for mutant in chosen if results[mutant.key].state not in ("killed", "timeout")}
    for key in sorted(survivors - set(reasons)):
        print(f"not explained: {key} ({results[key].state})")
    for key in sorted(set(reasons) - survivors):
        print(f"explained, but not a survivor: {key}")
    print(f"{dict(states)}, report in {REPORT.relative_to(ROOT)}")
    return survivors == set(reasons)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=600, help="bound for the tests of one mutant")
    parser.add_argument("tests", nargs="*", default=["tests/functional"])
    arguments = parser.parse_args()
    chosen, contracts = select()
    print(f"{len(chosen)} mutants of {len({mutant.place for mutant in chosen})} lines", flush=True)

    state_file = WORK / "state.json"
    state: Json = json.loads(state_file.read_text()) if state_file.exists() else {}
    build, tests = digest(contracts.values()), digest_of_tests()
    if state.get("build") != build:
        TREE.lay(contracts)
        WORK.mkdir(exist_ok=True)
        (WORK / "results").unlink(missing_ok=True)
    elif state["tests"] != tests:
        TREE.lay(contracts)
    shards = TREE.shards(arguments.tests)
    if (state.get("build"), state.get("tests"), state.get("shards")) != (build, tests, shards):
        state_file.unlink(missing_ok=True)
        reach = map_reach(shards, arguments.jobs)
        known = read_results(chosen)
        kept = [
            json.dumps({"mutant": number, "state": known[mutant.key].state, "killer": known[mutant.key].killer})
            for number, mutant in enumerate(chosen, 1)
            if mutant.key in known and known[mutant.key].state == "killed"
        ]
        (WORK / "results").write_text("".join(line + "\n" for line in kept))
        state = {"build": build, "tests": tests, "shards": shards, "reach": reach}
        state_file.write_text(json.dumps(state))
    reach = {int(number): found for number, found in state["reach"].items()}
    results = read_results(chosen)
    left = [number for number, mutant in enumerate(chosen, 1) if mutant.key not in results]
    run_mutants(left, reach, shards, {"jobs": arguments.jobs, "seconds": arguments.seconds})
    unreached = {mutant.key: Result("not reached") for number, mutant in enumerate(chosen, 1) if number not in reach}
    results = unreached | read_results(chosen)
    if missing := [mutant.key for mutant in chosen if mutant.key not in results]:
        sys.exit(f"{len(missing)} mutants have no result: see {WORK / 'mutants.log'}")
    sys.exit(0 if write_report(chosen, results) else 1)


if __name__ == "__main__":
    main()
