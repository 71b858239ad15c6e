"""`ape run deploy` as a user runs it: a process of its own, a node of another chain, a keyfile account."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from eth_account import Account
from eth_utils import to_checksum_address

from scripts._lib.addresses import CREATE2_DEPLOYER, CREATE2_DEPLOYER_CODE
from scripts._lib.anvil import anvil, rpc
from scripts._lib.settings import ROOT

CHAIN_ID = 424242
PASSPHRASE = "correct horse"
OWNER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


@pytest.fixture
def node():
    """The URL of an Anvil without the CREATE2 deployer, on a chain that nobody knows."""
    with anvil(chain_id=CHAIN_ID) as url:
        rpc(url, "anvil_setCode", CREATE2_DEPLOYER, "0x")
        yield url


@pytest.fixture
def deployer(node, tmp_path):
    """The address of a funded account whose keyfile is in the data folder, by the alias `deployer`."""
    account = Account.create()
    folder = tmp_path / "ape" / "accounts"
    folder.mkdir(parents=True)
    (folder / "deployer.json").write_text(json.dumps(Account.encrypt(account.key, PASSPHRASE, iterations=1024)))
    rpc(node, "anvil_setBalance", account.address, hex(100 * 10**18))
    return account.address


@pytest.fixture
def run_deploy(tmp_path):
    """Run the command with its output as one string; the passphrase is in the environment if asked for."""

    def run(*arguments, passphrase=True):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("APE_")}
        environment["APE_DATA_FOLDER"] = str(tmp_path / "ape")
        if passphrase:
            environment["APE_ACCOUNTS_deployer_PASSPHRASE"] = PASSPHRASE
        command = [str(Path(sys.executable).parent / "ape"), "run", "deploy", "--deployments", str(tmp_path / "out")]
        done = subprocess.run(
            [*command, *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout

    return run


def test_deploys_to_a_node_by_its_address(node, deployer, run_deploy, tmp_path):
    arguments = ("--network", node, "--account", "deployer", "--mocks", "--owner", OWNER, "--chain-id", str(CHAIN_ID))

    status, output = run_deploy(*arguments, "--dry-run")
    assert status == 0, output
    assert int(rpc(node, "eth_getTransactionCount", deployer, "latest"), 16) == 0
    assert not (tmp_path / "out").exists()
    planned = [line for line in output.splitlines() if line.startswith("deploy Engine ")]

    status, output = run_deploy(*arguments)
    assert status == 0, output
    data = json.loads((tmp_path / "out" / f"{CHAIN_ID}.json").read_text())
    assert (data["chainId"], data["deployer"]) == (CHAIN_ID, to_checksum_address(deployer))
    for entry in data["contracts"].values():
        assert rpc(node, "eth_getCode", entry["address"], "latest") != "0x"
    assert data["contracts"]["Engine"]["address"] in planned[0]
    assert rpc(node, "eth_getCode", CREATE2_DEPLOYER, "latest") == "0x" + CREATE2_DEPLOYER_CODE.hex()
    assert f"{OWNER} must call acceptOwnership() on MarketRegistry, Vault, Engine, Clearinghouse" in output

    sent = rpc(node, "eth_getTransactionCount", deployer, "latest")
    status, output = run_deploy(*arguments)
    assert status == 0, output
    assert rpc(node, "eth_getTransactionCount", deployer, "latest") == sent


@pytest.mark.parametrize(
    ("arguments", "passphrase", "reason"),
    [
        (("--mocks",), True, f"--account is required on chain {CHAIN_ID}"),
        (("--mocks", "--account", "deployer"), False, "APE_ACCOUNTS_deployer_PASSPHRASE is not set"),
        (("--mocks", "--account", "deployer", "--chain-id", "1"), True, "expected chain 1, connected is chain 424242"),
        (("--account", "deployer"), True, "markets: asset WBTC, asset WETH, oracle BTC"),
        (("--mocks", "--account", "deployer", "--operator", "0x12"), True, "operator: '0x12' is not an address"),
    ],
)
def test_says_why_it_refuses(node, deployer, run_deploy, tmp_path, arguments, passphrase, reason):
    status, output = run_deploy("--network", node, *arguments, passphrase=passphrase)
    assert status == 1, output
    assert f"Error: {reason}" in output or f": {reason}" in output
    assert int(rpc(node, "eth_getTransactionCount", deployer, "latest"), 16) == 0
    assert not (tmp_path / "out").exists()


def test_says_how_to_reach_a_node_that_ape_takes_for_another_chain(node, deployer, run_deploy):
    status, output = run_deploy("--network", f"ethereum:local:{node}", "--account", "deployer", "--mocks")
    assert status == 1
    assert "--network http://HOST:PORT" in output


def test_works_without_arguments_on_a_local_chain(run_deploy, tmp_path):
    status, output = run_deploy("--network", "ethereum:local:foundry")
    assert status == 0, output
    assert "All checks passed" in output
    assert json.loads((tmp_path / "out" / "31337.json").read_text())["markets"]["BTC-USDC"]["id"] == 3


def test_scripts_folder_has_no_accidental_commands():
    ape = str(Path(sys.executable).parent / "ape")
    output = subprocess.run([ape, "run", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    commands = [line.split()[0] for line in output.stdout.split("Commands:")[1].splitlines() if line.strip()]
    assert {"_lib", "_markets", "lib", "markets"}.isdisjoint(commands)
    assert "deploy" in commands
