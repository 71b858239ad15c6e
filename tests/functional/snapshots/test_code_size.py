"""Code sizes of the production contracts, as committed, and below the limit of EIP-170 with room to spare."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ape.managers.project import ProjectManager

from scripts._audit.sources import production_contracts
from tests.utils import snapshots

SNAPSHOT = Path(__file__).with_name("code_sizes.json")
LIMIT = 24_576
ROOM = 128
"""bytes, for a repair that cannot wait for a rearrangement"""


@pytest.fixture(scope="module")
def sizes(project: ProjectManager) -> dict[str, int]:
    types = {name: project.contracts[name] for name in production_contracts()}
    return {name: len(contract.get_runtime_bytecode()) for name, contract in types.items()}


def test_code_sizes_are_as_committed(sizes: dict[str, int]) -> None:
    snapshots.check(SNAPSHOT, json.dumps(sizes, indent=2) + "\n")


def test_code_leaves_room_below_the_limit(sizes: dict[str, int]) -> None:
    assert {name: size for name, size in sizes.items() if size > LIMIT - ROOM} == {}
