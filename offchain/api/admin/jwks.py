"""The identity provider's public keys (RFC 7517): fetched, kept, and looked for again when a token names another.

The last good set counts for as long as no other is to be had: while the provider is down, who has a token gets in.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from offchain.api.admin.settings import AdminSettings

ALGORITHMS = ("RS256", "ES256")
"""RFC 7518. Nothing symmetric: who verifies could sign as well."""

MAX_BYTES = 262_144
"""of a set of keys"""

MAX_KEYS = 64

MIN_RSA_BITS = 2_048
"""RFC 7518, section 3.3"""

Load = Callable[[], Awaitable[bytes]]

log = structlog.get_logger(__name__)


class JwksError(Exception):
    """There is no set of keys, or none that can be used; the message says why."""


def parse(raw: bytes) -> dict[tuple[str, str], jwt.PyJWK]:
    """Keys that may sign, by (kid, algorithm). Others of the set are passed over. Raises JwksError."""
    try:
        document = json.loads(raw)
        listed = document["keys"]
    except (ValueError, KeyError, TypeError) as error:
        raise JwksError(f"not a JSON Web Key Set: {error!r}") from None
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise JwksError(f"keys must be a list of at most {MAX_KEYS}")
    keys = {}
    for entry in listed:
        key = _key(entry)
        if key is not None:
            keys[entry["kid"], key.algorithm_name] = key
    if not keys:
        raise JwksError(f"none of {len(listed)} keys has a kid and signs with {' or '.join(ALGORITHMS)}")
    return keys


def _key(entry: Any) -> jwt.PyJWK | None:
    """None for a key that we do not take: another algorithm, for encryption, too short, malformed."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("kid"), str) or entry.get("use", "sig") != "sig":
        return None
    algorithm = {"RSA": "RS256", "EC": "ES256"}.get(str(entry.get("kty")))
    if algorithm is None or entry.get("alg", algorithm) != algorithm:
        return None
    try:
        key = jwt.PyJWK(dict(entry), algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    match key.key:
        case rsa.RSAPublicKey():
            return key if key.key.key_size >= MIN_RSA_BITS else None
        case ec.EllipticCurvePublicKey():
            return key if isinstance(key.key.curve, ec.SECP256R1) else None
    return None


class Jwks:
    """The keys, with a bound on how often they are looked for, whatever tokens name."""

    def __init__(self, load: Load, settings: AdminSettings, monotonic: Callable[[], float]) -> None:
        self._load = load
        self._settings = settings
        self._monotonic = monotonic
        self._keys: dict[tuple[str, str], jwt.PyJWK] = {}
        self._loaded_at: float | None = None
        self._tried_at: float | None = None
        self._failure = "they were not looked for yet"
        self._lock = asyncio.Lock()

    async def key(self, kid: str, algorithm: str) -> jwt.PyJWK | None:
        """The key of this name; None if the provider has none. Raises JwksError if its keys were never to be had."""
        if (kid, algorithm) not in self._keys or self._is_old():
            async with self._lock:
                # Whoever waited may find what the one before has brought.
                if ((kid, algorithm) not in self._keys or self._is_old()) and self._may_try():
                    await self._refresh()
        if self._loaded_at is None:
            raise JwksError(self._failure)
        return self._keys.get((kid, algorithm))

    def _is_old(self) -> bool:
        return self._loaded_at is None or self._monotonic() - self._loaded_at >= self._settings.max_age_seconds

    def _may_try(self) -> bool:
        return self._tried_at is None or self._monotonic() - self._tried_at >= self._settings.refresh_seconds

    async def _refresh(self) -> None:
        self._tried_at = self._monotonic()
        try:
            async with asyncio.timeout(self._settings.fetch_seconds):
                keys = parse(await self._load())
        except (JwksError, OSError, aiohttp.ClientError, TimeoutError) as error:
            self._failure = str(error) or type(error).__name__
            log.warning("keys of the identity provider not read", reason=self._failure, kept=len(self._keys))
            return
        if set(keys) != set(self._keys):
            log.info("keys of the identity provider", kids=sorted(kid for kid, _ in keys))
        self._keys, self._loaded_at = keys, self._monotonic()


def loader(settings: AdminSettings) -> Load:
    """How the keys are read: from the URL, or from the file."""
    if settings.jwks_url is not None:
        url = settings.jwks_url
        return lambda: _fetch(url, settings.fetch_seconds)
    assert settings.jwks_file is not None, "settings name a URL or a file"
    path = settings.jwks_file
    return lambda: asyncio.to_thread(_read, path)


async def _fetch(url: str, seconds: float) -> bytes:
    """Raises JwksError, ClientError, TimeoutError."""
    timeout = aiohttp.ClientTimeout(total=seconds)
    headers = {"Accept": "application/json"}
    async with (
        aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
        # Whoever could redirect us could give us keys.
        session.get(url, allow_redirects=False) as response,
    ):
        if response.status != 200:
            raise JwksError(f"{url} answers {response.status}")
        body = bytearray()
        async for chunk in response.content.iter_chunked(16_384):
            body += chunk
            if len(body) > MAX_BYTES:
                raise JwksError(f"{url} answers more than {MAX_BYTES} bytes")
        return bytes(body)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise JwksError(f"{path} has more than {MAX_BYTES} bytes")
    return raw
