"""What was answered to a write, kept so that the same can be answered again; in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from aiohttp import web

from offchain.api.problems import ProblemError
from offchain.domain.order import Address


class Scope(NamedTuple):
    """What a key names."""

    account: Address
    route: str
    key: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered: a response, or the refusal that ended the request."""

    fingerprint: bytes
    """of the request"""
    until: float
    """end of its life on the monotonic clock"""
    status: int = 0
    body: bytes = b""
    content_type: str = ""
    refusal: ProblemError | None = None

    def replay(self) -> web.Response:
        """The answer again. Raises ProblemError if it was a refusal."""
        if self.refusal is not None:
            refused = self.refusal.rejection
            raise ProblemError(refused.code, refused.detail, refused.param, order_id=self.refusal.order_id)
        return web.Response(status=self.status, body=self.body, content_type=self.content_type)


class AnswerStore:
    """Answers by account, the longest unused account first: when there is no room, its oldest answer goes."""

    def __init__(self, max_answers: int, max_per_account: int) -> None:
        self._max_answers = max_answers
        self._max_per_account = max_per_account
        self._count = 0
        self._accounts: OrderedDict[Address, OrderedDict[Scope, Answer]] = OrderedDict()
        self.inflight: dict[Scope, bytes] = {}
        """fingerprints of requests that are not answered yet; as many as there are orders and cancels under way"""

    def __len__(self) -> int:
        return self._count

    def find(self, scope: Scope, now: float) -> Answer | None:
        """The answer under a key, None if there is none or it has grown too old."""
        answers = self._accounts.get(scope.account)
        if answers is None:
            return None
        self._accounts.move_to_end(scope.account)
        while answers and next(iter(answers.values())).until <= now:
            self._drop_oldest(scope.account)
        return answers.get(scope)

    def keep(self, scope: Scope, answer: Answer) -> None:
        """Remember an answer; `scope` has none yet."""
        answers = self._accounts.setdefault(scope.account, OrderedDict())
        self._accounts.move_to_end(scope.account)
        answers[scope] = answer
        self._count += 1
        if len(answers) > self._max_per_account:
            self._drop_oldest(scope.account)
        if self._count > self._max_answers:
            self._drop_oldest(next(iter(self._accounts)))

    def _drop_oldest(self, account: Address) -> None:
        answers = self._accounts[account]
        answers.popitem(last=False)
        self._count -= 1
        if not answers:
            del self._accounts[account]
