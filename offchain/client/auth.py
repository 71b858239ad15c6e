"""Being somebody: the token that reads are sent with, from an API key or from signing in with the private key."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from offchain.api.schemas import auth
from offchain.chain import eip712
from offchain.chain.eip4361 import OPENING, account_uri, checksummed, personal_digest
from offchain.client.errors import ApiError, MissingKey
from offchain.client.transport import Transport
from offchain.domain.order import Address

ATTEMPTS = 3
"""to sign in: the answer to a message that is good once may be lost"""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

T = TypeVar("T")


class Authenticator:
    """Sends requests with a token. Signs in when a token is needed, and again when the exchange does not know it."""

    def __init__(
        self,
        transport: Transport,
        url: str,
        private_key: bytes | None,
        api_key: str | None,
        account: Address | None,
        domain: str | None,
    ) -> None:
        """`account` is whose sessions are opened; `domain` is what the message must name, by default that of `url`."""
        self._http = transport
        self._key = private_key
        self._api_key = api_key
        self._account = account
        self._domain = domain or urlsplit(url).netloc
        self._token: str | None = None
        self._signing_in = asyncio.Lock()

    async def request(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        body: msgspec.Struct | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """As `Transport.request`, as whoever this client is. Raises ApiError, MissingKey."""
        token = await self.token()
        try:
            return await self._http.request(method, path, answer, body=body, query=query, headers=_with(headers, token))
        except ApiError as error:
            if error.code != "invalidToken":
                raise
            token = await self.token(refused=token, because=error)
        return await self._http.request(method, path, answer, body=body, query=query, headers=_with(headers, token))

    async def token(self, refused: str | None = None, because: ApiError | None = None) -> str:
        """The token to use, a new one if the exchange has `refused` the present one. Raises ApiError, MissingKey."""
        if self._api_key is not None:
            if refused is not None:
                raise because or ApiError(401, "invalidToken", "the API key is not good, or not any more")
            return self._api_key
        async with self._signing_in:
            if self._token is None or self._token == refused:
                self._token = await self._sign_in()
            return self._token

    async def sign_out(self) -> None:
        """End the session, if there is one."""
        token, self._token = self._token, None
        if token is not None:
            try:
                await self._http.request("DELETE", "/v1/auth/sessions/current", type(None), headers=_with(None, token))
            except ApiError as error:
                if error.code != "invalidToken":
                    raise

    async def _sign_in(self) -> str:
        if self._key is None or self._account is None:
            raise MissingKey("this client has no private key and no API key")
        signer = eip712.address_of(self._key)
        asked = auth.ChallengeBody(
            account=_hex(self._account), signer=None if signer == self._account else _hex(signer)
        )
        for attempt in range(ATTEMPTS):
            challenge = await self._http.request("POST", "/v1/auth/challenge", auth.Challenge, body=asked)
            self._check(challenge.message, signer)
            signature = eip712.sign(personal_digest(challenge.message), self._key)
            answered = auth.SessionBody(message=challenge.message, signature=_hex(signature))
            try:
                opened = await self._http.request("POST", "/v1/auth/sessions", auth.OpenedSession, body=answered)
            except ApiError as error:
                if error.code != "unknownChallenge" or attempt + 1 == ATTEMPTS:
                    raise
            else:
                return opened.token
        raise AssertionError("the last attempt returns or raises")

    def _check(self, message: str, signer: Address) -> None:
        """Sign nothing that signs in elsewhere, or for somebody else. Raises ApiError."""
        lines = message.split("\n")
        domain = lines[0].removesuffix(OPENING.format(domain=""))
        resources = lines[lines.index("Resources:") + 1 :] if "Resources:" in lines else []
        is_ours = OPENING.format(domain=domain) == lines[0] and _same(domain, self._domain)
        is_own = len(lines) > 1 and lines[1] == checksummed(signer)
        if signer != self._account:
            chain_id = next((line[10:] for line in lines if line.startswith("Chain ID: ")), "")
            expected = account_uri(int(chain_id) if chain_id.isdecimal() else 0, self._account or b"")
            is_own = is_own and resources == [f"- {expected}"]
        if not is_ours or not is_own:
            detail = (
                f"asked to sign in at {domain[:100]!r}, expected was {self._domain!r}, for 0x{signer.hex()}; "
                "if that is a name of it, say so with sign_in_domain"
            )
            raise ApiError(0, "foreignChallenge", detail)


def _same(domain: str, expected: str) -> bool:
    if domain.lower() == expected.lower():
        return True
    one, other = urlsplit(f"//{domain}"), urlsplit(f"//{expected}")
    try:
        return {one.hostname, other.hostname} <= LOOPBACK and one.port == other.port
    except ValueError:  # no port number
        return False


def _with(headers: Mapping[str, str] | None, token: str) -> dict[str, str]:
    return {**(headers or {}), "Authorization": f"Bearer {token}"}


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
