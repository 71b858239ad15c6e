"""Channels of the stream: who receives which messages."""

from __future__ import annotations

from typing import Protocol, TypeVar

from offchain.domain.order import Address

KeyT = TypeVar("KeyT", int, Address)
ChannelT = TypeVar("ChannelT", bound="Channel")


class Sink(Protocol):
    """Where a subscriber's messages go."""

    def offer(self, frame: bytes) -> None:
        """Queue a message; closes the connection if its queue is full."""
        ...

    async def room(self) -> None:
        """Wait until the queue has room for a page of messages. Raises ConnectionError if the connection is gone."""
        ...

    def overflow(self) -> None:
        """Close the connection because it cannot keep up."""
        ...


class Subscription:
    """One subscriber of one channel. Messages are held back while a snapshot or a replay is under way."""

    __slots__ = ("_after", "_held", "_limit", "_sink")

    def __init__(self, sink: Sink, limit: int, *, hold: bool) -> None:
        self._sink = sink
        self._limit = limit
        self._after = 0
        self._held: list[tuple[int, bytes]] | None = [] if hold else None

    @property
    def sink(self) -> Sink:
        return self._sink

    @property
    def is_held(self) -> bool:
        """Whether a snapshot or a replay is under way."""
        return self._held is not None

    def hold(self) -> None:
        if self._held is None:
            self._held = []

    def release(self, after: int) -> None:
        """Go on with the messages after `after`."""
        held, self._held, self._after = self._held or [], None, after
        for seq, frame in held:
            self.deliver(seq, frame)

    def deliver(self, seq: int, frame: bytes) -> None:
        if seq <= self._after:
            return
        if self._held is None:
            self._sink.offer(frame)
        elif len(self._held) < self._limit:
            self._held.append((seq, frame))
        else:
            self._sink.overflow()


class Channel:
    """Subscribers of one channel, and the sequence of the last message sent on it."""

    __slots__ = ("last", "name", "subscriptions")

    def __init__(self, name: str, seq: int) -> None:
        self.name = name
        self.last = seq
        self.subscriptions: dict[Sink, Subscription] = {}

    def send(self, seq: int, frame: bytes) -> int:
        """Give the message to every subscriber; returns how many there are."""
        self.last = seq
        for subscription in self.subscriptions.values():
            subscription.deliver(seq, frame)
        return len(self.subscriptions)


def leave(channels: dict[KeyT, ChannelT], key: KeyT, sink: Sink) -> None:
    """Take `sink` out of a channel; a channel without subscribers is forgotten."""
    channel = channels.get(key)
    if channel is not None:
        channel.subscriptions.pop(sink, None)
        if not channel.subscriptions:
            del channels[key]
