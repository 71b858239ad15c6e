"""Messages between the core and the other processes of one machine: a length, then MessagePack."""

from __future__ import annotations

import asyncio
import struct

import msgspec

from offchain.domain.codec import Codec
from offchain.domain.commands import Command
from offchain.domain.results import Result
from offchain.ports import CoreStatus

MAX_FRAME = 16 * 1024 * 1024
"""bytes; a block with 20,000 logs is below 4 MiB"""

_LENGTH = struct.Struct(">I")


class Base(msgspec.Struct, frozen=True, array_like=True):
    """Common settings of messages."""


class Submit(Base, frozen=True, array_like=True, tag="submit"):
    id: int
    command: Command
    timeout_ms: int


class AskStatus(Base, frozen=True, array_like=True, tag="askStatus"):
    id: int


class Subscribe(Base, frozen=True, array_like=True, tag="subscribe"):
    """Asks for `Advanced` after each durable record."""


class CaughtUp(Base, frozen=True, array_like=True, tag="caughtUp"):
    """The sender follows the chain and has reached what was its head when it began."""


class Answer(Base, frozen=True, array_like=True, tag="answer"):
    id: int
    result: Result


class StatusAnswer(Base, frozen=True, array_like=True, tag="status"):
    id: int
    status: CoreStatus


class Refused(Base, frozen=True, array_like=True, tag="refused"):
    id: int
    overloaded: bool
    """the queue was full and nothing was taken; otherwise it is unknown whether the command was taken"""
    detail: str


class Advanced(Base, frozen=True, array_like=True, tag="advanced"):
    """The journal now ends at `seq`, or later."""

    seq: int


Request = Submit | AskStatus | Subscribe | CaughtUp
Reply = Answer | StatusAnswer | Refused | Advanced

REQUESTS = Codec[Request](Request)
REPLIES = Codec[Reply](Reply)


class FrameError(Exception):
    """The other side sent something that is no frame, or something too large was to be sent."""


def frame(body: bytes) -> bytes:
    """`body` with its length in front. Raises FrameError above MAX_FRAME."""
    if len(body) > MAX_FRAME:
        raise FrameError(f"a message of {len(body)} bytes exceeds {MAX_FRAME}")
    return _LENGTH.pack(len(body)) + body


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """The next body; None when the other side has closed between frames. Raises FrameError."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > MAX_FRAME:
            raise FrameError(f"a message of {length} bytes exceeds {MAX_FRAME}")
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise FrameError("the connection ended inside a message") from None
        return None
