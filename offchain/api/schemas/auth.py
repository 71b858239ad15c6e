"""Signing in, and API keys: bodies and answers."""

from __future__ import annotations

import msgspec

from offchain.api.schemas.base import Base


class _Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Common settings."""


class ChallengeBody(_Body, frozen=True, kw_only=True):
    account: str
    """whose orders and balances the session is for"""
    signer: str | None = None
    """who will sign, if that is a delegate of the account"""


class SessionBody(_Body, frozen=True, kw_only=True):
    message: str
    """as the challenge has it, to the letter"""
    signature: str
    """`personal_sign` (EIP-191) of the message, 65 or 64 bytes"""


class ApiKeyBody(_Body, frozen=True, kw_only=True):
    label: str
    """for your own eyes"""
    scopes: list[str]
    expiry: int | None = None
    """Unix seconds; the key is dead from then on. Without it, it is good until it is revoked"""


class Challenge(Base, frozen=True):
    message: str
    """EIP-4361 text; good for one sign-in"""
    expires_at: int


class SessionInfo(Base, frozen=True):
    """Who the token speaks for."""

    account: str
    signer: str
    """who signed in: the account or a delegate; of an API key the account"""
    scopes: list[str]
    expires_at: int | None
    """null: an API key without an end"""
    key_id: str | None
    """of an API key; null: a session"""


class OpenedSession(Base, frozen=True):
    token: str
    """shown once; send it as `Authorization: Bearer <token>`"""
    account: str
    signer: str
    scopes: list[str]
    expires_at: int


class ApiKey(Base, frozen=True):
    id: str
    label: str
    scopes: list[str]
    expiry: int | None
    """Unix seconds"""
    created_at: int
    status: str


class CreatedApiKey(Base, frozen=True):
    secret: str
    """shown once; send it as `Authorization: Bearer <secret>`"""
    key: ApiKey


class ApiKeys(Base, frozen=True):
    account: str
    keys: list[ApiKey]


class RevokedApiKey(Base, frozen=True):
    id: str
    status: str
