"""Storage layouts of the production contracts, those of ERC-7201 namespaces included.

solc describes the variables of a contract, but not the structs that a contract finds by a namespace's slot. A harness
contract with a variable of each such struct makes it describe these too; it is compiled beside the sources and never
deployed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from scripts._audit.sources import Json, closure, compile_json, is_deployable, production_units, settings, syntax_trees

_NAMESPACE = re.compile(r"@custom:storage-location\s+erc7201:(\S+)")
_HARNESS = "contracts/LayoutHarness.sol"

Row = str
"""slot, offset, size, type and name of a field"""
Layout = dict[str, list[Row]]
"""fields by namespace, by `storage` for a contract's own variables, and by struct for what these hold"""


@dataclass(frozen=True)
class Contract:
    unit: str
    name: str
    identifier: int
    bases: tuple[int, ...]  # itself first
    namespaces: tuple[tuple[str, str], ...]  # id and struct


def layouts(units: list[str] | None = None) -> dict[str, Layout]:
    """Layout by contract, for every contract of these units that can be deployed and stores anything."""
    names = units or production_units()
    sources = closure(names)
    trees = syntax_trees(sources)
    contracts = {contract.identifier: contract for unit, tree in trees.items() for contract in _contracts(unit, tree)}
    deployable = [contracts[node["id"]] for unit in names for node in trees[unit]["nodes"] if is_deployable(node)]
    needed = {base for contract in deployable for base in contract.bases}
    spaces = [(contracts[base], *space) for base in sorted(needed) for space in contracts[base].namespaces]

    sources[_HARNESS] = _harness(spaces)
    answer = compile_json(sources, settings({"*": {"*": ["storageLayout"]}}))["contracts"]
    described = answer[_HARNESS]["LayoutHarness"]["storageLayout"]
    fields = {space: variable for (_, space, _), variable in zip(spaces, described["storage"], strict=True)}
    result: dict[str, Layout] = {}
    for contract in deployable:
        layout: Layout = {}
        own = answer[contract.unit][contract.name]["storageLayout"]
        if own["storage"]:
            layout["storage"] = list(_rows(own["storage"], own["types"], layout))
        for base in contract.bases:
            for space, _ in contracts[base].namespaces:
                struct = described["types"][fields[space]["type"]]
                layout[f"erc7201:{space}"] = list(_rows(struct["members"], described["types"], layout))
        if layout:
            result[contract.name] = dict(sorted(layout.items()))
    return dict(sorted(result.items()))


def namespace_slots() -> dict[str, str]:
    """The value of the STORAGE_SLOT constant beside each of the project's namespaces, by namespace."""
    slots: dict[str, str] = {}
    for unit, tree in syntax_trees(closure(production_units())).items():
        for node in tree["nodes"]:
            if not unit.startswith("contracts/") or node["nodeType"] != "ContractDefinition":
                continue
            spaces = _namespaces(node)
            constants = {entry.get("name"): entry for entry in node["nodes"] if entry.get("constant")}
            for space, _ in spaces:
                slots[space] = constants["STORAGE_SLOT"]["value"]["value"]
    return slots


def incompatibilities(old: Layout, new: Layout) -> list[str]:
    """Why storage that was written under `old` cannot be read under `new`: only appended fields are compatible."""
    problems = []
    for place, rows in old.items():
        now = new.get(place)
        if now is None:
            problems.append(f"{place} is gone")
        elif now[: len(rows)] != rows:
            index = next(i for i in range(len(rows)) if i >= len(now) or now[i] != rows[i])
            problems.append(f"{place}: {rows[index]!r} became {now[index] if index < len(now) else 'nothing'!r}")
    return problems


def _contracts(unit: str, tree: Json) -> Iterator[Contract]:
    for node in tree["nodes"]:
        if node["nodeType"] == "ContractDefinition":
            yield Contract(
                unit, node["name"], node["id"], tuple(node["linearizedBaseContracts"]), tuple(_namespaces(node))
            )


def _namespaces(contract: Json) -> list[tuple[str, str]]:
    found = []
    for node in contract["nodes"]:
        if node["nodeType"] != "StructDefinition":
            continue
        documentation = node.get("documentation") or {}
        if match := _NAMESPACE.search(documentation.get("text", "")):
            found.append((match[1], node["canonicalName"]))
    return found


def _harness(spaces: list[tuple[Contract, str, str]]) -> str:
    units = sorted({contract.unit for contract, _, _ in spaces})
    paths = ["../" + unit if unit.startswith("node_modules/") else "./" + unit.split("/", 1)[1] for unit in units]
    lines = ["// SPDX-License-Identifier: MIT", "pragma solidity ^0.8.37;"]
    lines += [f'import "{path}";' for path in paths]
    lines += ["contract LayoutHarness {"]
    lines += [f"    {struct} private space{index};" for index, (_, _, struct) in enumerate(spaces)]
    return "\n".join([*lines, "}", ""])


def _rows(variables: list[Json], types: dict[str, Json], layout: Layout, slot: int = 0) -> Iterator[Row]:
    """Rows of these variables, from `slot` on; structs that mappings and arrays lead to are added to the layout.

    A struct that lies among the variables is described by its fields, so that a next version may hold the whole struct
    of the last one as its first field.
    """
    for variable in variables:
        kind = types[variable["type"]]
        at = slot + int(variable["slot"])
        if kind["encoding"] == "inplace" and "members" in kind:
            yield from _rows(kind["members"], types, layout, at)
            continue
        yield f"slot {at} byte {variable['offset']}: {kind['label']} {variable['label']}"
        _add_structs(variable["type"], types, layout)


def _add_structs(name: str, types: dict[str, Json], layout: Layout) -> None:
    kind = types[name]
    if "members" in kind and kind["label"] not in layout:
        layout[kind["label"]] = []
        layout[kind["label"]] = list(_rows(kind["members"], types, layout))
    for inner in ("key", "value", "base"):
        if inner in kind:
            _add_structs(kind[inner], types, layout)
