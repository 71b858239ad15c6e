"""Who asks, and whether they may: what every handler and every operation of a socket uses.

HTTP: `require(request, Scope.CANCEL)` gives the identity behind `Authorization: Bearer <token>`, or ends the request:
401 without a good token, 403 without the scope. `identify(request)` asks for no scope. `account_of(request, query)` is
the account that a read is about.

WebSocket: `connection.require(Scope.CANCEL)` is the same for a socket that has signed in, by the header on connecting
or by `signIn`; `connection.identity` is None before that. A socket whose token ends, for whatever reason, is closed
with 4001, so that an identity that a socket has is one that counts.

An order, a cancel or anything else that carries its own signature needs none of this: the signature is the proof.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from offchain.api.credentials import Credentials, Identity, Scope
from offchain.api.keys import CREDENTIALS, IDENTITY, STATE
from offchain.api.problems import ApiCode, ProblemError
from offchain.domain.order import Address
from offchain.intake import parse_address

__all__ = ["Identity", "Scope", "account_of", "check_scope", "identify", "identity_of", "own_account", "require"]

HEADER = "Authorization"


def identify(request: web.Request) -> Identity:
    """Who sent the request. Raises ProblemError (401) if no token is given, or none that is good."""
    identity = request.get(IDENTITY)
    if identity is None:
        values = request.headers.getall(HEADER, [])
        if not values:
            detail = "send Authorization: Bearer <token of a session, or secret of an API key>"
            raise ProblemError(ApiCode.AUTHENTICATION_REQUIRED, detail, HEADER)
        scheme, _, token = values[0].partition(" ")
        if len(values) > 1 or scheme.lower() != "bearer" or not token.strip():
            detail = "Authorization must be given once, as Bearer <token>"
            raise ProblemError(ApiCode.AUTHENTICATION_REQUIRED, detail, HEADER)
        state = request.app[STATE]
        identity = identity_of(request.app[CREDENTIALS], token.strip(), state.clock.now_ms(), HEADER)
        request[IDENTITY] = identity
    return identity


def require(request: web.Request, scope: str) -> Identity:
    """Who sent the request, if their token has the scope. Raises ProblemError (401, 403)."""
    return check_scope(identify(request), scope)


def account_of(request: web.Request, query: Mapping[str, str]) -> Address:
    """The account that a read is about: the token's, which `account` may name. Raises ProblemError (401, 403)."""
    return own_account(require(request, Scope.READ), query.get("account"))


def own_account(identity: Identity, text: str | None, param: str = "account") -> Address:
    """The identity's account, which `text` names if it is given. Raises ProblemError (403), IntakeError."""
    if text is not None and parse_address(text, param) != identity.account:
        detail = f"the token is for account 0x{identity.account.hex()}; nobody reads another's"
        raise ProblemError(ApiCode.NOT_YOUR_ACCOUNT, detail, param)
    return identity.account


def identity_of(credentials: Credentials, token: str, now_ms: int, param: str) -> Identity:
    """Who is behind a token. Raises ProblemError (401) if it is good no more, or never was."""
    identity = credentials.find(token, now_ms)
    if identity is None:
        detail = "the token is unknown, has expired or was revoked, or the service has restarted since; sign in again"
        raise ProblemError(ApiCode.INVALID_TOKEN, detail, param)
    return identity


def check_scope(identity: Identity, scope: str) -> Identity:
    """Raises ProblemError (403) if the token lacks the scope."""
    if scope not in identity.scopes:
        scopes = ", ".join(sorted(identity.scopes))
        detail = f"this needs the scope {scope}; the token has {scopes}"
        raise ProblemError(ApiCode.INSUFFICIENT_SCOPE, detail)
    return identity
