"""API keys: making, listing and revoking them takes a session of the account itself."""

from __future__ import annotations

import hashlib
import re

from aiohttp import web

from offchain.api.access import Scope, require
from offchain.api.credentials import KEY_PREFIX, hash_of, new_token
from offchain.api.handlers.auth import NO_STORE
from offchain.api.handlers.common import answer, charge_sign_in, limit_of, parameters, read_body, read_own_writes
from offchain.api.idempotency import once
from offchain.api.keys import DESK, HUB, STATE
from offchain.api.present import hex_of
from offchain.api.problems import ApiCode, ProblemError
from offchain.api.schemas import auth
from offchain.domain.apikeys import MAX_LABEL, SCOPES
from offchain.domain.commands import CreateApiKey, RevokeApiKey
from offchain.domain.errors import Code
from offchain.domain.events import ApiKeyUpdate
from offchain.domain.order import MAX_TIMED_EXPIRY, Address
from offchain.intake import IntakeCode, IntakeError, decode_body, shown
from offchain.ports import ApiKeyRow

_LABEL = re.compile(rf"[ -~]{{1,{MAX_LABEL}}}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)


async def create_key(request: web.Request) -> web.Response:
    """POST /v1/keys"""
    account = require(request, Scope.KEYS).account
    charge_sign_in(request)
    with request.app[DESK].placing():
        raw = await read_body(request)
        body = _checked(decode_body(raw, auth.ApiKeyBody), request.app[STATE].clock.now_ms())
        response = await once(
            request, account, raw, lambda key: _create(request, account, body, key or ""), is_required=True
        )
    response.headers.update(NO_STORE)
    return response


async def list_keys(request: web.Request) -> web.Response:
    """GET /v1/keys"""
    query = parameters(request, "limit")
    account = require(request, Scope.KEYS).account
    limit = limit_of(request, query)
    await read_own_writes(request)
    rows = await request.app[STATE].views.api_keys(account, limit)
    return answer(auth.ApiKeys(account=hex_of(account), keys=[_key(row) for row in rows]))


async def revoke_key(request: web.Request) -> web.Response:
    """DELETE /v1/keys/{id}"""
    account, key_id = require(request, Scope.KEYS).account, request.match_info["id"]
    if _ID.fullmatch(key_id) is None:
        raise ProblemError(Code.UNKNOWN_API_KEY, f"{shown(key_id)!r} is no API key; GET /v1/keys lists them", "id")
    with request.app[DESK].canceling():
        return await once(request, account, b"", lambda _: _revoke(request, account, key_id), is_required=True)


async def _create(request: web.Request, account: Address, body: auth.ApiKeyBody, name: str) -> web.Response:
    secret = new_token(KEY_PREFIX)
    # The same request again, when its answer is not kept any more, must not make a second key.
    key_id = hashlib.sha256(b"POST /v1/keys\0" + account + name.encode()).hexdigest()[:16]
    scopes = [scope for scope in SCOPES if scope in body.scopes]
    command = CreateApiKey(account, key_id, hash_of(secret), body.label, scopes, body.expiry or 0)
    await request.app[DESK].change(command)
    await _learned(request)
    made = await request.app[STATE].live.read(
        lambda core: next((key for key in core.api_keys(account) if key.id == key_id), None)
    )
    if made is None:
        raise ProblemError(Code.UNKNOWN_API_KEY, f"the API key {key_id} has ended meanwhile", "expiry")
    return answer(auth.CreatedApiKey(secret=secret, key=_key(made)), 201)


async def _revoke(request: web.Request, account: Address, key_id: str) -> web.Response:
    await request.app[DESK].change(RevokeApiKey(account, key_id))
    await _learned(request)
    return answer(auth.RevokedApiKey(id=key_id, status="revoked"))


async def _learned(request: web.Request) -> None:
    """An answer means that the interface itself goes by the change."""
    state = request.app[STATE]
    if not await request.app[HUB].reach(state.live.tail(), state.settings.submit_timeout_ms):
        raise ProblemError(ApiCode.UNAVAILABLE, "the change is made but not in force yet; look at GET /v1/keys")


def _checked(body: auth.ApiKeyBody, now_ms: int) -> auth.ApiKeyBody:
    """Raises IntakeError."""
    if _LABEL.fullmatch(body.label) is None:
        raise IntakeError(
            IntakeCode.INVALID_VALUE, "label", f"label must be 1 to {MAX_LABEL} printable ASCII characters"
        )
    if not body.scopes or not set(body.scopes) <= set(SCOPES) or len(set(body.scopes)) != len(body.scopes):
        detail = f"scopes must be one or more of {', '.join(SCOPES)}, each once"
        raise IntakeError(IntakeCode.INVALID_VALUE, "scopes", detail)
    if body.expiry is not None and not now_ms < body.expiry * 1000 <= MAX_TIMED_EXPIRY * 1000:
        detail = f"expiry must be a Unix second in the future, at most {MAX_TIMED_EXPIRY}; now is {now_ms} ms"
        raise IntakeError(Code.INVALID_EXPIRY, "expiry", detail)
    return body


def _key(key: ApiKeyRow | ApiKeyUpdate) -> auth.ApiKey:
    return auth.ApiKey(
        id=key.id,
        label=key.label,
        scopes=list(key.scopes),
        expiry=key.expiry or None,
        created_at=key.created_ms,
        status=key.status,
    )
