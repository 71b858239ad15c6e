"""What is said of one operation over HTTP, and of the tokens that operations take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

from offchain.api.spec.parameters import Parameter, Schema

ADMIN = "administrator"

SECURITY: Mapping[str, Schema] = MappingProxyType(
    {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "The token of a session, or the secret of an API key.",
        },
        ADMIN: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A token of the identity provider, RS256 or ES256; its groups decide what it may do.",
        },
    }
)


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    tag: str
    summary: str
    answers: Mapping[int, type[msgspec.Struct] | str]
    """by status: the JSON body, or the content type of another one"""
    parameters: tuple[Parameter, ...] = ()
    body: type[msgspec.Struct] | None = None
    description: str = ""
    notes: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    """what a status means, where that is not plain"""
    scope: str | None = None
    """of the token that is needed, "" if any does; None: no token is needed"""
    scheme: str = "bearer"
    """of `SECURITY`, to which the token belongs"""

    @property
    def id(self) -> str:
        words = [word.strip("{}") for word in self.path.removeprefix("/v1").split("/") if word]
        return self.method.lower() + "".join(word[0].upper() + word[1:].replace(".", "") for word in words)
