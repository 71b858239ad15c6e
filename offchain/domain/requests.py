"""Requests of administrators that were answered, so that the same one is not done twice; in bounded memory."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from offchain.domain.commands import AdminAction, Administer, RequestAction
from offchain.domain.results import Administered

REQUEST_LIFE_MS = 86_400_000
"""for which an answer is kept"""

MAX_REQUESTS = 1_024
"""answers that are kept; beyond, the oldest goes"""


class RequestName(NamedTuple):
    """Whose request it was, and the key that it came under."""

    issuer: str
    subject: str
    key: str


class Request(msgspec.Struct, frozen=True, array_like=True):
    """What was asked for, when, and what was answered."""

    name: RequestName
    time_ms: int
    action: AdminAction
    answer: Administered


class Administration:
    """The count of the audit log, and the latest requests, oldest first."""

    __slots__ = ("entries", "requests")

    def __init__(self) -> None:
        self.entries = 0
        """in the audit log so far"""
        self.requests: dict[RequestName, Request] = {}

    def take_number(self) -> int:
        """The number of one more entry."""
        self.entries += 1
        return self.entries

    def find(self, command: Administer, now_ms: int) -> Request | None:
        """The request that came under the command's key before, None if it is new or has no key."""
        while self.requests:
            name, oldest = next(iter(self.requests.items()))
            if oldest.time_ms + REQUEST_LIFE_MS > now_ms:
                break
            del self.requests[name]
        return self.requests.get(name_of(command)) if command.key else None

    def keep(self, command: Administer, now_ms: int, answer: Administered) -> None:
        """Remember the answer to a command that `find` did not know."""
        if command.key:
            name = name_of(command)
            self.requests[name] = Request(name, now_ms, command.action, answer)
            if len(self.requests) > MAX_REQUESTS:
                del self.requests[next(iter(self.requests))]


def is_same(one: AdminAction, other: AdminAction) -> bool:
    """Whether both ask for the same; when does not matter."""
    if isinstance(one, RequestAction) and isinstance(other, RequestAction):
        return (one.id, one.account, one.action) == (other.id, other.account, other.action)
    return one == other


def name_of(command: Administer) -> RequestName:
    return RequestName(command.actor.issuer, command.actor.subject, command.key)
