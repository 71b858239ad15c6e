"""Bodies are decoded twice where the fast decoder may not be believed: nobody can tell which one it was."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from offchain.intake import IntakeError, bodies, decode_object

NAMES = st.sampled_from(["a", "b", "op", 'quo"te', "co:lon", "é"])
TEXTS = st.sampled_from(["", "x", "1:2", "[{", "\\", '"', "\ud800", "\n", "ü", "::::"])
SCALARS = TEXTS | st.integers(-(2**70), 2**70) | st.booleans() | st.none() | st.floats()


def _object(members: list[tuple[str, Any]]) -> str:
    """With all its members, repeated ones too."""
    return "{" + ", ".join(f"{json.dumps(name)}:{value}" for name, value in members) + "}"


VALUES = st.recursive(
    SCALARS.map(json.dumps),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda each: f"[{','.join(each)}]")
        | st.lists(st.tuples(NAMES, inner), max_size=3).map(_object)
    ),
    max_leaves=8,
)
OBJECTS = st.lists(st.tuples(NAMES, VALUES), max_size=5).map(_object)


def outcome(raw: bytes) -> object:
    try:
        return repr(decode_object(raw))
    except IntakeError as error:
        return error.rejection


class Refusing:
    """In place of the fast decoder."""

    def decode(self, raw: bytes) -> object:
        raise msgspec.DecodeError("not today")


def careful_outcome(raw: bytes) -> object:
    with mock.patch.object(bodies, "_FAST_JSON", Refusing()):
        return outcome(raw)


@settings(max_examples=300, deadline=None)
@given(OBJECTS)
@example('{"a":1,"a":1}')
@example('{"a":{"b":1,"b":2},"b":3}')
@example('{"a":[{"b":1},{"b":1,"b":1}]}')
@example('{"a":":","b":1}')
@example('{"a":"[","b":{"a":1,"a":2}}')
def test_the_same_as_the_careful_decoder_says(text: str) -> None:
    raw = text.encode("utf-8", "surrogatepass")
    assert outcome(raw) == careful_outcome(raw)


@settings(max_examples=300, deadline=None)
@given(OBJECTS, st.integers(0, 200), st.binary(max_size=2))
def test_damaged_bytes_too(text: str, at: int, inserted: bytes) -> None:
    raw = text.encode("utf-8", "surrogatepass")
    raw = raw[:at] + inserted + raw[at + 1 :]
    assert outcome(raw) == careful_outcome(raw)


def test_a_plain_body_is_decoded_once() -> None:
    with mock.patch.object(bodies, "_JSON", Refusing()):
        assert decode_object(b'{"a": "1", "b": {"c": [1, 2]}}') == {"a": "1", "b": {"c": [1, 2]}}
        with pytest.raises(IntakeError):
            decode_object(b'{"a": 1, "a": 1}')
