"""Fields of the operations that a client sends over a socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from offchain.api.problems import ProblemError
from offchain.intake import IntakeCode, shown


def only(message: Mapping[str, Any], *known: str) -> None:
    for name in message:
        if name not in known:
            raise ProblemError(IntakeCode.UNKNOWN_FIELD, f"{shown(name)} is not a field of this operation", shown(name))


def request_id_of(message: Mapping[str, Any]) -> str | int | None:
    given = message.get("id")
    if given is None or (type(given) is int and 0 <= given < 2**53):
        return given
    if isinstance(given, str) and len(given) <= 64 and given.isprintable():
        return given
    detail = "id must be a string of at most 64 printable characters or a non-negative integer below 2^53"
    raise ProblemError(IntakeCode.INVALID_VALUE, detail, "id")


def token_of(message: Mapping[str, Any]) -> str:
    token = message.get("token")
    if not isinstance(token, str):
        detail = "token must be a string: that of a session, the secret of an API key, or an administrator's"
        raise ProblemError(IntakeCode.INVALID_VALUE, detail, "token")
    return token


def channels_of(message: Mapping[str, Any]) -> list[str]:
    names = message.get("channels")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ProblemError(IntakeCode.INVALID_VALUE, "channels must be a list of channel names", "channels")
    return list(dict.fromkeys(names))


def after_of(message: Mapping[str, Any]) -> int | None:
    after = message.get("after")
    if after is None or (type(after) is int and 0 <= after < 2**53):
        return after
    raise ProblemError(IntakeCode.INVALID_NUMBER, "after must be the seq of the last message received", "after")
