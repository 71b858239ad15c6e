"""Real core processes, killed and started again. The test plays the worker: it brings the chain over the socket."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import msgspec
import pytest

from offchain.domain.commands import BatchClosed, BatchParked, Command, PlaceOrder
from offchain.domain.core import Core
from offchain.domain.order import Side
from offchain.domain.results import PlaceResult, Result
from offchain.journal.sqlite import SqliteJournal
from offchain.ports import RULES_VERSION, Unavailable
from offchain.projector import Projector
from offchain.replica import ReplayMismatch, recover
from offchain.transport.local import LocalIngress
from offchain.views.sqlite import SqliteViews
from tests.utils.scenario import CONFIGURE, ENGINE, MAKER, MARKET, TAKER, create_opening, create_order, create_trading

ROOT = Path(__file__).parents[2]
TIMEOUT_MS = 10_000


class CoreUnderTest:
    """One data folder, on which core processes run one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "data"
        self.log = folder / "core.log"
        self.deployment = folder / "31337.json"
        self.process: subprocess.Popen[bytes] | None = None
        self.ingress = LocalIngress(self.folder / "core.sock")
        self.write_deployment(ENGINE)

    def write_deployment(self, engine: bytes) -> None:
        names = ("Engine", "Vault", "WithdrawalQueue", "MarketRegistry", "OrderControl")
        contracts = {name: {"address": "0x" + engine.hex(), "block": 1} for name in names}
        self.deployment.write_text(json.dumps({"chainId": 31_337, "startBlock": 1, "contracts": contracts}))

    def command(self, role: str, *arguments: str) -> list[str]:
        options = ["--data-dir", str(self.folder), "--deployments-file", str(self.deployment), "--port", "0"]
        options += ["--price-band-percent", "0"]  # as CONFIGURE has it
        return [sys.executable, "-m", "offchain", role, *options, *arguments]

    def start(self, *arguments: str) -> None:
        with self.log.open("ab") as log:
            command = self.command("core", *arguments)
            self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def url(self) -> str:
        """Where the API of the process that was started last listens."""
        lines = [line for line in self.log.read_text().splitlines() if "listening" in line]
        return lines[-1].split("url=")[1].strip()


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[CoreUnderTest]:
    core = CoreUnderTest(tmp_path)
    await core.ingress.start()
    yield core
    await core.ingress.close()
    if core.process is not None and core.process.poll() is None:
        core.kill()


async def submit_until_killed(core: CoreUnderTest, commands: list, acknowledge: Callable[[int, object], None]) -> None:
    """Send commands, 20 under way at a time and in order, until the core is gone."""

    async def send(number: int) -> None:
        acknowledge(number, await core.ingress.submit(commands[number], TIMEOUT_MS))

    for start in range(0, len(commands), 20):
        sending = [asyncio.create_task(send(number)) for number in range(start, min(start + 20, len(commands)))]
        for outcome in await asyncio.gather(*sending, return_exceptions=True):
            if isinstance(outcome, Unavailable):
                return
            assert outcome is None


async def submit_patiently(core: CoreUnderTest, command: Command) -> Result:
    """Send again while the connection is still that of the killed process."""
    for _ in range(10):
        try:
            return await core.ingress.submit(command, 20_000)
        except Unavailable:
            await asyncio.sleep(0.1)
    pytest.fail("the core did not come back")


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_killed_core_has_everything_that_it_acknowledged(core, seed):
    commands = [*create_opening(), *create_trading(2_000, seed=seed, keys=3_000)]
    chance = random.Random(seed)
    acknowledged: dict[int, object] = {}
    core.start()
    assert await core.ingress.submit(commands[0], 20_000)
    acknowledged[0] = None

    sending = asyncio.create_task(submit_until_killed(core, commands[1:], acknowledged.__setitem__))
    await asyncio.sleep(chance.uniform(0.05, 0.4))
    core.kill()
    await sending
    assert len(acknowledged) > 1

    core.start()
    again = [await submit_patiently(core, command) for command in commands[1 : len(acknowledged) + 1]]
    for number, result in enumerate(again[:-1]):
        command = commands[1 + number]
        if isinstance(command, PlaceOrder) and number in acknowledged:
            assert isinstance(result, PlaceResult)
            first = acknowledged[number]
            assert msgspec.structs.replace(result, repeated=False) == first
            assert result.repeated or first.rejection is not None
    assert core.stop() == 0

    journal = SqliteJournal(core.folder, read_only=True)
    recovered = await recover(journal)
    stored = [command async for record in journal.read(0) for command in record.commands]
    await journal.close()
    assert stored[: len(acknowledged)] == commands[: len(acknowledged)]
    model = Core()
    for command in stored:
        model.execute(command, recovered.time_ms)
    for account in (MAKER, TAKER, ENGINE):
        assert recovered.core.balances(account) == model.balances(account)
    for side in (0, 1):
        assert recovered.core.depth(MARKET.id, side, 1_000) == model.depth(MARKET.id, side, 1_000)


async def test_verify_accepts_what_the_core_wrote_and_finds_a_change(core):
    core.start()
    for command in [*create_opening(), *create_trading(50)]:
        await core.ingress.submit(command, 20_000)
    assert core.stop() == 0
    found = run(core.command("verify"))
    assert found.returncode == 0, found.stderr
    assert "differences: 0" in found.stdout

    journal = SqliteJournal(core.folder)
    epoch = await journal.acquire("forger")
    first = await anext(journal.read(0))
    tail, prev_hash = await journal.tail()
    forged = msgspec.structs.replace(first, epoch=epoch, first=tail + 1, last=tail + first.last, prev_hash=prev_hash)
    await journal.append(forged)
    await journal.close()
    found = run(core.command("verify"))
    assert found.returncode == 1
    assert f"event {tail + 1}" in found.stderr


async def test_snapshot_at_the_end_lets_a_release_with_other_rules_take_over(core, monkeypatch):
    empty = run(core.command("snapshot"))
    assert empty.returncode == 78
    assert "holds no journal" in empty.stderr
    core.start()
    for command in [*create_opening(), *create_trading(50)]:
        await core.ingress.submit(command, 20_000)
    refused = run(core.command("snapshot"))
    assert refused.returncode == 78
    assert "in use by another core" in refused.stderr
    assert core.stop() == 0

    journal = SqliteJournal(core.folder, read_only=True)
    tail, _ = await journal.tail()
    state = (await recover(journal)).core.snapshot()
    monkeypatch.setattr("offchain.replica.RULES_VERSION", RULES_VERSION + 1)
    with pytest.raises(ReplayMismatch, match="offchain snapshot"):
        await recover(journal)
    saved = run(core.command("snapshot"))
    assert saved.returncode == 0, saved.stderr
    assert f"after event {tail} " in saved.stdout
    assert (await recover(journal)).core.snapshot() == state
    await journal.close()


async def test_second_core_on_the_same_folder_is_refused(core):
    core.start()
    await core.ingress.submit(CONFIGURE, 20_000)
    second = run(core.command("core"))
    assert second.returncode == 78
    assert core.process is not None
    assert f"in use by another core, process {core.process.pid}" in second.stderr
    assert core.process.poll() is None


async def test_other_deployment_or_setting_is_refused(core):
    core.start()
    await core.ingress.submit(CONFIGURE, 20_000)
    assert core.stop() == 0
    refused = run(core.command("core", "--confirmations", "3"))
    assert refused.returncode == 78
    assert "confirmations: the journal began with 1, now it is 3" in refused.stderr
    core.write_deployment(b"\xef" * 20)
    refused = run(core.command("core"))
    assert refused.returncode == 78
    assert f"engine: the journal began with 0x{ENGINE.hex()}" in refused.stderr


async def test_missing_deployment_is_named(core):
    core.deployment.unlink()
    refused = run(core.command("core"))
    assert refused.returncode == 78
    assert "31337.json: not found" in refused.stderr


async def test_core_alone_says_that_it_is_not_ready_and_ends_cleanly(core):
    core.start()
    await core.ingress.submit(CONFIGURE, 20_000)
    await core.ingress.close()
    core.ingress = LocalIngress(core.folder / "core.sock")
    async with aiohttp.ClientSession() as session:
        for _ in range(100):
            async with session.get(f"{core.url()}/readyz") as response:
                body = await response.text()
            if "worker is not connected" in body:
                break
            await asyncio.sleep(0.02)
        assert response.status == 503
        assert "worker is not connected" in body
        async with session.get(f"{core.url()}/livez") as response:
            assert response.status == 200
    assert core.stop() == 0
    assert not (core.folder / "core.sock").exists()


async def test_orphaned_process_ends_by_itself(core):
    """Under a supervisor the end of standard input means that it is gone."""
    core.start("--supervised")
    await core.ingress.submit(CONFIGURE, 20_000)
    assert core.process is not None
    assert core.process.stdin is not None
    core.process.stdin.close()
    assert core.process.wait(20) == 0


async def test_settlement_commands_speak_to_the_running_core(core):
    missing = run(core.command("settlement", "status"))
    assert missing.returncode == 2, "options belong to the subcommand"
    options = core.command("x")[4:]
    settlement = [sys.executable, "-m", "offchain", "settlement"]
    core.start()
    for command in [*create_opening(), *create_trading(20)]:
        await core.ingress.submit(command, 20_000)
    shown = run([*settlement, "status", *options])
    assert shown.returncode == 0, shown.stderr
    assert "last batch on chain: none" in shown.stdout
    refused = run([*settlement, "retry", *options])
    assert (refused.returncode, refused.stderr) == (1, "no batch is parked\n")
    refused = run([*settlement, "bust", "--fill-id", "0x" + "11" * 32, *options])
    assert refused.returncode == 1
    assert "unknownFill" in refused.stderr
    core.kill()
    gone = run([*settlement, "status", *options])
    assert gone.returncode == 3
    assert "does not answer" in gone.stderr


@pytest.mark.parametrize("names_item", [True, False])
async def test_parked_batch_is_retried_and_busted_by_command(core, names_item):
    settlement = [sys.executable, "-m", "offchain", "settlement"]
    options = core.command("x")[4:]
    core.start()
    for number in (1, 2):
        commands = [create_order(MAKER, Side.SELL, 5, key=number), create_order(TAKER, Side.BUY, 5, key=number)]
        for command in [*create_opening(), *commands] if number == 1 else commands:
            await core.ingress.submit(command, 20_000)
    matched_at = (await core.ingress.status(20_000)).settlement.oldest_fill_ms // 1000
    await core.ingress.submit(BatchClosed(1, 1, 2, matched_at), TIMEOUT_MS)
    parked = BatchParked(1, "StaleNonce(0)", 1 if names_item else None)
    await core.ingress.submit(parked, TIMEOUT_MS)
    shown = run([*settlement, "status", *options]).stdout
    assert "batch 1: parked: StaleNonce(0)" in shown
    assert "market BTC-USDC is halted: StaleNonce(0)" in shown

    assert run([*settlement, "retry", *options]).stdout == "batch 1 is tried again\n"
    await core.ingress.submit(parked, TIMEOUT_MS)
    journal = SqliteJournal(core.folder, read_only=True)
    views = SqliteViews(core.folder / "views.db")
    await (await Projector.open(journal, views)).catch_up()
    busted = run([*settlement, "bust", "--all-parked", *options])
    assert busted.returncode == 0, busted.stderr
    assert busted.stdout.count("busted 0x") == (1 if names_item else 2)
    shown = run([*settlement, "status", *options]).stdout
    assert f"unsettled: {1 if names_item else 0} fills" in shown
    assert "halted" not in shown
    await views.close()
    await journal.close()
