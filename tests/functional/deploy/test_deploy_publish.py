"""Sources are published at the explorer, contract by contract; what is missing is named before anything is deployed."""

import json
import subprocess

import pytest
from ape.exceptions import ApeException
from solcx.install import get_executable

from scripts._lib import publish
from scripts._lib.publish import find_explorer, prepare, publish_all
from scripts._lib.record import DeploymentFile
from scripts._lib.settings import DeploymentError
from scripts._lib.sources import Sources


class FakeExplorer:
    """Remembers what was submitted, by address; answers what `submit` and `statuses` say, else success."""

    def __init__(self):
        self.submitted = {}
        self.refused = {}
        self.statuses = {}

    def __call__(self, address):
        return FakeClient(self, address)


class FakeClient:
    def __init__(self, explorer, address):
        self.explorer, self.address = explorer, address

    def verify_source_code(self, standard_json_output, compiler_version, **options):
        if self.address in self.explorer.refused:
            raise ApeException(self.explorer.refused[self.address])
        self.explorer.submitted[self.address] = (standard_json_output, compiler_version, options)
        return f"guid of {self.address}"

    def check_verify_status(self, guid):
        assert guid == f"guid of {self.address}"
        waiting = self.explorer.statuses.get(self.address)
        return waiting.pop(0) if waiting else "Pass - Verified"


@pytest.fixture
def explorer(monkeypatch):
    monkeypatch.setattr(publish.time, "sleep", lambda _: None)
    return FakeExplorer()


@pytest.fixture(scope="module")
def sources():
    return Sources()


def contracts_of(deployment):
    return json.loads(deployment.path.read_text())["contracts"]


def test_publishes_every_contract(govern, explorer, sources):
    deployment, notes = govern(), []
    publish_all(explorer, deployment.path, sources, echo=notes.append)
    contracts = contracts_of(deployment)
    assert explorer.submitted.keys() == {entry["address"] for entry in contracts.values()}
    standard_json, version, options = explorer.submitted[deployment.engine]
    assert options["contract_name"] == "contracts/UpgradeableProxy.sol:UpgradeableProxy"
    assert version.startswith("0.8.37+commit.")
    assert (options["via_ir"], options["evm_version"], options["optimization_used"]) == (True, "prague", True)
    assert standard_json["settings"]["viaIR"] is True
    assert [str(note) for note in notes] == [f"publish {name}: {e['address']}" for name, e in contracts.items()]


def test_one_failure_does_not_stop_the_others_and_is_named(deploy, explorer, sources):
    deployment = deploy()
    explorer.refused = {deployment.registry: "Max rate limit reached"}
    explorer.statuses = {deployment.queue: ["Pending in queue", "Fail - Unable to verify"]}
    with pytest.raises(DeploymentError) as caught:
        publish_all(explorer, deployment.path, sources, echo=lambda _: None)
    assert f"- MarketRegistry ({deployment.registry}): Max rate limit reached" in str(caught.value)
    assert f"- WithdrawalQueue ({deployment.queue}): Fail - Unable to verify" in str(caught.value)
    assert str(caught.value).count("\n- ") == 2
    explorer.refused.clear()
    publish_all(explorer, deployment.path, sources, echo=lambda _: None)


@pytest.mark.parametrize("how", ["refused", "status"])
def test_what_is_published_already_counts_as_success(deploy, explorer, sources, how):
    deployment = deploy()
    if how == "refused":
        explorer.refused = {deployment.vault: "Contract source code already verified"}
    else:
        explorer.statuses = {deployment.vault: ["In progress", "Already Verified"]}
    publish_all(explorer, deployment.path, sources, echo=lambda _: None)


def test_an_explorer_that_never_finishes_is_given_up(deploy, explorer, sources):
    deployment = deploy()
    explorer.statuses = {deployment.vault: ["Pending in queue"] * 1_000}
    with pytest.raises(DeploymentError, match=r"- Vault .*: the explorer did not finish within 300 s"):
        publish_all(explorer, deployment.path, sources, echo=lambda _: None)


def test_publishing_changes_no_file(deploy, explorer, sources):
    deployment = deploy()
    content = deployment.path.read_bytes()
    publish_all(explorer, deployment.path, sources, echo=lambda _: None)
    assert deployment.path.read_bytes() == content


def without_metadata(code):
    """The code without the hash of sources and settings at its end, which explorers do not compare either."""
    return code[: -2 - int.from_bytes(code[-2:], "big")]


@pytest.mark.parametrize("contract", ["SynthERC20", "UpgradeableProxy", "OrderControl"])
def test_what_is_submitted_compiles_to_what_was_deployed(project, sources, contract):
    command = [get_executable(sources.compiler_version.partition("+")[0]), "--standard-json"]
    text = json.dumps(sources.standard_json(contract))
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=300, check=True)
    output = json.loads(done.stdout)["contracts"][sources.source_id(contract)][contract]
    compiled = bytes.fromhex(output["evm"]["bytecode"]["object"])
    deployed = bytes(project.get_contract(contract).contract_type.get_deployment_bytecode())
    assert without_metadata(compiled) == without_metadata(deployed)
    assert len(without_metadata(compiled)) > len(compiled) - 64


def test_constructor_arguments_complete_the_code_that_was_sent(govern, chain, sources):
    deployment = govern()
    file = DeploymentFile.open(deployment.path.parent, deployment.chain_id)
    for name, entry in file.contracts.items():
        if entry.transaction is None or name.startswith("Synth"):
            continue
        sent = bytes(chain.provider.web3.eth.get_transaction(entry.transaction)["input"])
        arguments = prepare(name, entry, sources).constructor_arguments
        assert sent.endswith(arguments)
        assert len(arguments) % 32 == 0
        assert bool(arguments) == bool(entry.arguments)


@pytest.fixture
def with_explorer(monkeypatch, chain):
    """Let the test network have this explorer."""
    known = vars(chain.provider.network)  # where Ape keeps the answer of its cached property
    return lambda explorer: monkeypatch.setitem(known, "explorer", explorer)


@pytest.mark.parametrize(
    ("is_installed", "has_explorer", "key", "reason"),
    [
        (False, True, "key", r"the explorer's plugin is not installed; run `pip install ape-etherscan==0.8.7`"),
        (True, True, None, "ETHERSCAN_API_KEY is not set"),
        (True, False, "key", "no explorer is known for ethereum:local:foundry"),
    ],
)
def test_what_is_missing_is_named(monkeypatch, chain, with_explorer, is_installed, has_explorer, key, reason):
    monkeypatch.setattr(publish, "find_spec", lambda name: object() if is_installed else None)
    with_explorer(object() if has_explorer else None)
    if key is None:
        monkeypatch.delenv("ETHERSCAN_API_KEY", raising=False)
    else:
        monkeypatch.setenv("ETHERSCAN_API_KEY", key)
    with pytest.raises(DeploymentError, match=f"publish: {reason}"):
        find_explorer(chain.provider)


def test_plugin_is_asked_for_a_client_of_each_contract(monkeypatch, chain, with_explorer):
    """The plugin's modules are replaced by ones of the same shape, because it is not installed here."""
    made = []

    class Factory:
        def __init__(self, instance):
            made.append(instance)

        def get_contract_client(self, address):
            return ("client", address)

    class Types:
        @staticmethod
        def EtherscanInstance(*arguments):  # noqa: N802 (the plugin's name)
            return arguments

    modules = {"ape_etherscan.client": type("Client", (), {"ClientFactory": Factory}), "ape_etherscan.types": Types}
    uris = type("Explorer", (), {"etherscan_uri": "https://scan", "etherscan_api_uri": "https://scan/api"})
    monkeypatch.setattr(publish, "find_spec", lambda name: object())
    monkeypatch.setattr(publish, "import_module", modules.__getitem__)
    monkeypatch.setenv("ETHERSCAN_API_KEY", "key")
    with_explorer(uris)
    assert find_explorer(chain.provider)("0x12") == ("client", "0x12")
    assert made == [("ethereum", "local", "https://scan", "https://scan/api")]
