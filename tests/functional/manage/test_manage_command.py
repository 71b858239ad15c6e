"""`ape run manage` as a user runs it: a process of its own, on a node with a deployment by `ape run deploy`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts._lib.anvil import anvil, rpc
from scripts._lib.settings import ROOT

OPERATOR = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"  # TEST::1
GUARDIAN = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"  # TEST::2


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with anvil() as url:
        yield url


@pytest.fixture(scope="module")
def run_ape(node, tmp_path_factory):
    """Run a script at the node, with its output as one string."""
    folder = tmp_path_factory.mktemp("manage")

    def run(script, *arguments):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("APE_")}
        command = [str(Path(sys.executable).parent / "ape"), "run", script, *arguments]
        options = ["--network", node, "--deployments", str(folder / "out")]
        if "--help" in arguments:
            options = []
        done = subprocess.run(
            [*command, *options],
            cwd=ROOT,
            env=environment | {"APE_DATA_FOLDER": str(folder / "ape")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout

    return run


@pytest.fixture(scope="module")
def manage(run_ape):
    """Run the command on a deployment with governance."""
    arguments = ("--governance", "--operator", OPERATOR, "--guardian", GUARDIAN, "--proposal-threshold", "1")
    status, output = run_ape("deploy", *arguments, "--quorum-floor", "1")
    assert status == 0, output
    assert "Timelock " in output
    assert "CXPT-USDC " in output
    return lambda *arguments: run_ape("manage", *arguments)


def test_status_needs_no_account(manage):
    status, output = manage("status")
    assert status == 0, output
    assert output.count("(timelock)") == 4
    assert "CXPT-USDC" in output


def test_dry_run_by_default_and_send_when_told(manage, node):
    sent = rpc(node, "eth_getTransactionCount", GUARDIAN, "latest")
    status, output = manage("pause", "ETH-USDC", "--account", "TEST::2")
    assert status == 0, output
    assert "would send MarketRegistry.setStatus(" in output
    assert "Dry run: nothing was sent. Add --send to send it." in output
    assert rpc(node, "eth_getTransactionCount", GUARDIAN, "latest") == sent

    status, output = manage("pause", "ETH-USDC", "--account", "TEST::2", "--send")
    assert status == 0, output
    assert "sent MarketRegistry.setStatus(" in output
    assert "Dry run" not in output
    assert "paused since" in manage("status")[1]


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (("halt",), 1, "Error: Engine.halt() would revert: NotGuardian("),
        (("pause", "DOGE-USDC"), 1, "Error: DOGE-USDC: the registry has no such market"),
        (("schedule-fee", "40", "--at", "+2h"), 1, "leaves no time for a vote, the timelock and the settlement window"),
        (("schedule-fee", "51", "--at", "+2h"), 2, "51 is not in the range 0<=x<=50"),
        (("schedule-fee", "40", "--at", "soon"), 2, "'soon' is neither Unix seconds nor a time ahead"),
        (("accrue-funding", "BTC-PERP", "--percent", "0.0000001"), 2, "0.0000001 has more than 6 decimals"),
        (("accrue-funding", "BTC-PERP", "--percent", "much"), 2, "'much' is not a number"),
        (("accrue-funding", "BTC-PERP", "--percent", "-0.01", "--round", "7"), 1, "would revert: NotOperator("),
        (("schedule-fee", "40", "--at", "+9d"), 1, "would revert: GovernorInsufficientProposerVotes("),
        (("vote", "7", "for"), 1, "Error: 7: no such proposal"),
        (("vote", "7", "perhaps"), 2, "'perhaps' is not one of"),
    ],
)
def test_says_why_it_refuses(manage, node, arguments, status, reason):
    code, output = manage(*arguments)
    assert (code, reason in output) == (status, True), output


def test_help_names_every_action_and_who_may(run_ape):
    status, output = run_ape("manage", "--help")
    assert status == 0, output
    for command in ("pause", "halt", "list-market", "propose", "vote", "queue", "execute", "veto", "expire"):
        assert f"\n  {command} " in output
    assert "operator   accrue-funding" in output
