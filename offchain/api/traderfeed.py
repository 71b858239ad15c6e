"""Traders' private channels: their events as they happen, and those that they missed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import msgspec
import structlog

from offchain.api.channels import Channel, Sink, Subscription, leave
from offchain.api.livestate import read_trader
from offchain.api.patience import unhurried
from offchain.api.present import Presenter, hex_of
from offchain.api.problems import ApiCode, ProblemError
from offchain.api.readback import Readback
from offchain.api.schemas import stream
from offchain.api.state import ApiState
from offchain.api.trader import TraderMessages, accounts_of, channel_of
from offchain.catalogue import Catalogue
from offchain.domain.events import BatchUpdate, Event
from offchain.domain.order import Address

REPLAY_PAGE = 500
REPLAY_PAGES = 20
"""a trader who missed more than that starts from a snapshot"""

REPLAY_WAIT_MS = 5_000
"""time for the views to catch up with what a replay has to show"""

_ENCODER = msgspec.json.Encoder()

log = structlog.get_logger(__name__)


class TraderFeed:
    """Messages to the traders who subscribed. One event loop."""

    def __init__(
        self,
        state: ApiState,
        catalogue: Catalogue,
        present: Presenter,
        readback: Readback,
        seq: Callable[[], int],
    ) -> None:
        """`seq` tells the last event that the stream has taken in."""
        self._state = state
        self._present = present
        self._readback = readback
        self._seq = seq
        self._messages = TraderMessages(catalogue)
        self._channels: dict[Address, Channel] = {}
        self._sent = state.metrics.socket_messages.labels("trader")

    def subscriptions(self) -> int:
        return sum(len(channel.subscriptions) for channel in self._channels.values())

    @property
    def is_watched(self) -> bool:
        """Whether anybody has subscribed."""
        return bool(self._channels)

    def tell(self, event: Event, seq: int) -> None:
        """Send an event to whom it concerns."""
        accounts = tuple(self._channels) if isinstance(event, BatchUpdate) else accounts_of(event)
        for account in accounts:
            channel = self._channels.get(account)
            if channel is not None:
                frame = self._messages.encode(account, channel.name, event, seq, channel.last)
                if frame is not None:
                    self._sent.inc(channel.send(seq, frame))

    # -----------------------------------------------------------------------------------------------------------------
    # Subscribing
    # -----------------------------------------------------------------------------------------------------------------

    async def subscribe(self, sink: Sink, account: Address, after: int | None) -> None:
        """A snapshot of orders and balances, or the events after `after`, however many; then everything as it happens.

        Raises ProblemError if the views do not catch up in time, Unavailable, ConnectionError.
        """
        if after is not None:
            after = await self._replay(sink, account, after)
        channel = self._channels.get(account)
        if channel is None:
            channel = self._channels[account] = Channel(channel_of(account), self._seq())
        subscription = Subscription(sink, self._state.settings.send_queue, hold=True)
        channel.subscriptions[sink] = subscription
        try:
            if after is None:
                await self._snapshot(account, subscription, resync=False)
            else:
                await self._resume(account, subscription, after)
        except BaseException:
            self.unsubscribe(sink, account)
            raise

    def unsubscribe(self, sink: Sink, account: Address) -> None:
        leave(self._channels, account, sink)

    # -----------------------------------------------------------------------------------------------------------------
    # What was missed
    # -----------------------------------------------------------------------------------------------------------------

    def resync(self, after: int) -> Iterator[Coroutine[Any, Any, None]]:
        """The stream has not seen what followed event `after`: work that brings each subscriber what they missed.

        Until it is done, their messages are held back.
        """
        for account, channel in self._channels.items():
            for subscription in channel.subscriptions.values():
                if subscription.is_held:
                    # What is being read for them is older than what was missed; they connect again.
                    subscription.sink.overflow()
                    continue
                subscription.hold()
                yield self._refill(account, subscription, after)

    async def _refill(self, account: Address, subscription: Subscription, after: int) -> None:
        try:
            await self._resume(account, subscription, after)
        except ConnectionError:
            return
        except Exception:
            log.exception("replay failed, closing the connection", account=hex_of(account))
            subscription.sink.overflow()

    async def _snapshot(self, account: Address, subscription: Subscription, *, resync: bool) -> None:
        seq, state = await read_trader(self._state.live, self._present, account, self._state.clock.now_ms())
        message = stream.TraderSnapshot(channel=channel_of(account), seq=seq, data=state, resync=resync)
        subscription.sink.offer(_ENCODER.encode(message))
        subscription.release(seq)

    async def _replay(self, sink: Sink, account: Address, after: int) -> int:
        """Send whole pages of what happened after `after`, as fast as the peer reads them; the last event sent.

        Nothing live is held back meanwhile, which a long replay would overflow. Raises ProblemError if the views do
        not catch up in time.
        """
        await self._until_shown(self._seq())
        channel = channel_of(account)
        while True:
            rows = await self._state.views.account_events(account, after, REPLAY_PAGE)
            if len(rows) < REPLAY_PAGE:
                return after
            await sink.room()
            async for seq, event in unhurried(rows):
                frame = self._messages.encode(account, channel, event, seq, after)
                after = seq
                if frame is not None:
                    sink.offer(frame)

    async def _resume(self, account: Address, subscription: Subscription, after: int) -> None:
        """Replay what happened after `after` up to now; a snapshot if that is too much or `after` is not ours.

        Too much is what has happened while the whole pages before it were sent.
        """
        target = self._seq()
        if after > max(target, self._state.live.tail()):
            await self._snapshot(account, subscription, resync=True)
            return
        await self._until_shown(target)
        channel = channel_of(account)
        seen = after
        for _ in range(REPLAY_PAGES):
            await subscription.sink.room()
            rows = await self._state.views.account_events(account, seen, REPLAY_PAGE)
            async for seq, event in unhurried([row for row in rows if row[0] <= target]):
                frame = self._messages.encode(account, channel, event, seq, seen)
                seen = seq
                if frame is not None:
                    subscription.sink.offer(frame)
            if len(rows) < REPLAY_PAGE or rows[-1][0] > target:
                break
        else:
            await self._snapshot(account, subscription, resync=True)
            return
        target = max(target, after)
        resumed = stream.ResumedMessage(channel=channel, seq=target)
        subscription.sink.offer(_ENCODER.encode(resumed))
        subscription.release(target)

    async def _until_shown(self, seq: int) -> None:
        if not await self._readback.reach(seq, REPLAY_WAIT_MS):
            raise ProblemError(ApiCode.UNAVAILABLE, "the views are behind; subscribe again", "after")
