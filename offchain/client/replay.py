"""Recorded order flow, sent again: signed afresh, in the order of the file and, scaled, with its timing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
import msgspec

from offchain.api.schemas import http
from offchain.client.desk import Draft
from offchain.client.errors import ApiError
from offchain.client.flowtrader import FlowTrader
from offchain.client.nonces import NonceKeysExhausted
from offchain.client.ordersocket import RETRYABLE
from offchain.client.sharedsocket import Answer, SharedSocket
from offchain.client.transport import Transport
from offchain.flow import Cancel, CancelAfter, CancelAll, FlowFile, Operation, PlaceArray, Reference, Steps
from offchain.flow.checker import units
from offchain.flow.schema import orders_of

MOST_CONCURRENT = 200
"""operations that wait for their answers; the exchange takes 256 of a socket"""

PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)
"""seconds before each further attempt"""

SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def steps_of(markets: http.Markets) -> dict[str, Steps]:
    """What orders on an exchange must fit, by symbol."""
    return {
        market.symbol: Steps(
            units(market.tick_size),
            units(market.lot_size),
            units(market.max_price),
            units(market.max_quantity),
            market.kind == "spot" and market.quote != "USDC",
            market.kind != "spot",
        )
        for market in markets.markets
    }


@dataclass
class Progress:
    """What became of the operations so far. An array counts as many orders."""

    operations: int = 0
    """lines that were sent"""
    orders: int = 0
    cancels: int = 0
    """cancels, also of all orders, and deadlines"""
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """by code"""
    fills: int = 0
    """that orders met when they came"""
    resent: int = 0
    """orders and cancels that were refused for the moment and sent again, behind what had been sent meanwhile"""
    latencies_ms: array[float] = field(default_factory=lambda: array("d"))
    """from sending to the answer, one for each line"""
    seconds: float = 0.0

    def summary(self) -> dict[str, object]:
        """For people and, as JSON, for programs."""
        ordered = sorted(self.latencies_ms)
        latencies = {
            name: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2) if ordered else None
            for name, share in SHARES.items()
        }
        return {
            "operations": self.operations,
            "sent": self.orders + self.cancels,
            "orders": self.orders,
            "cancels": self.cancels,
            "accepted": self.accepted,
            "refused": dict(sorted(self.refused.items())),
            "fills": self.fills,
            "resent": self.resent,
            "seconds": round(self.seconds, 3),
            "latencyMs": {**latencies, "max": round(ordered[-1], 2) if ordered else None},
        }


@dataclass(slots=True)
class _Sending:
    """A line on its way."""

    line: int
    trader: FlowTrader
    operation: str
    fields: dict[str, object]
    orders: list[Draft]
    cancels: str | None = None


class Replay:
    """Sends the operations of a file to one exchange, once."""

    def __init__(
        self,
        url: str,
        flow: FlowFile,
        keys: Mapping[str, str],
        *,
        speed: float | None = 1.0,
        concurrency: int = 32,
        session: aiohttp.ClientSession,
        sign_in_domain: str | None = None,
    ) -> None:
        """`keys`: the private key of every trader of the file; several may have the same. `speed` None: no waiting.

        At most `concurrency` operations wait for their answers. Raises ValueError for a trader without a key, and for
        an invalid key.
        """
        missing = [name for name in flow.traders if name not in keys]
        if missing:
            raise ValueError(f"no key for {', '.join(missing[:10])}{' and others' if len(missing) > 10 else ''}")
        self._flow = flow
        self._speed = speed
        by_key = {
            key: FlowTrader(url, key, session=session, sign_in_domain=sign_in_domain)
            for key in {keys[name]: None for name in flow.traders}
        }
        self._traders = {name: by_key[keys[name]] for name in flow.traders}
        self.traders = list(by_key.values())
        self._socket = SharedSocket(Transport(url, session, 10.0, 0))
        self._slots = asyncio.Semaphore(min(concurrency, MOST_CONCURRENT))
        self._placed: dict[Reference, str] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._held: list[_Sending] = []
        self._stop = asyncio.Event()
        self._lost: ApiError | None = None
        """the exchange cannot be reached any more"""
        self._started = 0.0
        self._clock_ahead = 0.0
        self.progress = Progress()

    def stop(self) -> None:
        """Send nothing more; what is under way is answered."""
        self._stop.set()

    async def run(self) -> Progress:
        """Send everything. Raises ApiError if the exchange cannot be reached, InvalidFlow if the file was changed."""
        for trader in self.traders:
            await trader.prepare()
        if self.traders:
            self._clock_ahead = await self.traders[0].server_time() / 1000 - time.time()
        self._started = time.monotonic()
        async with self._socket:
            try:
                for line, operation in self._flow:
                    await self._wait_for(operation.t)
                    await self._send_held()
                    if self._stop.is_set():
                        break
                    await self._send(line, operation)
                    self.progress.operations += 1
                    self.progress.seconds = time.monotonic() - self._started
                while self._under_way or self._held:
                    await self._drain()
                    await self._send_held()
                if self._lost is not None:
                    raise self._lost
            finally:
                for task in self._under_way:
                    task.cancel()
                await asyncio.gather(*self._under_way, return_exceptions=True)
        self.progress.seconds = time.monotonic() - self._started
        for trader in self.traders:
            await trader.sign_out()
        return self.progress

    async def _wait_for(self, t: int) -> None:
        if self._speed is None:
            return
        delay = self._started + t / 1000 / self._speed - time.monotonic()
        if delay > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), delay)

    # -----------------------------------------------------------------------------------------------------------------
    # Sending
    # -----------------------------------------------------------------------------------------------------------------

    async def _send(self, line: int, operation: Operation) -> None:
        trader = self._traders[operation.trader]
        if isinstance(operation, CancelAll | CancelAfter):
            # These travel with a token of their account, not through the socket that all share.
            await self._drain()
            await self._send_held()
            await self._directly(trader, operation)
            return
        if isinstance(operation, Cancel):
            order_id = self._placed[operation.cancels]
            body = trader.cancel_body(order_id)
            fields: dict[str, object] = {"orderId": order_id, **msgspec.to_builtins(body)}
            await self._begin(_Sending(line, trader, "cancel", fields, [], order_id))
            return
        drafts = await self._drafts(trader, line, operation)
        if isinstance(operation, PlaceArray):
            await self._begin(_Sending(line, trader, "placeArray", {"array": trader.array_body(drafts)}, drafts))
        else:
            await self._begin(_Sending(line, trader, "place", {"order": trader.order_body(drafts[0])}, drafts))

    async def _drafts(self, trader: FlowTrader, line: int, operation: Operation) -> list[Draft]:
        drafts = []
        for index, terms in enumerate(orders_of(operation)):
            replaced = None if terms.replaces is None else self._placed[terms.replaces]
            now = int(time.time() + self._clock_ahead)
            try:
                draft = trader.draft(terms, replaced, now)
            except NonceKeysExhausted:
                await self._drain()
                await trader.forget_ended()
                draft = trader.draft(terms, replaced, now)
            self._placed[Reference(line, index)] = draft.order_id
            drafts.append(draft)
        return drafts

    async def _begin(self, sending: _Sending) -> None:
        await self._slots.acquire()
        sent = time.perf_counter()
        answer = await self._socket.send(sending.operation, **sending.fields)
        task = asyncio.create_task(self._finish(sending, answer, sent))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _finish(self, sending: _Sending, coming: asyncio.Future[Answer], sent: float) -> None:
        try:
            answer = await coming
        except ApiError as error:
            self._lost = error
            self._stop.set()
            return
        finally:
            self._slots.release()
        if answer.code in RETRYABLE or (answer.code == "unknownOrder" and self._is_held(sending.cancels)):
            self._held.append(sending)
            return
        self.progress.latencies_ms.append(1000 * (time.perf_counter() - sent))
        self._count(sending, answer)

    def _is_held(self, order_id: str | None) -> bool:
        return any(draft.order_id == order_id for sending in self._held for draft in sending.orders)

    async def _drain(self) -> None:
        while self._under_way:
            await asyncio.gather(*self._under_way)

    async def _send_held(self) -> None:
        """Send again what was refused for the moment, one by one in the order of the file."""
        if not self._held:
            return
        await self._drain()
        held, self._held = sorted(self._held, key=lambda sending: sending.line), []
        for sending in held:
            self.progress.resent += 1
            for pause in PAUSES:
                await asyncio.sleep(pause)
                sent = time.perf_counter()
                answer = await (await self._socket.send(sending.operation, **sending.fields))
                if answer.code not in RETRYABLE or self._stop.is_set():
                    break
            self.progress.latencies_ms.append(1000 * (time.perf_counter() - sent))
            self._count(sending, answer)

    async def _directly(self, trader: FlowTrader, operation: CancelAll | CancelAfter) -> None:
        sent = time.perf_counter()
        code = ""
        try:
            if isinstance(operation, CancelAll):
                await trader.cancel_oldest(operation.market, operation.side)
            else:
                await trader.cancel_after(operation.seconds)
        except ApiError as error:
            if error.code == "noAnswer":
                raise
            code = error.code
        self.progress.latencies_ms.append(1000 * (time.perf_counter() - sent))
        self.progress.cancels += 1
        self._tally(code)

    # -----------------------------------------------------------------------------------------------------------------
    # Answers
    # -----------------------------------------------------------------------------------------------------------------

    def _count(self, sending: _Sending, answer: Answer) -> None:
        if sending.cancels is not None:
            self.progress.cancels += 1
            self._tally(answer.code)
            if answer.code in ("", "orderNotOpen", "unknownOrder"):
                sending.trader.ended(sending.cancels)
            return
        self.progress.orders += len(sending.orders)
        if answer.results:
            for draft, entry in zip(sending.orders, answer.results, strict=True):
                self._count_order(sending, draft, entry.order, entry.problem.code if entry.problem else "")
            return
        for draft in sending.orders:
            self._count_order(sending, draft, answer.order, answer.code)

    def _count_order(self, sending: _Sending, draft: Draft, placed: http.PlacedOrder | None, code: str) -> None:
        self._tally(code)
        sending.trader.answered(draft, None if placed is None else placed.status)
        self.progress.fills += 0 if placed is None else len(placed.fills)

    def _tally(self, code: str) -> None:
        if code:
            self.progress.refused[code] += 1
        else:
            self.progress.accepted += 1
