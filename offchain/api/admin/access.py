"""Who asks as an administrator, and whether they may."""

from __future__ import annotations

import structlog
from aiohttp import web

from offchain.api.admin.jwks import JwksError
from offchain.api.admin.settings import Role
from offchain.api.admin.tokens import Administrator, TokenError
from offchain.api.keys import ADMIN, LIMITS, REQUEST_ID
from offchain.api.problems import ApiCode, ProblemError
from offchain.domain.admin import Actor

HEADER = "Authorization"

log = structlog.get_logger(__name__)


async def identify(app: web.Application, token: str, param: str) -> Administrator:
    """Who is behind a token. `param` is where it was given. Raises ProblemError (401, 404, 503)."""
    verifier = app.get(ADMIN)
    if verifier is None:
        raise ProblemError(ApiCode.ADMIN_DISABLED, "the service was started without an identity provider")
    try:
        return await verifier.verify(token)
    except TokenError as error:
        log.info("token refused", reason=str(error))
        raise ProblemError(ApiCode.INVALID_TOKEN, str(error), param) from None
    except JwksError as error:
        log.warning("token not verified", reason=str(error))
        detail = "the identity provider's keys were not to be had yet; send it again in a moment"
        raise ProblemError(ApiCode.IDENTITY_UNAVAILABLE, detail) from None


async def authenticate(request: web.Request) -> Administrator:
    """Who sent the request, by `Authorization: Bearer <token>`. Raises ProblemError (401, 404, 503)."""
    values = request.headers.getall(HEADER, [])
    scheme, _, token = (values[0] if values else "").partition(" ")
    if ADMIN in request.app and (len(values) != 1 or scheme.lower() != "bearer" or not token.strip()):
        detail = "send Authorization once, as Bearer <token of the identity provider>"
        raise ProblemError(ApiCode.AUTHENTICATION_REQUIRED, detail, HEADER)
    return await identify(request.app, token.strip(), HEADER)


def require(administrator: Administrator, role: Role) -> None:
    """Raises ProblemError (403) if none of the token's groups has the role."""
    if role not in administrator.roles:
        own = ", ".join(sorted(administrator.roles)) or "none"
        raise ProblemError(ApiCode.NOT_IN_GROUP, f"this takes the role {role}; the roles of the token's groups: {own}")


async def viewer(request: web.Request) -> Administrator:
    """Who asks, if they may read. Raises ProblemError (401, 403, 404, 503)."""
    administrator = await authenticate(request)
    require(administrator, Role.VIEWER)
    return administrator


def actor_of(request: web.Request, administrator: Administrator) -> Actor:
    """Who acts, for the audit log."""
    return Actor(
        issuer=administrator.issuer,
        subject=administrator.subject,
        groups=list(administrator.groups),
        request_id=request[REQUEST_ID],
        address=request.app[LIMITS].address_of(request),
    )
