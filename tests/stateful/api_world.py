"""An exchange in one process with its HTTP and WebSocket, as a synchronous state machine drives it.

The chain's blocks are made by hand, time stands still unless it is moved, and the exchange can stop and start again, as
after an orderly end or as after a crash. What goes over the wire is noted, so that a failure reads like a session.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from aiohttp.test_utils import TestClient, TestServer
from hypothesis import note

from offchain.api.keys import CREDENTIALS, HUB
from offchain.api.state import ApiSettings
from offchain.domain.commands import Configure, ConnectionLost
from offchain.domain.core import Core
from offchain.domain.market import USDC
from offchain.replica import Replica
from tests.stateful.api_listener import Knowledge, Listener
from tests.unit.api.derivatives import MARKETS, PERP, PUT, tell_index
from tests.unit.api.exchange import (
    BTC,
    BTC_UNIT,
    BTC_USDC,
    CHAIN_ID,
    ENGINE,
    FEE_BPS,
    MAKER,
    TAKER,
    USDC_UNIT,
    Exchange,
    MemoryJournal,
    Trader,
)
from tests.utils.identity import MANAGERS, OPERATORS, Provider, create_settings

T = TypeVar("T")

OTHER = Trader(0xD4)
TRADERS = {"maker": MAKER, "taker": TAKER, "other": OTHER}
BOOKS = (BTC_USDC, PERP, PUT)
"""markets that are traded here"""

MAX_OPEN_ORDERS = 12
PRICE_BAND_BPS = 500
SECONDS = 10.0
"""for anything, however slow the machine is"""

SETTINGS = ApiSettings(depth_flush_ms=1, price_flush_ms=50)
PROVIDER = Provider()

_ROW = re.compile(r"^\| `(\w+)` \| (\d{3}) \|", re.MULTILINE)
_LONG = re.compile(r"(0x[0-9a-f]{8})[0-9a-f]{24,}")
_MANUAL = Path(__file__).parents[2] / "docs" / "API.md"
DOCUMENTED = {code: int(status) for code, status in _ROW.findall(_MANUAL.read_text(encoding="utf-8"))}
"""codes and their statuses as the manual has them"""


class Collector:
    """The account that collects fees, which nobody has the key of."""

    address = ENGINE


@dataclass(frozen=True)
class Answer:
    """What the API said."""

    status: int
    body: Any
    raw: bytes = field(repr=False, default=b"")

    @property
    def code(self) -> str:
        """Why it was refused; "" if it was not."""
        return str(self.body["code"]) if self.status >= 400 else ""


@dataclass(eq=False)
class Entry:
    """A socket through which a trader trades."""

    name: str
    socket: Any
    watched: bool = False


class World:
    """Three traders with money, three markets, and somebody who listens to everything."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._folder = tempfile.TemporaryDirectory(prefix="crosspoint-")
        path = Path(self._folder.name)
        (path / "jwks.json").write_bytes(PROVIDER.jwks())
        self._admin = create_settings(path / "jwks.json")
        self.exchange = Exchange(path, SETTINGS, self._admin)
        self.listeners: dict[str, Listener] = {}
        self.entries: list[Entry] = []
        self._numbers = itertools.count(1_000)
        self.run(self._open())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(SECONDS):
                return await work

        return self.loop.run_until_complete(bounded())

    # -----------------------------------------------------------------------------------------------------------------
    # Life
    # -----------------------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        exchange = self.exchange
        await exchange.start()
        terms = {"max_open_orders": MAX_OPEN_ORDERS, "price_band_bps": PRICE_BAND_BPS}
        await exchange.submit(Configure(CHAIN_ID, ENGINE, FEE_BPS, 1, **terms))
        await exchange.list_markets([(BTC, BTC_USDC), *((BTC, market) for market in MARKETS)])
        await tell_index(exchange)
        for trader in TRADERS.values():
            await exchange.deposit(trader, USDC, 20_000 * USDC_UNIT)
            await exchange.deposit(trader, BTC.id, BTC_UNIT // 10)
        await self._serve()

    async def _serve(self) -> None:
        self.api = TestClient(TestServer(self.exchange.app))
        await self.api.start_server()
        credentials = self.exchange.app[CREDENTIALS]
        self.tokens = {
            name: credentials.open_session(trader.address, trader.address, 2**52)[0] for name, trader in TRADERS.items()
        }
        self.tokens["fees"], _ = credentials.open_session(Collector.address, Collector.address, 2**52)
        for name in (*TRADERS, "public"):
            await self._listen(name)

    async def _listen(self, name: str) -> None:
        """Subscribe, for the first time or from what was heard last."""
        if name == "public":
            public = self.listeners.setdefault(name, Listener(""))
            await public.connect(self.api, None, [market.symbol for market in BOOKS])
        else:
            listener = self.listeners.setdefault(name, Listener(TRADERS[name].account))
            await listener.connect(self.api, self.tokens[name], [])

    def lose(self, name: str) -> None:
        """Who listens loses the connection, without noticing."""
        note(f"--- {name} is disconnected")
        self.run(self.listeners[name].disconnect())

    def listen_again(self, name: str) -> None:
        note(f"--- {name} connects again")
        self.run(self._listen(name))

    def restart(self, *, is_crash: bool, at: float) -> None:
        """Stop, recover from a snapshot at this part of the journal and from what follows it, and go on."""
        note(f"--- the service {'crashes' if is_crash else 'stops'} and starts again")
        self.run(self._restart(is_crash, at))

    async def _restart(self, is_crash: bool, at: float) -> None:
        old = self.exchange
        await self.settle_down()
        if is_crash:
            await _end(old._tasks[1])  # from here on nothing is kept of what the old one does
            journal = MemoryJournal()
            journal.records = list(old.journal.records)
        for listener in self.listeners.values():
            await listener.disconnect()
        await self.api.close()
        await old.stop()
        if not is_crash:
            journal = old.journal
        self.entries = []
        replica = _recover(journal, at)
        self.exchange = Exchange(Path(self._folder.name), SETTINGS, self._admin, journal=journal, replica=replica)
        self.exchange.clock.ms = old.clock.ms
        await self.exchange.start()
        for connection in self.exchange.core.watched_connections:
            await self.exchange.submit(ConnectionLost(connection))
        await self._serve()

    def close(self) -> None:
        self.run(self._close())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self._folder.cleanup()

    async def _close(self) -> None:
        for listener in self.listeners.values():
            await listener.disconnect()
        await self.api.close()
        await self.exchange.stop()

    # -----------------------------------------------------------------------------------------------------------------
    # Requests
    # -----------------------------------------------------------------------------------------------------------------

    def key(self) -> dict[str, str]:
        """A header with an idempotency key that nobody has used."""
        return {"Idempotency-Key": f"key-{next(self._numbers)}"}

    def unique(self) -> bytes:
        """A hash of a transaction that nobody has sent."""
        return next(self._numbers).to_bytes(32, "big")

    def ended_token(self, name: str) -> str:
        """A token that was good."""
        address = TRADERS[name].address
        return self.exchange.app[CREDENTIALS].open_session(address, address, self.exchange.clock.ms)[0]

    def bearer(self, name: str | None) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[name]}"} if name is not None else {}

    def administrator(self) -> dict[str, str]:
        token = PROVIDER.token(self.exchange.clock.ms // 1000, OPERATORS, MANAGERS, kid="ec-1")
        return {"Authorization": f"Bearer {token}"} | self.key()

    def ask(self, method: str, path: str, body: Any = None, *, by: str | None = None, **headers: str) -> Answer:
        """One request; `body` is sent as JSON, bytes as they are. `by`: whose token it carries."""
        answer = self.run(self._ask(method, path, body, self.bearer(by) | headers))
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else json.dumps(body) if body else ""
        extra = "".join(f" {name}: {value}" for name, value in headers.items() if name != "Authorization")
        note(f"{by or ''}> {_short(f'{method} {path}{extra} {text}')}\n< {answer.status} {_short(answer.raw.decode())}")
        _check_documented(answer)
        return answer

    def look(self, path: str, by: str | None = None) -> Any:
        """The answer to a GET that must succeed; it is not noted."""
        answer = self.run(self._ask("GET", path, None, self.bearer(by)))
        assert answer.status == 200, (path, answer)
        return answer.body

    async def _ask(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Answer:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if data is not None:
            headers = headers | {"Content-Type": "application/json"}
        async with self.api.request(method, path, data=data, headers=headers) as response:
            raw = await response.read()
            return Answer(response.status, json.loads(raw) if raw else None, raw)

    # -----------------------------------------------------------------------------------------------------------------
    # Sockets
    # -----------------------------------------------------------------------------------------------------------------

    def entry(self, name: str) -> Entry:
        """The trader's socket, signed in; opened if there is none."""
        for entry in self.entries:
            if entry.name == name:
                return entry
        socket = self.run(self.api.ws_connect("/v1/ws", headers=self.bearer(name)))  # type: ignore[arg-type]
        self.entries.append(Entry(name, socket))
        return self.entries[-1]

    def send(self, name: str, **operation: Any) -> dict[str, Any]:
        """The answer to an operation over the trader's socket."""
        entry = self.entry(name)
        number = next(self._numbers)

        async def exchange() -> dict[str, Any]:
            await entry.socket.send_json(operation | {"id": number})
            answer: dict[str, Any] = await entry.socket.receive_json()
            return answer

        answer = self.run(exchange())
        note(f"{name}~> {_short(json.dumps(operation))}\n<~ {_short(json.dumps(answer))}")
        assert answer.get("id") == number, answer
        if answer["op"] == "error":
            assert answer["code"] in DOCUMENTED, answer
            assert answer["code"] != "internalError", answer
        return answer

    def hang_up(self, entry: Entry) -> None:
        """Close the socket and wait until its loss has had its effect."""
        note(f"{entry.name}~> closes the socket")
        self.entries.remove(entry)

        async def close() -> None:
            await entry.socket.close()
            watched = set(self.exchange.core.watched_connections)
            expected = sum(each.watched for each in self.entries)
            while len(watched) > expected:
                await asyncio.sleep(0.002)
                watched = set(self.exchange.core.watched_connections)

        self.run(close())

    def read_on(self, name: str, after: int, known: Knowledge) -> list[dict[str, Any]]:
        """The messages with which a reader who knows everything up to `after` is brought up to date, and `known`."""

        async def hear() -> list[dict[str, Any]]:
            reader = Listener(TRADERS[name].account, known)
            reader.seq = after
            await reader.connect(self.api, self.tokens[name], [])
            await reader.until_resumed()
            await reader.disconnect()
            return reader.messages

        return self.run(hear())

    def snapshot(self, name: str) -> dict[str, Any]:
        """What a new subscriber of the trader's channel hears first."""

        async def hear() -> dict[str, Any]:
            async with self.api.ws_connect("/v1/ws") as socket:
                await socket.send_json({"op": "signIn", "token": self.tokens[name]})
                await socket.send_json({"op": "subscribe", "channels": [f"trader.{TRADERS[name].account}"]})
                while (message := await socket.receive_json()).get("type") != "snapshot":
                    assert message["op"] in ("signedIn", "subscribed"), message
                data: dict[str, Any] = message["data"]
                return data

        return self.run(hear())

    async def settle_down(self) -> None:
        """Wait until everybody has heard of everything that was executed."""
        hub, tail = self.exchange.app[HUB], self.exchange.sequencer.tail()
        await hub.reach(tail, int(SECONDS * 1000))
        await asyncio.gather(*(listener.catch_up() for listener in self.listeners.values()))

    def catch_up(self) -> None:
        self.run(self.settle_down())


def _short(text: str) -> str:
    """To be read: signatures and hashes by how they begin."""
    text = _LONG.sub(r"\1…", text)
    return text if len(text) <= 1_500 else text[:1_500] + "…"


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _recover(journal: MemoryJournal, at: float) -> Replica:
    """As the service recovers: from a snapshot, here at any place, and from the records after it."""
    records = journal.records
    middle = int(at * len(records))
    replica = Replica(Core())
    for record in records[:middle]:
        replica.apply(record)
    replica = Replica(Core.restore(replica.core.snapshot()), replica.seq, replica.time_ms)
    for record in records[middle:]:
        replica.apply(record)
    return replica


def _check_documented(answer: Answer) -> None:
    """Refusals have a code that the manual lists, with its status; nothing is ever the service's fault."""
    assert answer.status < 500 or answer.status == 503, answer
    if answer.status >= 400:
        assert DOCUMENTED.get(answer.code) == answer.status, answer
        assert (answer.body["status"], answer.body["type"]) == (answer.status, f"urn:crosspoint:problem:{answer.code}")
