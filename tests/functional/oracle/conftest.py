"""Fixtures of the oracles' tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from ape.api import AccountAPI
from ape.contracts import ContractInstance
from ape.managers.chain import ChainManager
from ape.managers.project import ProjectManager

from tests.utils.contracts import contract_at
from tests.utils.views import Views

ZERO = "0x" + "00" * 20
PRICE_ID = b"\x42" * 32
MAX_AGE = 3_600
ONE = 10**18


def round_id(number: int, phase: int = 1) -> int:
    """The id of a Chainlink round."""
    return phase << 64 | number


@pytest.fixture(scope="session")
def updater(accounts: list[AccountAPI]) -> AccountAPI:
    """An account that brings prices and pays for them."""
    return accounts[3]


@pytest.fixture
def create_feed(project: ProjectManager, owner: AccountAPI) -> Callable[..., ContractInstance]:
    """Deploy a Chainlink feed whose first round has this answer, now."""
    return lambda answer=65_000 * 10**8, decimals=8: owner.deploy(project.MockAggregator, decimals, answer)


@pytest.fixture
def create_oracle(project: ProjectManager, owner: AccountAPI) -> Callable[..., Views]:
    """Deploy an oracle that reads a feed."""

    def create(feed: ContractInstance, **changes: Any) -> Views:
        arguments = {"max_age": MAX_AGE, "minimum": 1_000 * ONE, "maximum": 1_000_000 * ONE} | changes
        sequencer, grace = arguments.pop("sequencer", ZERO), arguments.pop("grace", 0)
        assert len(arguments) == 3
        oracle = owner.deploy(project.ChainlinkOracle, feed, *arguments.values(), sequencer, grace)
        return Views(contract_at(project.ChainlinkOracle, oracle.address))

    return create


@pytest.fixture
def feed(create_feed: Callable[..., ContractInstance]) -> ContractInstance:
    return create_feed()


@pytest.fixture
def oracle(create_oracle: Callable[..., Views], feed: ContractInstance) -> Views:
    return create_oracle(feed)


@pytest.fixture
def now(chain: ChainManager) -> Callable[[], int]:
    return lambda: int(chain.blocks.head.timestamp)


@pytest.fixture
def set_round(feed: ContractInstance, owner: AccountAPI) -> Callable[..., int]:
    """Set a complete round of the feed and return its id."""

    def run(number: int, updated_at: int, usd: int = 65_000, phase: int = 1) -> int:
        id_ = round_id(number, phase)
        feed.setRound(id_, usd * 10**8, updated_at, updated_at, id_, sender=owner)
        return id_

    return run


@dataclass
class PythSetting:
    """A Pyth contract, an oracle on it, and a way to bring prices."""

    pyth: ContractInstance
    oracle: Views
    updater: AccountAPI

    def encode(self, publish_time: int, **changes: Any) -> bytes:
        """What Pyth would sign: 65,000 +- 10 USD with 8 decimals."""
        price = {"value": 65_000 * 10**8, "conf": 10 * 10**8, "expo": -8, "publishTime": publish_time}
        feed_id = changes.pop("id", PRICE_ID)
        price |= changes
        assert len(price) == 4
        return bytes(self.pyth.encodeUpdate({"id": feed_id, "price": price, "emaPrice": price}))

    def update(self, publish_time: int, value: int | None = None, **changes: Any) -> Any:
        """Bring one price and pay its fee, or `value` wei."""
        fee = int(self.pyth.feePerUpdate())
        data = [self.encode(publish_time, **changes)]
        return self.oracle.update(data, sender=self.updater, value=fee if value is None else value)


@pytest.fixture
def create_pyth(project: ProjectManager, owner: AccountAPI, updater: AccountAPI) -> Callable[..., PythSetting]:
    """Deploy a Pyth contract and an oracle on it."""

    def create(fee: int = 7, **changes: Any) -> PythSetting:
        pyth = owner.deploy(project.MockPyth, fee)
        arguments = {"max_age": MAX_AGE, "minimum": 1_000 * ONE, "maximum": 1_000_000 * ONE, "confidence": 100}
        arguments |= changes
        assert len(arguments) == 4
        oracle = owner.deploy(project.PythOracle, pyth, PRICE_ID, *arguments.values())
        return PythSetting(pyth, Views(contract_at(project.PythOracle, oracle.address)), updater)

    return create


@pytest.fixture
def setting(create_pyth: Callable[..., PythSetting]) -> PythSetting:
    return create_pyth()
