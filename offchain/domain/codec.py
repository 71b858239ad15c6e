"""The one binary form of records, snapshots and messages.

MessagePack, whose integers end at 64 bits. Amounts of assets with 18 decimals do not, so a value that holds a wider
integer is written as JSON behind a byte that MessagePack never uses. Both forms are deterministic and exact.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")

_WIDE = b"\xc1"
"""First byte of the JSON form: the one byte that no MessagePack value contains as its type."""


class Codec(Generic[T]):
    """Encodes and decodes values of one type. Safe to share between threads."""

    def __init__(self, kind: type[T] | object) -> None:
        self._binary_decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(kind)
        self._json_decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind)

    def encode(self, value: T) -> bytes:
        """Encode `value`. Raises TypeError for what has no encoding."""
        try:
            return msgspec.msgpack.encode(value)
        except OverflowError:
            return _WIDE + msgspec.json.encode(value)

    def decode(self, data: bytes) -> T:
        """Decode what `encode` wrote. Raises `msgspec.DecodeError` naming what is wrong with it."""
        if data[:1] == _WIDE:
            return self._json_decoder.decode(data[1:])
        return self._binary_decoder.decode(data)
