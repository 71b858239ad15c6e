"""A whole exchange: a chain with the contracts and, on it, the service as real processes."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import msgspec
from eth_account.signers.local import LocalAccount

from offchain.api.schemas.http import OrderBody
from offchain.client import Client
from offchain.client.signing import Number, Signer
from scripts._demo.run import Audit
from scripts._lib.anvil import anvil, free_port
from scripts._lib.service import Service, environment, service
from tests.e2e.chain import Abis, Chain

SYMBOL = "BTC-USDC"
BASE = "xWBTC"
"""The market's base asset: the synth over the underlying."""

PRICE = 64_000
"""USDC per BTC: around which the tests trade"""

TIMEOUT = 45.0
"""Seconds for anything that takes milliseconds where nothing else runs."""

T = TypeVar("T")

DEFAULTS = {
    "HEAD_POLL_MS": "50",
    "SETTLE_POLL_MS": "50",
    "BATCH_SECONDS": "0.5",
    "DRAIN_SECONDS": "20",
    # Several exchanges run at a time.
    "DEDICATE_CPU": "false",
}


@dataclass(frozen=True)
class Roles:
    """Accounts of an exchange that has been traded on; the traders have funds in it."""

    owner: LocalAccount
    operator: LocalAccount
    guardian: LocalAccount
    maker: LocalAccount
    taker: LocalAccount


@dataclass
class Exchange:
    """One chain and one data folder, on which services run one after the other."""

    chain: Chain
    roles: Roles
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _arguments(self, changes: dict[str, str]) -> dict[str, Any]:
        return {
            "data_dir": self.folder,
            "rpc_url": self.chain.url,
            "deployments_file": self.chain.path,
            "operator_key": self.roles.operator.key.hex(),
            "port": self.port,
            "settings": DEFAULTS | self.settings | changes,
        }

    @contextlib.contextmanager
    def running(self, **changes: str) -> Iterator[Service]:
        """Run the service; `changes` are settings as in the environment, without their prefix."""
        with service(**self._arguments(changes)) as running:
            yield running

    def command(self, *arguments: str, timeout: float = TIMEOUT, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m offchain` with the service's configuration."""
        return subprocess.run(
            [sys.executable, "-m", "offchain", *arguments],
            env=environment(**self._arguments(changes)),
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    @contextlib.asynccontextmanager
    async def clients(self, *accounts: LocalAccount, retries: int = 8) -> AsyncIterator[list[Client]]:
        """A client for each account; without accounts one for the maker and one for the taker."""
        chosen = accounts or (self.roles.maker, self.roles.taker)
        async with contextlib.AsyncExitStack() as stack:
            clients = [Client(self.url, bytes(account.key), retries=retries) for account in chosen]
            yield [await stack.enter_async_context(client) for client in clients]

    async def until_indexed(self, client: Client) -> None:
        """Wait until the service has seen the chain's newest block and its views show it."""
        head = self.chain.head()
        await eventually(
            client.status,
            lambda status: status.block is not None and status.block >= head and status.views_seq >= status.seq,
        )

    async def until_settled(self, client: Client) -> None:
        """Wait until nothing waits for the chain and the views know it."""
        await eventually(
            client.status,
            lambda status: not (status.queued_fills or status.queued_releases) and status.views_seq >= status.seq,
        )

    async def differences(self, *newcomers: LocalAccount) -> list[str]:
        """Where service, journal and chain disagree about balances and filled quantities; name all who traded."""
        keys = [account.key.hex() for account in (self.roles.maker, self.roles.taker, *newcomers)]
        audit = Audit(self.url, self.folder, self.chain.path, self.chain.url, keys)
        return await audit.run()


@dataclass(frozen=True)
class Upstream:
    """A chain with an exchange that has a history: contracts, deposits, a settled batch, the service's journal."""

    url: str
    chain: Chain
    abis: Abis
    roles: Roles
    folder: Path
    block_before_trading: int
    is_usdc_real: bool

    @contextlib.contextmanager
    def fork(self, folder: Path, *, is_new: bool = False, **settings: str) -> Iterator[Exchange]:
        """The exchange on a fork of the chain, with a copy of the service's data in `folder`.

        A new one has no data, and its fork begins before the first batch; the deposits are there.
        """
        if is_new:
            folder.mkdir()
        else:
            shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("*.sock", "*.lock", "*.log"))
        block = self.block_before_trading if is_new else None
        with anvil(fork_url=self.url, fork_block=block, log=folder / "anvil.log") as url:
            chain = Chain(url, self.chain.deployment, self.abis, is_usdc_real=self.is_usdc_real)
            # A fork's clock goes on from its last block, which may be many minutes old.
            chain.set_time(int(time.time()))
            yield Exchange(chain, self.roles, folder, settings)


# ---------------------------------------------------------------------------------------------------------------------
# Orders as bytes
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What the API said, as it came."""

    status: int
    body: dict[str, Any]


async def post(exchange: Exchange, raw: bytes | msgspec.Struct) -> Answer:
    """POST /v1/orders, once."""
    data = raw if isinstance(raw, bytes) else msgspec.json.encode(raw)
    url = f"{exchange.url}/v1/orders"
    async with (
        aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session,
        session.post(url, data=data) as response,
    ):
        return Answer(response.status, await response.json(content_type=None))


async def create_signer(exchange: Exchange, account: LocalAccount) -> Signer:
    """Signs orders for the exchange without sending them."""
    async with exchange.clients(account) as (client,):
        return Signer(bytes(account.key), await client.markets())


def create_order(
    signer: Signer, side: str, price: Number, quantity: Number, *, key: int, sequence: int = 1, **changes: Any
) -> OrderBody:
    """A signed limit order, GTC unless changed."""
    terms = {"max_fee_bps": 50, "expiry": None} | changes
    time_in_force = terms.pop("time_in_force", "GTC")
    return signer.order(SYMBOL, side, "limit", time_in_force, price, quantity, key << 32 | sequence, **terms)[1]


# ---------------------------------------------------------------------------------------------------------------------
# Waiting
# ---------------------------------------------------------------------------------------------------------------------


async def eventually(ask: Callable[[], Awaitable[T]], is_expected: Callable[[T], object]) -> T:
    """Ask until the answer is as expected, and return it; AssertionError with the last answer after `TIMEOUT`."""
    deadline = time.monotonic() + TIMEOUT
    while not is_expected(answer := await ask()):
        assert time.monotonic() < deadline, f"still after {TIMEOUT:.0f} s: {answer}"
        await asyncio.sleep(0.05)
    return answer


class Heard:
    """Messages of a subscription, in order."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def of(self, kind: type[T]) -> list[T]:
        return [message for message in self.messages if isinstance(message, kind)]

    async def until(self, kind: type[T], is_expected: Callable[[T], object]) -> T:
        """The first message of a kind that is as expected, heard before or still to come."""

        async def look() -> list[T]:
            return [message for message in self.of(kind) if is_expected(message)]

        try:
            return (await eventually(look, bool))[0]
        except AssertionError:
            raise AssertionError(f"no such {kind.__name__} among {self.messages}") from None


@contextlib.asynccontextmanager
async def listening(client: Client, *channels: str) -> AsyncIterator[Heard]:
    """Hear the channels until the block ends; subscribed to all of them when it starts."""
    heard = Heard()
    stream = client.subscribe(*channels)

    async def hear() -> None:
        async for message in stream:
            heard.messages.append(message)

    task = asyncio.create_task(hear())
    try:
        # Only trade channels have no message of their own at the start; they are subscribed to in order.
        greeted = {channel for channel in channels if not channel.endswith(".trade")}

        async def missing() -> Sequence[str]:
            if task.done():
                task.result()
            return sorted(greeted - {message.channel for message in heard.messages})

        await eventually(missing, lambda channels: not channels)
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
