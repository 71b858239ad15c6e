"""Mutation testing of Engine, Vault and Clearinghouse, with their libraries, by the functional tests.

All mutants are compiled into one copy of the project (mutations.py); one that the compiler refuses is left out before,
and another line takes its place. Each is switched on for the test that killed it in an earlier build. Then a run maps
which test reaches which mutant, and those that are left are switched on for the tests that reach them until one fails:
first those of the group's own folder, the fastest first. Results are kept between runs while contracts and tests are
the same, those of killed mutants also when only tests change.

The report is tests/audit/mutants.md. A survivor needs an explanation in tests/audit/mutants.toml, by its key.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from scripts._audit.mutations import PROBE, Mutant, Mutate, choose
from scripts._audit.rewrite import IMPORTED
from scripts._audit.sources import ROOT, CompileError, closure, production_units, syntax_trees
from scripts._audit.tree import BOUNDARIES, PROBES, QUIET, SELECTED, Tree

TREE = Tree(ROOT / ".audit" / "mutants")
WORK = TREE.folder / "work"
REPORT = ROOT / "tests" / "audit" / "mutants.md"
EXPLANATIONS = ROOT / "tests" / "audit" / "mutants.toml"


@dataclass(frozen=True)
class Group:
    count: int
    """how many lines to mutate"""
    units: str
    """where"""
    tests: str
    """the folder of the tests that are about them"""


GROUPS = {
    "Engine": Group(
        70,
        "Engine.sol engine/* BatchPacker.sol libraries/Batch* libraries/[FS]*Lib.sol libraries/Order* libraries/Market*"
        " libraries/[RTW]* libraries/Memory* libraries/Position* libraries/Bools.sol",
        "tests/functional/engine",
    ),
    "Vault": Group(30, "Vault.sol libraries/AccountSlot.sol", "tests/functional/vault"),
    "Clearinghouse": Group(
        60,
        "Clearinghouse.sol clearing/* libraries/Clearing* libraries/Margin* libraries/[DI]* libraries/Option*",
        "tests/functional/clearinghouse",
    ),
}
KILLED = ("killed", "timeout")
ATTEMPTS = 3
TESTS_PER_SHARD = 10_000  # room for boundaries

Json = dict[str, Any]


@dataclass
class Result:
    state: str
    killer: str = ""
    how: str = ""
    """what the failing test said"""


# ---------------------------------------------------------------------------------------------------------------------
# The mutants and their build
# ---------------------------------------------------------------------------------------------------------------------


def select() -> tuple[dict[str, list[Mutant]], dict[str, str]]:
    """The chosen mutants by group, and the contracts with all of them in."""
    sources = closure(production_units())
    trees = syntax_trees(sources)
    refused: set[str] = set()
    while True:
        chosen = {}
        for name, group in GROUPS.items():
            finder = Mutate()
            for unit in production_units():
                if any(fnmatchcase(unit.removeprefix("contracts/"), pattern) for pattern in group.units.split()):
                    finder.rewrite(unit, trees[unit], sources[unit])
            chosen[name] = choose([mutant for mutant in finder.found if mutant.key not in refused], group.count)
        keys = [mutant.key for group in chosen.values() for mutant in group]

        def write(keys: list[str], numbered: list[str] = keys) -> dict[str, str]:
            writer = Mutate(numbered, set(keys))
            return {unit: writer.rewrite(unit, trees[unit], sources[unit]) for unit in production_units()}

        more = find_refused(keys, lambda some: sources | write(some) | {IMPORTED: PROBE})
        if not more:
            return chosen, write(keys) | {IMPORTED: PROBE}
        print("left out, the compiler refuses them:", *sorted(more), sep="\n    ", flush=True)
        refused |= more


def find_refused(keys: list[str], write: Callable[[list[str]], dict[str, str]]) -> set[str]:
    """Those of these mutants that do not compile, by halves."""
    try:
        syntax_trees(write(keys))
    except CompileError:
        if len(keys) == 1:
            return set(keys)
        middle = len(keys) // 2
        return find_refused(keys[:middle], write) | find_refused(keys[middle:], write)
    return set()


def digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def digest_of_tests(path: str = "tests") -> str:
    """Of the tests below a path and of what they share."""
    shared = [*(ROOT / "tests" / "utils").rglob("*.py"), *(ROOT / "tests").glob("*.py")]
    shared += (ROOT / "tests" / "functional").glob("*.py")
    own = [ROOT / path] if path.endswith(".py") else (ROOT / path).rglob("*.py")
    return digest([SELECTED, *(file.read_text() for file in sorted({*own, *shared}))])


# ---------------------------------------------------------------------------------------------------------------------
# Runs
# ---------------------------------------------------------------------------------------------------------------------


def run_ape(paths: list[str], job: Json, name: str) -> None:
    file = WORK / f"{name}.json"
    file.write_text(json.dumps(job))
    command = ["ape", "test", "-q", "-p", QUIET, "-p", "scripts._audit.mutant_loop", "-k", SELECTED]
    if "mutants" in job:
        command += ["-x", "--capture=no"]
    with (WORK / f"{name}.log").open("wb") as log:
        environment = TREE.environment(MUTANTS_JOB=str(file))
        subprocess.run([*command, *paths], cwd=TREE.folder, env=environment, stdout=log, stderr=log, check=False)


def map_reach(shards: list[str], jobs: int, maps: dict[str, Json]) -> None:
    """Run every test without a mutant. Into `maps`, by shard: by mutant, the tests that reach it and their seconds.

    A shard whose tests are the same as before is not run again.
    """
    TREE.clear_hits()
    states = {shard: digest_of_tests(shard) for shard in shards}
    pending = [shard for shard in shards if maps.get(shard, {}).get("state") != states[shard]]

    def run(index: int) -> Json:
        shard, output = pending[index], WORK / f"map{index}.out"
        output.unlink(missing_ok=True)
        run_ape([shard], {"output": str(output), "first": index * TESTS_PER_SHARD}, f"map{index}")
        if not output.exists():
            sys.exit(f"the tests of {shard} did not run: see {WORK / f'map{index}.log'}")
        answer: Json = json.loads(output.read_text())
        print(f"{shard:44}{len(answer['tests'])} tests, failed: {answer['failed'] or 'none'}", flush=True)
        return answer

    with ThreadPoolExecutor(jobs) as pool:
        answers = list(pool.map(run, range(len(pending))))
    reached = read_hits()
    for index, (shard, answer) in enumerate(zip(pending, answers, strict=True)):
        reach: dict[str, dict[str, float]] = {}
        for place, test in enumerate(answer["tests"]):
            if test not in answer["failed"]:
                for mutant in reached.get(index * TESTS_PER_SHARD + place, ()):
                    reach.setdefault(str(mutant), {})[test] = answer["seconds"][test]
        maps[shard] = {"state": states[shard], "reach": reach, "failed": answer["failed"]}


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


def in_order(tests: dict[str, float], folder: str, hint: str) -> list[str]:
    """The hinted test first, then those of the folder; the fastest first, but those of a module together, because they
    share what it sets up."""
    modules: dict[str, float] = {}
    for test, seconds in tests.items():
        module = test.split("::")[0]
        modules[module] = min(seconds, modules.get(module, seconds))

    def rank(test: str) -> tuple[bool, bool, float, str, float]:
        module = test.split("::")[0]
        return test != hint, not test.startswith(folder), modules[module], module, tests[test]

    return sorted(tests, key=rank)


def run_mutants(mutants: list[tuple[int, list[str]]], shards: list[str], options: Json) -> None:
    """Append a line for each mutant, which comes with its tests, to the results of this build."""
    if not mutants:
        return
    run_ape(shards, {"mutants": mutants, "output": str(WORK / "results"), **options}, "mutants")


# ---------------------------------------------------------------------------------------------------------------------
# Results and report
# ---------------------------------------------------------------------------------------------------------------------


def read_results(chosen: list[Mutant]) -> dict[str, Result]:
    """By key, the last result of each mutant. A run that broke off, as without an Anvil, is none."""
    path = WORK / "results"
    results: dict[str, Result] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        entry = json.loads(line)
        if not entry["state"].startswith("broken"):
            results[chosen[entry["mutant"] - 1].key] = Result(entry["state"], entry["killer"], entry["how"])
    return results


def keep_killed(chosen: list[Mutant]) -> None:
    """Forget the results of mutants that new tests may kill."""
    known = read_results(chosen)
    kept = [
        json.dumps({"mutant": number, **asdict(known[mutant.key])})
        for number, mutant in enumerate(chosen, 1)
        if mutant.key in known and known[mutant.key].state in KILLED
    ]
    (WORK / "results").write_text("".join(line + "\n" for line in kept))


def write_report(groups: dict[str, list[Mutant]], results: dict[str, Result], is_whole: bool) -> bool:
    """Whether every survivor is explained, and every explanation is of a survivor. A part is only printed."""
    reasons: dict[str, str] = tomllib.loads(EXPLANATIONS.read_text()).get("survivors", {})
    chosen = [mutant for group in groups.values() for mutant in group]
    survivors = {mutant.key for mutant in chosen if results[mutant.key].state not in KILLED}
    lines = ["# Mutants", "", "Written by `make mutants`; explanations are in mutants.toml.", ""]
    lines += ["| group | mutants | killed | explained | open |", "|---|---|---|---|---|"]
    for name, group in [*groups.items(), ("all", chosen)]:
        alive = {mutant.key for mutant in group} & survivors
        counts = len(group), len(group) - len(alive), len(alive & set(reasons)), len(alive - set(reasons))
        lines.append(f"| {name} | {' | '.join(map(str, counts))} |")
    print(*lines[4:], sep="\n")
    for name, group in groups.items():
        lines += ["", f"## {name}", "", "| mutant | result |", "|---|---|"]
        for mutant in group:
            result = results[mutant.key]
            text = f"{result.state} by {result.killer.split('/')[-1]}" if result.killer else result.state
            if mutant.key in survivors:
                text = f"**{text}**: {reasons.get(mutant.key, 'not explained')}"
            lines.append(f"| `{mutant.key.replace('|', chr(92) + '|')}` | {text.replace('|', chr(92) + '|')} |")
    for key in sorted(survivors - set(reasons)):
        print(f"not explained: {key} ({results[key].state})")
    if is_whole:
        REPORT.write_text("\n".join(lines) + "\n")
        for key in sorted(set(reasons) - survivors):
            print(f"explained, but not a survivor: {key}")
        print(f"report in {REPORT.relative_to(ROOT)}")
    return survivors == set(reasons) if is_whole else survivors <= set(reasons)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=300, help="bound for one test with a mutant switched on")
    parser.add_argument(
        "--groups", nargs="*", default=list(GROUPS), choices=list(GROUPS), help="run these mutants only"
    )
    parser.add_argument("--tests", nargs="*", default=["tests/functional"], help="by these tests only")
    arguments = parser.parse_args()
    groups, contracts = select()
    chosen = [mutant for group in groups.values() for mutant in group]
    print(f"{len(chosen)} mutants of {len({mutant.place for mutant in chosen})} lines", flush=True)

    TREE.lay(contracts)
    WORK.mkdir(exist_ok=True)
    state_file, hints_file = WORK / "state.json", WORK / "hints.json"
    state: Json = json.loads(state_file.read_text()) if state_file.exists() else {}
    hints: dict[str, str] = json.loads(hints_file.read_text()) if hints_file.exists() else {}
    build, tests = digest(contracts.values()), digest_of_tests()
    if state.get("build") != build:
        (WORK / "results").unlink(missing_ok=True)
        state = {"build": build, "maps": {}}
        state_file.write_text(json.dumps(state))
    shards = TREE.shards(arguments.tests)
    group_of = [name for name, group in groups.items() for _ in group]
    options = {"jobs": arguments.jobs, "seconds": arguments.seconds}
    wanted = [(n, m) for n, (name, m) in enumerate(zip(group_of, chosen, strict=True), 1) if name in arguments.groups]
    results = read_results(chosen)
    hinted = [(n, hints[m.key]) for n, m in wanted if m.key in hints and m.key not in results]
    if hinted:
        run_ape(shards, {"known": hinted, "output": str(WORK / "results")}, "known")
        print(f"{len(read_results(chosen)) - len(results)} of {len(hinted)} killed as before", flush=True)
    map_reach(shards, arguments.jobs, state["maps"])
    # A test that fails without a mutant kills none.
    failing = {test for shard in shards for test in state["maps"][shard]["failed"]}
    if any(result.killer in failing for result in read_results(chosen).values()):
        sys.exit(f"tests that fail without a mutant are said to kill some: {failing}")
    if state.get("of") != (of := [tests, shards]):
        keep_killed(chosen)
        state["of"] = of
    state_file.write_text(json.dumps(state))

    reach: dict[int, dict[str, float]] = {}
    for shard in shards:
        for number, found in state["maps"][shard]["reach"].items():
            reach.setdefault(int(number), {}).update(found)
    for _ in range(ATTEMPTS):
        results = read_results(chosen)
        pending = [
            (number, in_order(reach[number], GROUPS[group_of[number - 1]].tests, hints.get(mutant.key, "")))
            for number, mutant in wanted
            if mutant.key not in results and number in reach
        ]
        run_mutants(pending, shards, options)
    unreached = {mutant.key: Result("not reached") for number, mutant in enumerate(chosen, 1) if number not in reach}
    results = unreached | read_results(chosen)
    hints_file.write_text(json.dumps(hints | {key: done.killer for key, done in results.items() if done.killer}))
    done = {name: groups[name] for name in arguments.groups}
    if missing := [mutant.key for group in done.values() for mutant in group if mutant.key not in results]:
        sys.exit(f"{len(missing)} mutants have no result: see {WORK / 'mutants.log'}")
    is_whole = len(done) == len(GROUPS)  # with fewer tests only more mutants survive
    sys.exit(0 if write_report(done, results, is_whole) else 1)


if __name__ == "__main__":
    main()
