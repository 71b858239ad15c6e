"""Sources are published at the explorer, contract by contract; what is missing is named before anything is deployed."""

import json

import pytest
from ape.exceptions import ApeException

from scripts._lib import publish
from scripts._lib.publish import find_explorer, publish_all
from scripts._lib.settings import DeploymentError


class FakeExplorer:
    """Remembers what it was asked to publish and as which contract Ape knows it; refuses the addresses in `refused`."""

    def __init__(self, chain, refused=()):
        self._chain = chain
        self.refused = set(refused)
        self.published = {}

    def publish_contract(self, address):
        if address in self.refused:
            raise ApeException("Max rate limit reached")
        self.published[address] = self._chain.contracts.get(address).name


@pytest.fixture
def with_explorer(monkeypatch, chain):
    """Let the test network have this explorer."""

    def run(explorer):
        monkeypatch.setattr(type(chain.provider.network), "explorer", explorer)

    return run


def contracts_of(deployment):
    return json.loads(deployment.path.read_text())["contracts"]


def test_publishes_every_contract_by_its_name(govern, chain):
    deployment = govern()
    explorer, notes = FakeExplorer(chain), []
    publish_all(explorer, deployment.path, echo=notes.append)
    contracts = contracts_of(deployment)
    assert explorer.published == {entry["address"]: entry["contract"] for entry in contracts.values()}
    assert explorer.published[deployment.engine] == "UpgradeableProxy"
    assert [str(note) for note in notes] == [f"publish {name}: {e['address']}" for name, e in contracts.items()]


def test_one_failure_does_not_stop_the_others_and_is_named(deploy, chain):
    deployment = deploy()
    contracts = contracts_of(deployment)
    explorer = FakeExplorer(chain, [deployment.registry])
    with pytest.raises(DeploymentError, match=rf"- MarketRegistry \({deployment.registry}\): Max rate limit reached"):
        publish_all(explorer, deployment.path, echo=lambda _: None)
    assert explorer.published.keys() == {entry["address"] for entry in contracts.values()} - {deployment.registry}
    explorer.refused.clear()
    publish_all(explorer, deployment.path, echo=lambda _: None)


def test_publishing_changes_no_file(deploy, chain):
    deployment = deploy()
    content = deployment.path.read_bytes()
    publish_all(FakeExplorer(chain), deployment.path, echo=lambda _: None)
    assert deployment.path.read_bytes() == content


def test_explorer_of_the_network_is_found(monkeypatch, chain, with_explorer):
    explorer = FakeExplorer(chain)
    with_explorer(explorer)
    monkeypatch.setenv("ETHERSCAN_API_KEY", "key")
    assert find_explorer(chain.provider) is explorer


@pytest.mark.parametrize(
    ("is_installed", "has_explorer", "key", "reason"),
    [
        (False, False, "key", "ape-etherscan is not installed; run `make setup`"),
        (True, True, None, "ETHERSCAN_API_KEY is not set"),
        (True, False, "key", "no explorer is known for ethereum:local:foundry"),
    ],
)
def test_what_is_missing_is_named(monkeypatch, chain, with_explorer, is_installed, has_explorer, key, reason):
    monkeypatch.setattr(publish, "find_spec", lambda name: object() if is_installed else None)
    with_explorer(FakeExplorer(chain) if has_explorer else None)
    if key is None:
        monkeypatch.delenv("ETHERSCAN_API_KEY", raising=False)
    else:
        monkeypatch.setenv("ETHERSCAN_API_KEY", key)
    with pytest.raises(DeploymentError, match=f"publish: {reason}"):
        find_explorer(chain.provider)
