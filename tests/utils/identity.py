"""An identity provider: keys, the set of them that it publishes, and the tokens that it signs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from offchain.api.admin.settings import AdminSettings, Role

ISSUER = "https://id.example"
AUDIENCE = "crosspoint-admin"
VIEWERS, OPERATORS, MANAGERS = "crosspoint-viewers", "crosspoint-operators", "crosspoint-managers"
GROUPS = {
    Role.VIEWER: frozenset({VIEWERS}),
    Role.OPERATOR: frozenset({OPERATORS}),
    Role.MANAGER: frozenset({MANAGERS}),
}

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def create_rsa(bits: int = 2_048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, bits)


def create_ec(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def jwk_of(key: Key, kid: str, **changes: Any) -> dict[str, Any]:
    """The public key as RFC 7517 writes it."""
    if isinstance(key, rsa.RSAPrivateKey):
        fields = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        fields = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**fields, "kid": kid, "use": "sig", **changes}


class Provider:
    """Signs with an RSA key, `rsa-1`, and an EC key, `ec-1`, until `rotate` gives it other ones."""

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {"rsa-1": create_rsa(), "ec-1": create_ec()}

    def rotate(self, kid: str = "ec-2") -> None:
        """Forget all keys, and have a new one."""
        self.keys = {kid: create_ec()}

    def jwks(self) -> bytes:
        return json.dumps({"keys": [jwk_of(key, kid) for kid, key in self.keys.items()]}).encode()

    def claims(self, now: int, *groups: str, subject: str = "alice", **changes: Any) -> dict[str, Any]:
        """What a token of somebody in `groups` says at `now`, Unix seconds; None takes a claim out."""
        said = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": now,
            "exp": now + 600,
            "groups": list(groups),
            **changes,
        }
        return {name: value for name, value in said.items() if value is not None}

    def token(self, now: int, *groups: str, kid: str | None = None, **changes: Any) -> str:
        """Signed by the key `kid`, or by the first one."""
        chosen = kid or next(iter(self.keys))
        key = self.keys[chosen]
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        claims = self.claims(now, *groups, **changes)
        return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": chosen})


def create_settings(jwks_file: Path | None = None, **changes: Any) -> AdminSettings:
    terms: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_file": jwks_file, "groups": GROUPS}
    return AdminSettings(**terms | changes)
