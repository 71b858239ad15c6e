"""An account as a program without our client has it: plain HTTP, typed data, and nothing that helps."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount

from offchain.chain import eip712
from offchain.client.signing import Signer
from tests.e2e.exchange import SYMBOL, Exchange, create_signer, eventually

OPEN = "open,partiallyFilled"

_keys = itertools.count(1_000)


def unused_key() -> int:
    """A nonce key that no test has used."""
    return next(_keys)


@dataclass
class Trader:
    """An account as a program without our client has it."""

    exchange: Exchange
    http: aiohttp.ClientSession
    account: LocalAccount
    signer: Signer
    token: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        data = None if body is None else msgspec.json.encode(body)
        sent = self.headers | {"Content-Type": "application/json"} | headers
        async with self.http.request(method, self.exchange.url + path, data=data, headers=sent) as response:
            return response.status, await response.json(content_type=None)

    async def sign_in(self) -> None:
        _, challenge = await self.ask("POST", "/v1/auth/challenge", {"account": self.account.address})
        message = challenge["message"]
        signature = "0x" + bytes(self.account.sign_message(encode_defunct(text=message)).signature).hex()
        status, answer = await self.ask("POST", "/v1/auth/sessions", {"message": message, "signature": signature})
        assert status == 201, answer
        self.token = answer["token"]

    def order(
        self,
        side: str,
        price: int | str,
        quantity: str,
        *,
        market: str = SYMBOL,
        time_in_force: str = "GTC",
        expiry: int | None = None,
        key: int | None = None,
        sequence: int = 1,
        **unsigned: Any,
    ) -> dict[str, Any]:
        """A signed body; IOC and FOK are good for a minute."""
        if expiry is None and time_in_force in ("IOC", "FOK"):
            expiry = int(time.time()) + 60
        nonce = (unused_key() if key is None else key) << 32 | sequence
        _, body = self.signer.order(
            market, side, "limit", time_in_force, price, quantity, nonce, max_fee_bps=50, expiry=expiry
        )
        fields: dict[str, Any] = msgspec.to_builtins(body)
        return {name: value for name, value in fields.items() if value is not None} | unsigned

    async def place(self, *terms: Any, **more: Any) -> dict[str, Any]:
        """The answer to an order that must be taken."""
        status, answer = await self.ask("POST", "/v1/orders", self.order(*terms, **more))
        assert status == 201, answer
        return answer  # type: ignore[no-any-return]

    async def place_array(self, orders: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The answers to orders under one signature, which all must be taken."""
        status, answer = await self.ask("POST", "/v1/orders/array", self.array(orders))
        assert status == 200, answer
        assert all(each["problem"] is None for each in answer["results"]), answer
        return [each["order"] for each in answer["results"]]

    def array(self, orders: Sequence[dict[str, Any]]) -> dict[str, Any]:
        hashes = []
        for body in orders:
            again, _ = self.signer.order(
                body["market"],
                body["side"],
                body["type"],
                body["timeInForce"],
                body["price"],
                body["quantity"],
                int(body["nonce"]),
                max_fee_bps=body["maxFeeBps"],
                expiry=body.get("expiry"),
            )
            hashes.append(again)
        signature = eip712.sign(self.signer.domain.digest(eip712.array_hash(hashes)), bytes(self.account.key))
        terms = [{name: value for name, value in body.items() if name != "signature"} for body in orders]
        return {"orders": terms, "signature": "0x" + signature.hex()}

    def signed_cancel(self, order_id: str) -> dict[str, Any]:
        fields: dict[str, Any] = msgspec.to_builtins(self.signer.cancel(bytes.fromhex(order_id[2:])))
        return fields

    async def cancel(self, order_id: str) -> tuple[int, Any]:
        return await self.ask("DELETE", f"/v1/orders/{order_id}", self.signed_cancel(order_id))

    async def cancel_all(self, query: str = "") -> Any:
        key = f"all-{unused_key()}"
        status, answer = await self.ask("DELETE", f"/v1/orders{query}", **{"Idempotency-Key": key})
        assert status == 200, answer
        return answer

    async def shown(self, order_id: str) -> dict[str, Any]:
        status, answer = await self.ask("GET", f"/v1/orders/{order_id}")
        assert status == 200, answer
        return answer  # type: ignore[no-any-return]

    async def open_orders(self) -> list[dict[str, Any]]:
        _, answer = await self.ask("GET", f"/v1/orders?status={OPEN}")
        return answer["orders"]  # type: ignore[no-any-return]

    async def balance(self) -> dict[str, Any]:
        """Of USDC."""
        _, answer = await self.ask("GET", "/v1/balances")
        return next(row for row in answer["balances"] if row["asset"] == "USDC")


Both = tuple[Trader, Trader]
"""maker and taker"""


@asynccontextmanager
async def signed_in(exchange: Exchange) -> AsyncIterator[Both]:
    """The maker and the taker; what they leave open is canceled, and everything has settled and agrees in the end."""
    connector = aiohttp.TCPConnector(force_close=True)  # the service may be killed meanwhile
    async with aiohttp.ClientSession(connector=connector) as http, exchange.clients() as (client, _):
        await exchange.until_indexed(client)
        both = [
            Trader(exchange, http, account, await create_signer(exchange, account))
            for account in (exchange.roles.maker, exchange.roles.taker)
        ]
        for trader in both:
            await trader.sign_in()
        maker, taker = both
        yield maker, taker
        for trader in both:
            await trader.sign_in()
            await trader.ask("PUT", "/v1/cancel-after", {"seconds": 0})
            await trader.cancel_all()
        await exchange.until_settled(client)
        assert await exchange.differences() == []


async def settled(exchange: Exchange, trader: Trader, fills: Sequence[dict[str, Any]]) -> None:
    """Wait until these fills are on chain, as the chain's own events say."""
    ids = {fill["tradeId"] for fill in fills}

    async def missing() -> set[str]:
        return ids - set(exchange.chain.fill_ids())

    await eventually(missing, lambda found: not found)

    async def states() -> set[str]:
        _, answer = await trader.ask("GET", "/v1/fills?limit=100")
        return {fill["settlement"]["state"] for fill in answer["fills"] if fill["tradeId"] in ids}

    await eventually(states, lambda found: found <= {"settled", "confirmed"})
