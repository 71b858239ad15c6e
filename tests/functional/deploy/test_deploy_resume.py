"""An interrupted run goes on where it ended and sends nothing twice, wherever it was interrupted."""

import json

import pytest

from scripts._lib import node as node_module
from scripts._lib.deployment import deploy_all, plan_all
from scripts._lib.listing import LOCAL_MARKETS, Listing
from scripts._lib.node import Node
from scripts._lib.record import DeploymentFile
from scripts._lib.settings import DeploymentError, DeploySettings
from tests.utils.isolation import isolated

LISTING = Listing.load(LOCAL_MARKETS)
SMALL = Listing(LISTING.assets[:1], (LISTING.market("BTC-USDC"), LISTING.market("BTC-PERP")), LISTING.oracles)
STEPS = 25
TRANSACTIONS = 24  # the CREATE2 deployer is there already


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def uninterrupted(chain, accounts, tmp_path_factory):
    """The file of a run without interruption, on the chain state that every test starts from."""
    roles = dict(zip(("operator", "guardian", "owner"), (account.address for account in accounts[1:4]), strict=True))
    settings = DeploySettings(folder=tmp_path_factory.mktemp("uninterrupted"), listing=SMALL, **roles)
    with isolated(chain):
        return json.loads(deploy_all(accounts[0], settings, echo=lambda _: None).path.read_text())


@pytest.fixture
def create_settings(create_settings):
    """Settings with a listing that has one market of each kind of step."""
    return lambda **changes: create_settings(**({"listing": SMALL} | changes))


@pytest.fixture
def assert_completes(deploy, deployer, uninterrupted, chain):
    """Run again and compare with the uninterrupted run: same addresses, and as many transactions."""

    def run(nonce):
        deployment = deploy()
        assert deployer.nonce - nonce == TRANSACTIONS
        data = json.loads(deployment.path.read_text())
        addresses = {name: entry["address"] for name, entry in data["contracts"].items()}
        assert addresses == {name: entry["address"] for name, entry in uninterrupted["contracts"].items()}
        assert data["calls"].keys() == uninterrupted["calls"].keys()
        for entry in [*data["contracts"].values(), *data["calls"].values()]:
            assert (
                chain.provider.web3.eth.get_transaction_receipt(entry["transaction"])["blockNumber"] == entry["block"]
            )
        assert data["intents"] == []

    return run


def kill_at_call(monkeypatch, owner, name, number, after):
    """Let the `number`-th call of a method end the process, before or after its work."""
    original = getattr(owner, name)
    calls = 0

    def wrapper(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls != number:
            return original(*arguments, **options)
        if after:
            original(*arguments, **options)
        raise KilledError

    monkeypatch.setattr(owner, name, wrapper)


@pytest.mark.parametrize("step", range(1, STEPS + 1, 2))
def test_killed_after_a_step(deployer, create_settings, assert_completes, step):
    nonce = deployer.nonce

    def echo(report):
        if report.index == step:
            raise KilledError

    with pytest.raises(KilledError):
        deploy_all(deployer, create_settings(), echo=echo)
    assert_completes(nonce)


@pytest.mark.parametrize("transaction", range(2, TRANSACTIONS + 1, 2))
def test_killed_between_sending_and_recording(monkeypatch, deploy, deployer, assert_completes, transaction):
    nonce = deployer.nonce
    with monkeypatch.context() as patch:
        # `finish_...` of both kinds are one series: each is called once per transaction
        original = DeploymentFile.save

        def save(file):
            if not file.intents and file.contracts | file.calls:
                finished = len(file.contracts) + len(file.calls)
                if finished == transaction:
                    raise KilledError
            original(file)

        patch.setattr(DeploymentFile, "save", save)
        with pytest.raises(KilledError):
            deploy()
    assert deployer.nonce == nonce + transaction
    assert_completes(nonce)


@pytest.mark.parametrize("transaction", [1, 3, 6, TRANSACTIONS])
def test_killed_between_recording_the_intent_and_sending(monkeypatch, deploy, deployer, assert_completes, transaction):
    nonce = deployer.nonce
    with monkeypatch.context() as patch:
        kill_at_call(patch, DeploymentFile, "intend", transaction, after=True)
        with pytest.raises(KilledError):
            deploy()
    assert deployer.nonce == nonce + transaction - 1
    assert_completes(nonce)


@pytest.mark.parametrize("transaction", [2, 3, 11])
def test_killed_while_the_transaction_is_pending(monkeypatch, deploy, deployer, assert_completes, chain, transaction):
    nonce = deployer.nonce
    request = chain.provider.make_request
    original = Node.send
    sent = 0

    def send(self, step, nonce, receiver, data, before, value=0):
        nonlocal sent
        sent += 1
        if sent != transaction:
            return original(self, step, nonce, receiver, data, before, value)
        request("evm_setAutomine", [False])
        fields = {"sender": self.address, "nonce": nonce, "data": data, "receiver": receiver}
        fields = {name: value for name, value in fields.items() if value is not None}
        prepared = self.deployer.prepare_transaction(chain.provider.network.ecosystem.create_transaction(**fields))
        signed = self.deployer.sign_transaction(prepared)
        before(signed.txn_hash.to_0x_hex())
        self.web3.eth.send_raw_transaction(signed.serialize_transaction())
        raise KilledError

    def sleep(_):
        request("evm_mine", [])
        request("evm_setAutomine", [True])

    try:
        with monkeypatch.context() as patch:
            patch.setattr(Node, "send", send)
            with pytest.raises(KilledError):
                deploy()
        assert deployer.nonce == nonce + transaction - 1
        monkeypatch.setattr(node_module.time, "sleep", sleep)
        assert_completes(nonce)
    finally:
        request("evm_setAutomine", [True])


def test_waiting_for_a_pending_transaction_ends(monkeypatch, deployer, create_settings):
    node = Node(deployer, confirmations=None)
    times = iter(range(0, 10_000, 100))
    monkeypatch.setattr(node_module.time, "monotonic", lambda: next(times))
    monkeypatch.setattr(node_module.time, "sleep", lambda _: None)
    with pytest.raises(DeploymentError, match="Engine: nothing happened for 300 s"):
        node.wait_until("Engine", lambda: False)


def test_transaction_that_the_node_forgot_is_found_by_its_address(monkeypatch, deploy, deployer, create_settings):
    nonce = deployer.nonce
    with monkeypatch.context() as patch:
        kill_at_call(patch, DeploymentFile, "finish_contract", 1, after=False)
        with pytest.raises(KilledError):
            deploy()
    monkeypatch.setattr(Node, "mined", lambda self, transaction: None)
    deployment = deploy()
    assert deployer.nonce - nonce == TRANSACTIONS
    assert json.loads(deployment.path.read_text())["contracts"]["USDC"]["block"] is None


def test_transaction_that_reverted_is_sent_again(monkeypatch, deploy, deployer, chain):
    nonce = deployer.nonce
    with monkeypatch.context() as patch:
        kill_at_call(patch, DeploymentFile, "intend", 5, after=True)
        with pytest.raises(KilledError):
            deploy()
    deployer.transfer(deployer, 0)  # another transaction takes the nonce
    deploy()
    assert deployer.nonce - nonce == TRANSACTIONS + 1


def test_dry_run_after_an_interruption_writes_nothing(monkeypatch, deploy, deployer, create_settings, tmp_path):
    with monkeypatch.context() as patch:
        kill_at_call(patch, DeploymentFile, "finish_contract", 4, after=False)
        with pytest.raises(KilledError):
            deploy()
    [path] = tmp_path.iterdir()
    content, nonce = path.read_bytes(), deployer.nonce
    plan = plan_all(deployer, create_settings(), echo=lambda _: None)
    assert [report.action.value for report in plan[:6]] == ["exists"] * 5 + ["deploy"]
    assert (path.read_bytes(), deployer.nonce) == (content, nonce)


def test_failed_write_leaves_the_old_file(monkeypatch, deploy):
    deployment = deploy()
    content = deployment.path.read_bytes()
    file = DeploymentFile.open(deployment.path.parent, deployment.chain_id)
    file.markets["BROKEN"] = {"id": object()}
    with pytest.raises(TypeError):
        file.save()
    assert deployment.path.read_bytes() == content
