"""Tokens of administrators: which count, and where the keys come from."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from offchain.api.admin.jwks import MAX_BYTES, MAX_KEYS, Jwks, JwksError, Load, loader, parse
from offchain.api.admin.settings import Role
from offchain.api.admin.tokens import MAX_TOKEN, Administrator, TokenError, Verifier
from tests.unit.api.exchange import NOW_MS, FixedClock
from tests.utils.identity import (
    AUDIENCE,
    ISSUER,
    MANAGERS,
    OPERATORS,
    VIEWERS,
    Provider,
    create_ec,
    create_rsa,
    create_settings,
    jwk_of,
)

NOW = NOW_MS // 1000


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Source:
    """What the provider answers, and how often it was asked."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.asked = 0
        self.failure: Exception | None = None

    async def __call__(self) -> bytes:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.raw


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def source(provider: Provider) -> Source:
    return Source(provider.jwks())


@pytest.fixture
def create_verifier(time: Time) -> Callable[..., Verifier]:
    def create(load: Load, **changes: Any) -> Verifier:
        settings = create_settings(Path("unused"), **changes)
        return Verifier(settings, Jwks(load, settings, time), FixedClock())

    return create


@pytest.fixture
def verifier(create_verifier: Callable[..., Verifier], source: Source) -> Verifier:
    return create_verifier(source)


# ---------------------------------------------------------------------------------------------------------------------
# Which count
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kid", ["rsa-1", "ec-1"])
async def test_a_token_of_the_provider_counts(verifier: Verifier, provider: Provider, kid: str) -> None:
    found = await verifier.verify(provider.token(NOW, OPERATORS, "others", kid=kid))
    roles = frozenset({Role.OPERATOR, Role.VIEWER})
    assert found == Administrator(ISSUER, "alice", (OPERATORS,), roles, (NOW + 605) * 1000)


@pytest.mark.parametrize(
    ("groups", "roles"),
    [
        ((), set()),
        (("others",), set()),
        ((VIEWERS,), {Role.VIEWER}),
        ((OPERATORS,), {Role.OPERATOR, Role.VIEWER}),
        ((MANAGERS,), {Role.MANAGER, Role.VIEWER}),
        ((OPERATORS, MANAGERS), {Role.OPERATOR, Role.MANAGER, Role.VIEWER}),
    ],
)
async def test_groups_give_roles(
    verifier: Verifier, provider: Provider, groups: tuple[str, ...], roles: set[Role]
) -> None:
    assert (await verifier.verify(provider.token(NOW, *groups))).roles == roles


async def test_the_claim_of_groups_is_a_setting(create_verifier: Any, source: Source, provider: Provider) -> None:
    verifier = create_verifier(source, groups_claim="https://example.com/roles")
    token = provider.token(NOW, OPERATORS, **{"https://example.com/roles": MANAGERS})
    assert (await verifier.verify(token)).groups == (MANAGERS,), "a single one may come as a string"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exp": NOW - 5}, "expired"),
        ({"exp": NOW - 600, "iat": NOW - 900}, "expired"),
        ({"iat": NOW + 6}, "future"),
        ({"nbf": NOW + 6}, "not valid yet"),
        ({"exp": NOW + 3_601}, "longer than 3600"),
        ({"exp": None}, "exp"),
        ({"iat": None}, "iat"),
        ({"iss": None}, "iss"),
        ({"aud": None}, "aud"),
        ({"sub": None}, "sub"),
        ({"iss": "https://evil.example"}, "[Ii]ssuer"),
        ({"iss": ISSUER[:-1]}, "[Ii]ssuer"),
        ({"iss": [ISSUER]}, "[Ii]ssuer"),
        ({"aud": "another"}, "[Aa]udience"),
        ({"aud": AUDIENCE + "2"}, "[Aa]udience"),
        ({"sub": ""}, "sub"),
        ({"sub": "a\nb"}, "sub"),
        ({"sub": "x" * 256}, "sub"),
        ({"sub": 7}, "[Ss]ubject"),
        ({"exp": "soon"}, "exp"),
        ({"exp": True}, "exp"),
        ({"iat": -1}, "iat"),
        ({"groups": {"a": 1}}, "groups"),
    ],
)
async def test_wrong_claims_are_refused(
    verifier: Verifier, provider: Provider, changes: dict[str, Any], message: str
) -> None:
    claims = provider.claims(NOW, OPERATORS) | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    # PyJWT refuses to sign some of these, so they are signed as any bytes.
    token = jwt.api_jws.encode(json.dumps(claims).encode(), provider.keys["ec-1"], "ES256", {"kid": "ec-1"})
    with pytest.raises(TokenError, match=message):
        await verifier.verify(token)


async def test_the_bounds_of_time_are_inclusive_by_the_leeway(verifier: Verifier, provider: Provider) -> None:
    for changes in (
        {"exp": NOW - 4},
        {"iat": NOW + 5},
        {"nbf": NOW + 5},
        {"aud": ["x", AUDIENCE]},
        {"exp": NOW + 3_600},
    ):
        assert await verifier.verify(provider.token(NOW, **changes))


async def test_other_algorithms_are_refused(verifier: Verifier, provider: Provider) -> None:
    claims = provider.claims(NOW, OPERATORS)
    rsa_key = provider.keys["rsa-1"]
    tokens = [
        jwt.encode(claims, None, algorithm="none", headers={"kid": "rsa-1"}),  # type: ignore[arg-type]
        jwt.encode(
            claims, "a secret of at least 32 bytes, as HS256 needs", algorithm="HS256", headers={"kid": "rsa-1"}
        ),
        jwt.encode(claims, rsa_key, algorithm="RS512", headers={"kid": "rsa-1"}),
        jwt.encode(claims, rsa_key, algorithm="PS256", headers={"kid": "rsa-1"}),
        jwt.encode(claims, create_ec(ec.SECP384R1()), algorithm="ES384", headers={"kid": "ec-1"}),
    ]
    for token in tokens:
        with pytest.raises(TokenError, match="alg is none of RS256, ES256"):
            await verifier.verify(token)


def encoded(value: Any) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


async def test_the_public_key_is_no_secret_to_sign_with(verifier: Verifier, provider: Provider) -> None:
    """The attack on verifiers that let the token choose: HS256 with the RSA key's PEM as the shared secret."""
    pem = provider.keys["rsa-1"].public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    for algorithm in ("HS256", "RS256", "ES256"):
        message = encoded({"alg": algorithm, "kid": "rsa-1"}) + b"." + encoded(provider.claims(NOW, OPERATORS))
        signature = base64.urlsafe_b64encode(hmac.new(pem, message, hashlib.sha256).digest()).rstrip(b"=")
        with pytest.raises(TokenError):
            await verifier.verify((message + b"." + signature).decode())


async def test_a_key_fits_one_algorithm(verifier: Verifier, provider: Provider) -> None:
    token = jwt.encode(provider.claims(NOW), provider.keys["ec-1"], algorithm="ES256", headers={"kid": "rsa-1"})
    with pytest.raises(TokenError, match="no key of the issuer"):
        await verifier.verify(token)


async def test_another_key_under_a_known_name_is_refused(verifier: Verifier, provider: Provider) -> None:
    token = jwt.encode(provider.claims(NOW), create_ec(), algorithm="ES256", headers={"kid": "ec-1"})
    with pytest.raises(TokenError, match=r"[Ss]ignature"):
        await verifier.verify(token)


async def test_a_token_names_its_key(verifier: Verifier, provider: Provider) -> None:
    token = jwt.encode(provider.claims(NOW), provider.keys["ec-1"], algorithm="ES256")
    with pytest.raises(TokenError, match="kid"):
        await verifier.verify(token)


async def test_one_changed_character_is_refused(verifier: Verifier, provider: Provider) -> None:
    token = provider.token(NOW, OPERATORS)
    places = (5, token.index(".") + 20, len(token) - 30)
    flipped = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in places]
    for changed in (*flipped, token + "A", token[:-20]):
        with pytest.raises(TokenError):
            await verifier.verify(changed)


@given(
    text=st.one_of(
        st.text(max_size=40),
        st.lists(st.text("abcABC019-_=. {}[]", max_size=12), min_size=3, max_size=5).map(".".join),
    )
)
def test_anything_else_is_refused_with_a_reason(text: str) -> None:
    settings = create_settings(Path("unused"))
    keys = json.dumps({"keys": [jwk_of(_KEY, "ec-1")]}).encode()
    verifier = Verifier(settings, Jwks(Source(keys), settings, Time()), FixedClock())
    with pytest.raises(TokenError, match=r"."):
        asyncio.run(verifier.verify(text))


_KEY = create_ec()


async def test_what_nests_too_deep_or_is_too_long_is_refused(verifier: Verifier, provider: Provider) -> None:
    deep = b"[" * 5_000
    header = encoded({"alg": "ES256", "kid": "ec-1"}).decode()
    signed = jwt.api_jws.encode(deep, provider.keys["ec-1"], "ES256", {"kid": "ec-1"})
    for token in (f"{base64.urlsafe_b64encode(deep).decode()}.e30.e30", signed, f"{header}.{'A' * MAX_TOKEN}.e30"):
        with pytest.raises(TokenError):
            await verifier.verify(token)


# ---------------------------------------------------------------------------------------------------------------------
# The provider's keys
# ---------------------------------------------------------------------------------------------------------------------


async def test_keys_are_asked_for_once(verifier: Verifier, provider: Provider, source: Source) -> None:
    await asyncio.gather(*(verifier.verify(provider.token(NOW)) for _ in range(8)))
    assert source.asked == 1


async def test_rotated_keys_are_found(create_verifier: Any, time: Time) -> None:
    provider = Provider()
    source = Source(provider.jwks())
    verifier = create_verifier(source)
    old = provider.token(NOW)
    await verifier.verify(old)
    provider.rotate()
    source.raw, time.now = provider.jwks(), 10.0
    await verifier.verify(provider.token(NOW))
    with pytest.raises(TokenError, match="no key of the issuer"):
        await verifier.verify(old)


async def test_unknown_names_do_not_hammer_the_provider(
    verifier: Verifier, provider: Provider, source: Source, time: Time
) -> None:
    await verifier.verify(provider.token(NOW))
    forged = jwt.encode(provider.claims(NOW), create_ec(), algorithm="ES256", headers={"kid": "nobody's"})
    for seconds, asked in ((1.0, 1), (9.9, 1), (10.0, 2), (19.0, 2), (20.0, 3)):
        time.now = seconds
        with pytest.raises(TokenError, match="no key of the issuer"):
            await verifier.verify(forged)
        assert source.asked == asked
    await verifier.verify(provider.token(NOW))


async def test_the_last_keys_count_while_the_provider_is_down(
    verifier: Verifier, provider: Provider, source: Source, time: Time
) -> None:
    await verifier.verify(provider.token(NOW))
    for failure in (OSError("down"), TimeoutError(), JwksError("answers 500")):
        source.failure, time.now = failure, time.now + 700
        await verifier.verify(provider.token(NOW))
    assert source.asked == 4
    source.failure, source.raw, time.now = None, b"<html>", time.now + 700
    await verifier.verify(provider.token(NOW))


async def test_keys_that_never_came_are_no_fault_of_the_token(
    verifier: Verifier, provider: Provider, source: Source, time: Time
) -> None:
    source.failure = OSError("down")
    for _ in range(3):
        with pytest.raises(JwksError, match="down"):
            await verifier.verify(provider.token(NOW))
    assert source.asked == 1
    source.failure, time.now = None, 10.0
    await verifier.verify(provider.token(NOW))


async def test_keys_are_looked_at_again_when_they_are_old(create_verifier: Any, provider: Provider, time: Time) -> None:
    """A key that the provider has taken back counts no longer, though nobody names a new one."""
    source = Source(provider.jwks())
    verifier = create_verifier(source)
    token = provider.token(NOW, kid="rsa-1")
    await verifier.verify(token)
    source.raw = json.dumps({"keys": [jwk_of(provider.keys["ec-1"], "ec-1")]}).encode()
    time.now = 599.0
    await verifier.verify(token)
    time.now = 600.0
    with pytest.raises(TokenError, match="no key of the issuer"):
        await verifier.verify(token)


def test_only_keys_that_sign_as_we_ask_are_taken() -> None:
    good, rsa_key = create_ec(), create_rsa()
    entries: list[Any] = [
        jwk_of(good, "good"),
        jwk_of(create_ec(), "encrypts", use="enc"),
        jwk_of(create_ec(ec.SECP384R1()), "p384"),
        jwk_of(create_ec(ec.SECP256K1()), "k1"),
        jwk_of(create_rsa(1_024), "short"),
        jwk_of(rsa_key, "rs512", alg="RS512"),
        jwk_of(rsa_key, "ps256", alg="PS256"),
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"},
        {"kty": "RSA", "kid": "broken", "n": "AQAB"},
        {name: value for name, value in jwk_of(good, "").items() if name != "kid"},
        "nonsense",
    ]
    assert list(parse(json.dumps({"keys": entries}).encode())) == [("good", "ES256")]


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{}", b'{"keys": 1}', b'{"keys": []}', b"\xff", json.dumps({"keys": [{}] * (MAX_KEYS + 1)}).encode()],
)
def test_what_is_no_set_of_keys_is_refused(raw: bytes) -> None:
    with pytest.raises(JwksError):
        parse(raw)


@pytest.mark.parametrize(("status", "body"), [(500, b"{}"), (302, b""), (200, b" " * (MAX_BYTES + 1))])
async def test_over_http_only_a_small_200_counts(status: int, body: bytes) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={"Location": "/other"} if status == 302 else None)

    app = web.Application()
    app.router.add_get("/jwks", answer)
    async with TestServer(app) as server:
        load = loader(create_settings(jwks_url=str(server.make_url("/jwks"))))
        with pytest.raises(JwksError, match=f"answers ({status}|more than)"):
            await load()


async def test_keys_come_over_http_and_from_a_file(provider: Provider, tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=provider.jwks(), content_type="application/json")

    app = web.Application()
    app.router.add_get("/jwks", answer)
    async with TestServer(app) as server:
        over_http = await loader(create_settings(jwks_url=str(server.make_url("/jwks"))))()
    file = tmp_path / "jwks.json"
    file.write_bytes(provider.jwks())
    assert over_http == await loader(create_settings(file))() == provider.jwks()
    file.write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(JwksError, match="more than"):
        await loader(create_settings(file))()
