"""The ABI of every production contract, as committed: what integrators and indexers rely on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ape.managers.project import ProjectManager

from scripts._audit.sources import production_contracts
from tests.utils import snapshots

FOLDER = Path(__file__).with_name("abi")


def _parameters(entries: list[Any], is_event: bool = False) -> str:
    parts = []
    for entry in entries:
        indexed = " indexed" if is_event and entry.indexed else ""
        parts.append(f"{entry.canonical_type}{indexed} {entry.name or ''}".rstrip())
    return ", ".join(parts)


def _line(entry: Any) -> str:
    """An entry of an ABI as a line of Solidity, structs as tuples."""
    name = getattr(entry, "name", "") or ""
    text = f"{entry.type} {name}({_parameters(getattr(entry, 'inputs', []), entry.type == 'event')})"
    if getattr(entry, "stateMutability", "nonpayable") != "nonpayable":
        text += f" {entry.stateMutability}"
    if outputs := getattr(entry, "outputs", []):
        text += f" returns ({_parameters(outputs)})"
    return text


def test_abis_are_as_committed(project: ProjectManager) -> None:
    names = production_contracts()
    assert {"Engine", "Vault"} <= set(names)
    for name in names:
        lines = sorted(_line(entry) for entry in project.contracts[name].abi)
        snapshots.check(FOLDER / f"{name}.txt", "\n".join(lines) + "\n")
    assert sorted(path.stem for path in FOLDER.glob("*.txt")) == names
