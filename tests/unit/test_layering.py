"""Imports point one way: every module of `offchain` is parsed, and what it imports is compared with the layers."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "offchain"

ALLOWED: dict[str, set[str]] = {
    # The model of the exchange knows nothing of the world; the ports are its doors.
    "domain": set(),
    "ports": {"domain"},
    # What every stage may count and name, wherever it runs; they know nothing of what they observe.
    "tally": set(),
    "metrics": {"tally"},
    "tracing": set(),
    "prompt": set(),
    # Encodings of the chain: functions of their arguments, without I/O, which both sides of the ports may use.
    "chain.eip712": {"domain"},
    "chain.eip4361": {"domain", "chain.eip712"},
    "chain.calldata": {"domain", "chain.eip712"},
    "chain.batch": {"domain", "ports"},
    "chain.abi": {"chain.eip712"},
    # The parts that work through the ports.
    "catalogue": {"domain", "chain.eip712"},
    "replica": {"domain", "ports"},
    "rounds": {"domain", "ports", "catalogue"},
    "batching": {"domain", "ports", "rounds"},
    "intake": {"domain", "ports", "catalogue", "chain.eip712"},
    "actionintake": {"domain", "catalogue", "chain.eip712", "intake"},
    "sequencer": {"domain", "metrics", "ports", "prompt", "replica", "tracing"},
    "projector": {"domain", "metrics", "ports", "replica"},
    "lane": {"ports"},
    "settler": {
        "domain",
        "metrics",
        "ports",
        "batching",
        "rounds",
        "catalogue",
        "chain.batch",
        "chain.calldata",
        "lane",
    },
    "indexer": {"domain", "metrics", "ports"},
    "jobs": {"domain", "metrics", "ports", "catalogue", "chain.calldata", "chain.eip712", "lane"},
    "verify": {"domain", "ports", "replica"},
    # The format of recorded order flow, which an operator writes from a journal and a trader from the stream.
    "flow": {"domain"},
    "recorder": {"domain", "ports", "flow"},
    # Adapters.
    "journal": {"domain", "ports"},
    "views": {"domain", "ports"},
    "transport": {"domain", "ports", "prompt"},
    "chain": {"domain", "metrics", "ports", "chain.eip712", "chain.calldata", "chain.batch", "chain.abi"},
    # What the outside talks to, and what talks to it.
    "api.schemas": {"domain", "intake", "actionintake"},
    "api": {
        "domain",
        "metrics",
        "ports",
        "prompt",
        "tracing",
        "intake",
        "actionintake",
        "catalogue",
        "api.schemas",
        "chain.eip712",
        "chain.eip4361",
    },
    "client": {"domain", "flow", "api.schemas", "chain.eip712", "chain.eip4361"},
    "cli": {"domain", "flow", "api.schemas", "chain.abi", "client"},
    # Processes. Only `app` knows the adapters.
    "config": set(),
    "process": {"config", "tracing"},
    "cpus": set(),
    "supervisor": {"process"},
    "manage": {"domain", "ports", "config", "process", "app"},
    "__main__": {"domain", "ports", "config", "cpus", "process", "supervisor", "manage", "recorder", "replica", "app"},
}
"""What each unit may import besides itself; `app` may import everything except the entry points."""

PURE = {
    "__future__", "bisect", "collections", "dataclasses", "enum", "functools", "heapq", "itertools", "operator", "re",
    "typing", "msgspec", "sha3", "sortedcontainers",
}  # fmt: skip
"""What the domain may use: no clock, no I/O, no randomness."""


def modules() -> dict[str, Path]:
    """Every module of `offchain` by its name below the package."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = path
    return found


def imports(path: Path) -> list[tuple[int, str]]:
    """(line, absolute name) of every import, wherever in the module it stands; of a module where that can be told."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            assert node.module is not None
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def unit(name: str) -> str:
    """The unit that a module or a name in one belongs to: the longest that fits."""
    parts = name.split(".")
    for length in (2, 1):
        if ".".join(parts[:length]) in ALLOWED:
            return ".".join(parts[:length])
    return parts[0]


def violations() -> list[str]:
    wrong = []
    for name, path in modules().items():
        own = unit(name)
        if not name or own == "app":
            continue
        for line, imported in imports(path):
            if not imported.startswith("offchain."):
                continue
            other = unit(imported.removeprefix("offchain."))
            if other != own and other not in ALLOWED.get(own, set()):
                wrong.append(f"{path.relative_to(ROOT.parent)}:{line}: {own} may not import {other}")
    return wrong


def test_every_module_belongs_to_a_layer() -> None:
    unknown = {unit(name) for name in modules() if name} - set(ALLOWED) - {"app"}
    assert not unknown, "give new units their place in ALLOWED"


def test_imports_point_one_way() -> None:
    assert violations() == []


def test_layers_have_no_cycle() -> None:
    TopologicalSorter(ALLOWED).prepare()


def test_app_does_not_import_the_entry_points() -> None:
    names = [imported for name, path in modules().items() if unit(name) == "app" for _, imported in imports(path)]
    assert not [name for name in names if unit(name.removeprefix("offchain.")) in ("__main__", "manage")]


def domain_modules() -> dict[str, Path]:
    return {name: path for name, path in modules().items() if name.startswith("domain.")}


@pytest.mark.parametrize("name", domain_modules())
def test_domain_is_pure(name: str) -> None:
    for line, imported in imports(domain_modules()[name]):
        top = imported.split(".")[0]
        assert top == "offchain" or top in PURE, f"{name}:{line} imports {imported}"


def test_domain_modules_have_no_cycle() -> None:
    known = domain_modules()

    def module_of(imported: str) -> str | None:
        """The module that holds what is imported: a package's own module only if none of its others does."""
        holding = [name for name in known if f"{imported}.".startswith(f"offchain.{name}.")]
        return max(holding, key=len, default=None)

    graph = {
        name: {module for _, imported in imports(path) if (module := module_of(imported)) is not None}
        for name, path in known.items()
    }
    assert graph["domain.core"], "the graph is that of the modules"
    TopologicalSorter(graph).prepare()


def test_service_runs_without_ape() -> None:
    used = [imported for path in modules().values() for _, imported in imports(path)]
    assert not [name for name in used if name.split(".")[0] in ("ape", "tests", "scripts")]
