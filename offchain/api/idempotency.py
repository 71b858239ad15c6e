"""`Idempotency-Key`: a write that is sent again is done once, and answered as the first time.

The header is that of draft-ietf-httpapi-idempotency-key-header. It is required where a body is not signed; signed
orders and cancels are done once by their hash anyway, and may carry it. A key belongs to one account and route.

Answers are kept in this process's memory: after a restart they are gone. A write that is a command therefore puts the
key into the command, so that the core knows it; a signed one has its hash for that. An answer that does not say what
became of the command (a timeout), and everything that may be sent again, is not kept: the next attempt goes the whole
way.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from offchain.api.answers import Answer, Scope
from offchain.api.keys import IDEMPOTENCY, METRICS, STATE
from offchain.api.problems import PROBLEMS, ApiCode, ProblemError
from offchain.domain.order import Address

HEADER = "Idempotency-Key"

_KEY = re.compile(r'"([!#-\[\]-~]{1,64})"|([!#-\[\]-~]{1,64})', re.ASCII)
"""a string of structured fields (RFC 9651), or the same without its quotes"""


async def once(
    request: web.Request,
    account: Address,
    raw: bytes,
    do: Callable[[str | None], Awaitable[web.Response]],
    *,
    is_required: bool = False,
) -> web.Response:
    """`do(key)`, or its answer of last time. `account` is who is known to have sent `raw`, the body.

    Raises ProblemError for a key that is missing where `is_required`, malformed, in use, or of another request.
    """
    key = key_of(request, is_required)
    if key is None:
        return await do(None)
    store, now = request.app[IDEMPOTENCY], request.app[STATE].monotonic()
    scope = Scope(account, f"{request.method} {_route(request)}", key)
    fingerprint = hashlib.sha256(request.path.encode() + b"\0" + raw).digest()
    known = store.find(scope, now)
    earlier = known.fingerprint if known is not None else store.inflight.get(scope)
    if earlier is not None and earlier != fingerprint:
        detail = "the key belongs to another request of this account; choose a new one for each"
        raise ProblemError(ApiCode.IDEMPOTENCY_KEY_REUSED, detail, HEADER)
    if known is not None:
        request.app[METRICS].replayed.inc()
        return known.replay()
    if earlier is not None:
        detail = "the request with this key is under way; send it again in a moment to get its answer"
        raise ProblemError(ApiCode.IDEMPOTENCY_KEY_IN_FLIGHT, detail, HEADER, retry_after=1)
    store.inflight[scope] = fingerprint
    try:
        answer = await _done(do(key), fingerprint, now + request.app[STATE].settings.idempotency_seconds)
    finally:
        del store.inflight[scope]
    store.keep(scope, answer)
    return answer.replay()


async def _done(response: Awaitable[web.Response], fingerprint: bytes, until: float) -> Answer:
    """The answer to keep. Raises what must not be kept."""
    try:
        made = await response
    except ProblemError as refusal:
        if PROBLEMS[refusal.rejection.code].retryable:
            raise
        return Answer(fingerprint, until, refusal=refusal)
    assert isinstance(made.body, bytes), "writes are answered with a body"
    return Answer(fingerprint, until, made.status, made.body, made.content_type)


def key_of(request: web.Request, is_required: bool = False) -> str | None:
    """The request's key, None if it has none. Raises ProblemError for a malformed one and, if so, a missing one."""
    values = request.headers.getall(HEADER, [])
    if not values:
        if is_required:
            detail = f"send {HEADER}: a new random string of 1 to 64 characters for each request, such as a UUID"
            raise ProblemError(ApiCode.MISSING_IDEMPOTENCY_KEY, detail, HEADER)
        return None
    found = _KEY.fullmatch(values[0])
    if found is None or len(values) > 1:
        form = "1 to 64 printable ASCII characters, no space, quote or backslash"
        detail = f"{HEADER} must be given once and have {form}"
        raise ProblemError(ApiCode.INVALID_IDEMPOTENCY_KEY, detail, HEADER)
    return found.group(1) or found.group(2)


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else request.path
