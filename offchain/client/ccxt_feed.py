"""Subscriptions as CCXT's `watch…` methods need them: each asks again and again for what is new."""

from __future__ import annotations

import asyncio
from collections import deque

from offchain.api.schemas.http import Balance
from offchain.api.schemas.positions import Position, PositionChange
from offchain.api.schemas.stream import BalanceMessage, PositionMessage, TraderSnapshot
from offchain.client.stream import Message, Stream

MAX_WAITING = 1_000
"""messages that wait for a reader; the oldest ones go first"""

Kinds = tuple[type, ...]


class Reader:
    """What one method has not asked for yet."""

    def __init__(self, kinds: Kinds) -> None:
        self.kinds = kinds
        self.waiting: deque[Message] = deque(maxlen=MAX_WAITING)


class Feed:
    """One subscription that any number of methods read, with the state that follows from its messages."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.balances: dict[str, Balance] = {}
        """of a trader's channel, by asset"""
        self.positions: dict[str, Position | PositionChange] = {}
        """of a trader's channel, by market"""
        self._latest: dict[type, Message] = {}
        self._readers: dict[str, Reader] = {}
        self._news = asyncio.Event()
        self._failure: Exception | None = None
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.stream.close()

    def latest(self, kind: type) -> Message | None:
        return self._latest.get(kind)

    async def news(self, name: str, *kinds: type, is_state: bool = False) -> list[Message]:
        """Messages of these kinds since the reader of this name asked last, at least one; of a state the first time
        also the latest one that came before. Raises what ends the stream, such as ApiError."""
        reader = self._readers.get(name)
        if reader is None:
            reader = self._readers[name] = Reader(kinds)
            reader.waiting.extend(self._latest[kind] for kind in kinds if is_state and kind in self._latest)
        while not reader.waiting:
            if self._failure is not None:
                raise self._failure
            self._news.clear()
            await self._news.wait()
        found = list(reader.waiting)
        reader.waiting.clear()
        return found

    async def _run(self) -> None:
        try:
            async for message in self.stream:
                self._take(message)
        except Exception as error:
            self._failure = error
        finally:
            self._news.set()

    def _take(self, message: Message) -> None:
        match message:
            case TraderSnapshot():
                self.balances = {each.asset: each for each in message.data.balances}
                self.positions = {each.market: each for each in message.data.positions}
            case BalanceMessage():
                self.balances[message.data.asset] = message.data
            case PositionMessage():
                self.positions[message.data.market] = message.data
        self._latest[type(message)] = message
        for reader in self._readers.values():
            if isinstance(message, reader.kinds):
                reader.waiting.append(message)
        self._news.set()
