"""Subscriptions deliver each message once, in order, and hold them back while something older is on its way."""

from __future__ import annotations

from offchain.api.channels import Channel, Subscription, leave


class Sink:
    """Remembers what it was offered."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.overflowed = False

    def offer(self, frame: bytes) -> None:
        self.frames.append(frame)

    async def room(self) -> None: ...

    def overflow(self) -> None:
        self.overflowed = True


def create_subscription(*, hold: bool = False, limit: int = 10) -> tuple[Sink, Subscription]:
    sink = Sink()
    return sink, Subscription(sink, limit, hold=hold)


def test_messages_wait_for_the_snapshot_and_those_it_includes_are_dropped() -> None:
    sink, subscription = create_subscription(hold=True)
    for seq in (4, 5, 6):
        subscription.deliver(seq, b"%d" % seq)
    assert sink.frames == []
    subscription.release(5)
    subscription.deliver(5, b"late")
    subscription.deliver(7, b"7")
    assert sink.frames == [b"6", b"7"]


def test_a_subscription_that_holds_too_much_overflows() -> None:
    sink, subscription = create_subscription(hold=True, limit=2)
    for seq in (1, 2, 3):
        subscription.deliver(seq, b"")
    assert sink.overflowed


def test_holding_again_keeps_what_is_held() -> None:
    sink, subscription = create_subscription(hold=True)
    subscription.deliver(1, b"1")
    subscription.hold()
    subscription.release(0)
    assert sink.frames == [b"1"]


def test_a_channel_knows_what_it_sent_last_and_ends_with_its_last_subscriber() -> None:
    channel = Channel("name", 3)
    sinks = [create_subscription() for _ in range(2)]
    for sink, subscription in sinks:
        channel.subscriptions[sink] = subscription
    channel.send(9, b"9")
    assert channel.last == 9
    assert all(sink.frames == [b"9"] for sink, _ in sinks)
    channels = {1: channel}
    leave(channels, 1, sinks[0][0])
    leave(channels, 2, sinks[0][0])
    assert channels
    leave(channels, 1, sinks[1][0])
    assert not channels
