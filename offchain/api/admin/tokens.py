"""Tokens of administrators: JSON Web Tokens (RFC 7519) of one issuer, for one audience, signed with RS256 or ES256.

The rules are those of RFC 8725: the algorithm is ours to choose, the key must fit it, and every claim that we go by
must be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from offchain.api.admin.jwks import ALGORITHMS, Jwks
from offchain.api.admin.settings import AdminSettings, Role, roles_of
from offchain.ports import Clock

MAX_TOKEN = 8_192
"""characters"""

MAX_TEXT = 255
"""characters of a subject or the name of a group"""

MAX_GROUPS = 256
"""of a token; more are not looked at"""

REQUIRED = ("exp", "iat", "iss", "aud", "sub")


class TokenError(Exception):
    """The token is no good; the message says why, and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Administrator:
    """Who is behind a token, and until when."""

    issuer: str
    subject: str
    groups: tuple[str, ...]
    """those that give a role here"""
    roles: frozenset[Role]
    expires_ms: int
    """Unix milliseconds"""


class Verifier:
    """Knows the settings, the issuer's keys and the time."""

    def __init__(self, settings: AdminSettings, keys: Jwks, clock: Clock) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock
        self._known = frozenset().union(*settings.groups.values())

    async def verify(self, token: str) -> Administrator:
        """Raises TokenError, JwksError."""
        kid, algorithm = _header_of(token)
        key = await self._keys.key(kid, algorithm)
        if key is None:
            raise TokenError("no key of the issuer has the kid and the alg of the token's header")
        claims = self._claims(token, key, algorithm)
        self._check_times(claims)
        groups = self._groups(claims)
        return Administrator(
            issuer=claims["iss"],
            subject=_text(claims["sub"], "sub"),
            groups=groups,
            roles=roles_of(self._settings, frozenset(groups)),
            expires_ms=(int(claims["exp"]) + self._settings.leeway_seconds) * 1000,
        )

    def _claims(self, token: str, key: jwt.PyJWK, algorithm: str) -> dict[str, Any]:
        settings = self._settings
        # Times are compared below: with the service's clock, and with a bound on how long a token lives.
        options: Any = {"require": list(REQUIRED), "verify_exp": False, "verify_nbf": False, "verify_iat": False}
        try:
            return jwt.decode(
                token, key, algorithms=[algorithm], audience=settings.audience, issuer=settings.issuer, options=options
            )
        except jwt.PyJWTError as error:
            raise TokenError(f"{error}") from None
        except (ValueError, RecursionError):
            raise TokenError("the token's claims are no JSON object") from None

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now, leeway = self._clock.now_ms() // 1000, self._settings.leeway_seconds
        expires, issued = _time(claims["exp"], "exp"), _time(claims["iat"], "iat")
        if now >= expires + leeway:
            raise TokenError("the token has expired (exp)")
        if issued > now + leeway:
            raise TokenError("the token was issued in the future (iat)")
        if "nbf" in claims and _time(claims["nbf"], "nbf") > now + leeway:
            raise TokenError("the token is not valid yet (nbf)")
        if expires - issued > self._settings.max_lifetime_seconds:
            raise TokenError(f"the token lives longer than {self._settings.max_lifetime_seconds} seconds (exp, iat)")

    def _groups(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        given = claims.get(self._settings.groups_claim, [])
        listed = [given] if isinstance(given, str) else given
        if not isinstance(listed, list):
            raise TokenError("the claim of groups is neither a list nor a string")
        return tuple(group for group in listed[:MAX_GROUPS] if isinstance(group, str) and group in self._known)


def _header_of(token: str) -> tuple[str, str]:
    """(kid, alg) of a token that says which key has signed it. Nothing is verified yet."""
    if len(token) > MAX_TOKEN:
        raise TokenError(f"the token has more than {MAX_TOKEN} characters")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError as error:
        raise TokenError(f"{error}") from None
    except (ValueError, RecursionError):
        raise TokenError("the token is no JSON Web Token") from None
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise TokenError(f"the token's alg is none of {', '.join(ALGORITHMS)}")
    if not isinstance(kid, str) or not kid:
        raise TokenError("the token's header names no key (kid)")
    return kid, algorithm


def _time(value: Any, name: str) -> int:
    """Unix seconds. RFC 7519 allows fractions, which are dropped."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        raise TokenError(f"{name} is no time in Unix seconds")
    return int(value)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or not value.isprintable():
        raise TokenError(f"{name} must be 1 to {MAX_TEXT} printable characters")
    return value
