"""How an administrator's write goes: who, may they, what, once, on record.

Whoever has a good token leaves an entry in the audit log, whatever becomes of the request: `Administer` carries the
action to the core, `Denied` what was refused before. Only what the core never received (503) has none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import structlog
from aiohttp import web

from offchain.api.admin import present
from offchain.api.admin.access import actor_of, authenticate, require
from offchain.api.admin.settings import Role
from offchain.api.admin.tokens import Administrator
from offchain.api.handlers.common import answer, market_of, read_body
from offchain.api.idempotency import key_of, once
from offchain.api.keys import CATALOGUE, METRICS, STATE
from offchain.api.problems import ApiCode, ProblemError
from offchain.domain.admin import Actor, Denied
from offchain.domain.commands import AdminAction, Administer
from offchain.domain.errors import Rejection
from offchain.domain.market import Market
from offchain.domain.order import Address
from offchain.domain.results import Administered, Result
from offchain.intake import IntakeCode, IntakeError, decode_body, shown

SHOWN_BODY = 512
"""characters of a refused body that the audit log holds"""

MAX_REASON = 200

UNTOLD = (ApiCode.IDEMPOTENCY_KEY_REUSED, ApiCode.IDEMPOTENCY_KEY_IN_FLIGHT)
"""Refusals about keys: whoever finds them, the core has made no entry yet."""

BodyT = TypeVar("BodyT", bound=msgspec.Struct)

ACTOR = web.RequestKey("actor", Actor)

log = structlog.get_logger(__name__)


async def write(
    request: web.Request,
    role: Role,
    name: str,
    shape: type[BodyT],
    make: Callable[[BodyT], AdminAction | Awaitable[AdminAction]],
    status: int = 200,
) -> web.Response:
    """Let somebody with `role` do what `make` makes of the body; `name` is what the audit log calls it.

    `make` raises ProblemError or IntakeError for what is no action. Raises REFUSALS.
    """
    administrator = await authenticate(request)
    actor = request[ACTOR] = actor_of(request, administrator)
    raw = b""
    try:
        raw = await read_body(request)
        require(administrator, role)
        key_of(request, is_required=True)
        made = make(decode_body(raw, shape))
        action = await made if isinstance(made, Awaitable) else made
    except (ProblemError, IntakeError) as refusal:
        await _deny(request, actor, name, raw, refusal.rejection)
        raise

    async def act(key: str | None) -> web.Response:
        return answer(await _act(request, Administer(actor, action, key or ""), name), status)

    try:
        return await once(request, scope_of(administrator), raw, act, is_required=True)
    except ProblemError as refusal:
        if refusal.rejection.code in UNTOLD:
            await _deny(request, actor, name, raw, refusal.rejection)
        raise


def actor_of_write(request: web.Request) -> Actor:
    """Who sent the request that is being written."""
    return request[ACTOR]


def market_of_write(request: web.Request) -> Market:
    """The market that the address names. Raises ProblemError if there is none."""
    return market_of(request, request.match_info["symbol"], "symbol")


def scope_of(administrator: Administrator) -> Address:
    """What an administrator's idempotency keys belong to: a name as long as an account's, and nobody's account."""
    text = f"{administrator.issuer}\n{administrator.subject}"
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()[:20]


async def _act(request: web.Request, command: Administer, name: str) -> msgspec.Struct:
    """What the core made of it. Raises ProblemError, Overloaded, Unavailable."""
    app = request.app
    result = await _submit(request, command)
    rejection = result if isinstance(result, Rejection) else result.rejection
    is_repeated = isinstance(result, Administered) and result.repeated
    if rejection is not None:
        if not is_repeated and rejection.code not in UNTOLD:
            app[METRICS].admin_actions.labels(name, rejection.code).inc()
        raise ProblemError(rejection.code, rejection.detail, rejection.param)
    assert isinstance(result, Administered), "what is no rejection is an answer"
    if not is_repeated:
        app[METRICS].admin_actions.labels(name, "done").inc()
        log.info("administered", action=name, entry=result.entry, subject=command.actor.subject)
    return present.acted(app[CATALOGUE], command.action, result)


async def _deny(request: web.Request, actor: Actor, name: str, raw: bytes, rejection: Rejection) -> None:
    """Note what was refused before the core was asked. Raises Overloaded, Unavailable: nothing goes unnoted."""
    body = raw[:SHOWN_BODY].decode("utf-8", "backslashreplace")
    text = f"{request.method} {shown(request.path)} {body}".rstrip()
    request.app[METRICS].admin_actions.labels(name, rejection.code).inc()
    await _submit(request, Administer(actor, Denied(name, text, rejection)))


async def _submit(request: web.Request, command: Administer) -> Administered | Rejection:
    state = request.app[STATE]
    result: Result = await state.ingress.submit(command, state.settings.submit_timeout_ms)
    if not isinstance(result, Administered | Rejection):
        raise TypeError(f"an administrator was answered with {type(result).__name__}")
    return result


def checked_reason(text: str, is_required: bool = False) -> str:
    """A reason as people give one. Raises IntakeError."""
    if not (is_required <= len(text) <= MAX_REASON) or (text and not text.isprintable()):
        detail = f"reason must be {int(is_required)} to {MAX_REASON} printable characters"
        raise IntakeError(IntakeCode.INVALID_VALUE, "reason", detail)
    return text
