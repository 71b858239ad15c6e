"""Who a client is for the exchange: its session and the account's API keys."""

from __future__ import annotations

from collections.abc import Sequence

from offchain.api.schemas import auth
from offchain.client.auth import Authenticator
from offchain.client.carrier import once
from offchain.client.errors import MissingKey
from offchain.domain.order import Address


class Identified:
    """What a client has besides trading and reading. It signs in by itself when that is needed."""

    _auth: Authenticator
    _of: Address | None
    """whose account it is; None: not known yet, or nobody's"""

    @property
    def account(self) -> str:
        """The account's address. Raises MissingKey where it is not known: with an API key alone, `session` asks."""
        if self._of is None:
            raise MissingKey("this client has no private key; with an API key, call session() first")
        return "0x" + self._of.hex()

    @property
    def is_known(self) -> bool:
        """Whether `account` is known."""
        return self._of is not None

    @property
    def trader_channel(self) -> str:
        """The channel of this client's account."""
        return f"trader.{self.account}"

    async def session(self) -> auth.SessionInfo:
        """Who this client is for the exchange."""
        info = await self._auth.request("GET", "/v1/auth/session", auth.SessionInfo)
        self._of = address_from(info.account)
        return info

    async def sign_out(self) -> None:
        """End the session; the next read opens another."""
        await self._auth.sign_out()

    async def create_key(
        self, label: str, scopes: Sequence[str] = ("read",), expiry: int | None = None
    ) -> auth.CreatedApiKey:
        """Make an API key, whose secret is shown this once; `expiry` in Unix seconds."""
        body = auth.ApiKeyBody(label=label, scopes=list(scopes), expiry=expiry)
        return await self._auth.request("POST", "/v1/keys", auth.CreatedApiKey, body=body, headers=once())

    async def keys(self, *, limit: int | None = None) -> list[auth.ApiKey]:
        """Newest first, also those that have ended."""
        query = {} if limit is None else {"limit": str(limit)}
        return (await self._auth.request("GET", "/v1/keys", auth.ApiKeys, query=query)).keys

    async def revoke_key(self, key_id: str) -> auth.RevokedApiKey:
        return await self._auth.request("DELETE", f"/v1/keys/{key_id}", auth.RevokedApiKey, headers=once())


def address_from(text: str) -> Address:
    """Raises ValueError."""
    address = bytes.fromhex(text.removeprefix("0x"))
    if len(address) != 20:
        raise ValueError(f"an address has 20 bytes, not {len(address)}")
    return address
