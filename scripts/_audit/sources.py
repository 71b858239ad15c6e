"""The contracts' sources as solc's standard JSON, for the tools that look at more than Ape's compilation gives.

Every tool here compiles with the compiler that `make setup` provided and with the settings of ape-config.yaml.
"""

from __future__ import annotations

import json
import posixpath
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import solcx.install
import yaml

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = "contracts"
MOCKS = "contracts/mocks/"
REMAPPING = "@openzeppelin/=node_modules/@openzeppelin/"
_IMPORT = re.compile(r'^import\s[^;]*?"([^"]+)";', re.MULTILINE)

Json = dict[str, Any]


class CompileError(Exception):
    """What the compiler refused, in its own words."""


def own_units(root: Path = ROOT) -> list[str]:
    """Names of the project's source units, mocks included: paths from the root."""
    found = (path.relative_to(root) for path in (root / CONTRACTS).rglob("*.sol"))
    return sorted(path.as_posix() for path in found if ".cache" not in path.parts)


def production_units(root: Path = ROOT) -> list[str]:
    return [name for name in own_units(root) if not name.startswith(MOCKS)]


def closure(units: Iterable[str], root: Path = ROOT) -> dict[str, str]:
    """The sources of these units and of all that they import, by name."""
    sources: dict[str, str] = {}
    pending = list(units)
    while pending:
        name = pending.pop()
        if name in sources:
            continue
        sources[name] = (root / name).read_text()
        for target in _IMPORT.findall(sources[name]):
            if target.startswith("."):
                pending.append(posixpath.normpath(posixpath.join(posixpath.dirname(name), target)))
            else:
                prefix, place = REMAPPING.split("=")
                pending.append(target.replace(prefix, place, 1))
    return sources


def settings(outputs: dict[str, dict[str, list[str]]], **changes: Any) -> Json:
    """Compiler settings of ape-config.yaml with this output selection."""
    config = yaml.safe_load((ROOT / "ape-config.yaml").read_text())["solidity"]
    return {
        "remappings": [REMAPPING],
        "viaIR": config["via_ir"],
        "evmVersion": config["evm_version"],
        "optimizer": {"enabled": True, "runs": config["optimization_runs"]},
        "outputSelection": outputs,
    } | changes


def compile_json(sources: dict[str, str], options: Json) -> Json:
    """Run solc. Raises CompileError with its messages."""
    version = yaml.safe_load((ROOT / "ape-config.yaml").read_text())["solidity"]["version"]
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sorted(sources.items())},
        "settings": options,
    }
    command = [str(solcx.install.get_executable(version)), "--standard-json"]
    run = subprocess.run(command, input=json.dumps(request).encode(), capture_output=True, check=False)
    if run.returncode:
        raise CompileError(run.stderr.decode(errors="replace"))
    answer: Json = json.loads(run.stdout)
    errors = [entry["formattedMessage"] for entry in answer.get("errors", []) if entry["severity"] == "error"]
    if errors:
        raise CompileError("\n".join(errors))
    return answer


def syntax_trees(sources: dict[str, str]) -> dict[str, Json]:
    """The annotated syntax tree of every unit. No code is generated, so this takes a few seconds."""
    answer = compile_json(sources, settings({"*": {"": ["ast"]}}))
    return {name: entry["ast"] for name, entry in answer["sources"].items()}


def is_deployable(node: Json) -> bool:
    """Whether a node of a syntax tree is a contract that can be created."""
    return bool(
        node["nodeType"] == "ContractDefinition" and node["contractKind"] == "contract" and not node["abstract"]
    )


def production_contracts() -> list[str]:
    """Names of the contracts that are deployed."""
    units = production_units()
    trees = syntax_trees(closure(units))
    return sorted(node["name"] for unit in units for node in trees[unit]["nodes"] if is_deployable(node))
