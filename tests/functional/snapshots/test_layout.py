"""Storage layouts: as committed, appended to at most, and each namespace where its name says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_utils import keccak

from scripts._audit.layout import Layout, incompatibilities, layouts, namespace_slots
from scripts._audit.sources import MOCKS, own_units
from tests.utils import snapshots

SNAPSHOT = Path(__file__).with_name("layout.json")
INITIALIZABLE = "erc7201:openzeppelin.storage.Initializable"
V1: Layout = {"storage": ["slot 0 byte 0: address engine", "slot 0 byte 20: bool halted"]}


@pytest.fixture(scope="module")
def current() -> dict[str, Layout]:
    return layouts()


@pytest.fixture(scope="module")
def problems(current: dict[str, Layout]) -> list[str]:
    """Why the upgradeable contracts' storage, as committed before this run, cannot be read any more."""
    committed: dict[str, Layout] = json.loads(SNAPSHOT.read_text()) if SNAPSHOT.exists() else {}
    return [
        f"{contract}: {problem}"
        for contract, layout in committed.items()
        if INITIALIZABLE in layout
        for problem in incompatibilities(layout, current.get(contract, {}))
    ]


def test_layouts_can_be_upgraded_to(problems: list[str]) -> None:
    """Fields are only appended. Before the first public deployment, delete the snapshot to begin anew."""
    assert not problems


def test_layouts_are_as_committed(problems: list[str], current: dict[str, Layout]) -> None:
    assert not problems, "not recorded"
    snapshots.check(SNAPSHOT, json.dumps(current, indent=2) + "\n")


def test_upgradeable_contracts_store_in_namespaces_only(current: dict[str, Layout]) -> None:
    """A base contract that is added or reordered then moves nothing."""
    upgradeable = [name for name, layout in current.items() if INITIALIZABLE in layout]
    assert {"Engine", "Vault"} <= set(upgradeable)
    assert not [name for name in upgradeable if "storage" in current[name]]


def test_namespaces_lie_at_their_slots() -> None:
    slots = namespace_slots()
    assert "crosspoint.storage.Vault" in slots
    for space, slot in slots.items():
        number = int.from_bytes(keccak((int.from_bytes(keccak(text=space)) - 1).to_bytes(32))) & ~0xFF
        assert int(slot, 16) == number, space


def test_next_versions_of_the_mocks_can_be_upgraded_to(current: dict[str, Layout]) -> None:
    """The contracts that tests upgrade to are honest examples: each XV2 extends the layout of X."""
    following = {name: layout for name, layout in _mocks().items() if name.removesuffix("V2") in current}
    for name, layout in following.items():
        assert not incompatibilities(current[name.removesuffix("V2")], layout), name


def _mocks() -> dict[str, Layout]:
    units = [unit for unit in own_units() if unit.startswith(MOCKS) and unit.endswith("V2.sol")]
    return {name.removeprefix("Mock"): layout for name, layout in layouts(units).items()} if units else {}


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (["slot 0 byte 0: address engine", "slot 0 byte 20: bool halted", "slot 1 byte 0: uint256 more"], None),
        (["slot 0 byte 0: address engine"], "'slot 0 byte 20: bool halted' became 'nothing'"),
        (["slot 0 byte 0: bool halted", "slot 0 byte 1: address engine"], "became 'slot 0 byte 0: bool halted'"),
        (["slot 0 byte 0: address engine", "slot 0 byte 20: uint8 halted"], "became 'slot 0 byte 20: uint8 halted'"),
    ],
    ids=["appended", "removed", "reordered", "retyped"],
)
def test_only_appending_is_compatible(rows: list[str], problem: str | None) -> None:
    found = incompatibilities(V1, {"storage": rows})
    assert len(found) == (problem is not None)
    assert problem is None or problem in found[0]


def test_a_namespace_that_is_gone_is_incompatible() -> None:
    assert incompatibilities(V1, {}) == ["storage is gone"]
