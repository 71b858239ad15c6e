"""What carries orders to the exchange, and its answers back."""

from __future__ import annotations

import uuid
from typing import Protocol

from offchain.api.schemas.http import (
    ArrayBody,
    BatchBody,
    BatchEntry,
    BatchResult,
    CancelAfter,
    CancelAfterBody,
    CancelBody,
    CanceledOrder,
    CanceledOrders,
    OrderBody,
    PlacedOrder,
)
from offchain.client.auth import Authenticator
from offchain.client.transport import Transport


class Carrier(Protocol):
    """Sends what is signed, or what a token is good for. Every method raises ApiError."""

    async def place(self, order: OrderBody, order_id: str) -> PlacedOrder: ...

    async def replace(self, replaced: str, order: OrderBody, order_id: str) -> PlacedOrder: ...

    async def place_array(self, array: ArrayBody) -> list[BatchEntry]: ...

    async def cancel(self, order_id: str, cancel: CancelBody) -> CanceledOrder: ...

    async def cancel_all(self, market: str | None, side: str | None) -> CanceledOrders: ...

    async def cancel_after(self, seconds: int) -> CancelAfter: ...


class HttpCarrier:
    """A request each. Lost answers are asked for again, with the same bytes."""

    def __init__(self, transport: Transport, auth: Authenticator) -> None:
        self._http = transport
        self._auth = auth

    async def place(self, order: OrderBody, order_id: str) -> PlacedOrder:
        return await self._http.request("POST", "/v1/orders", PlacedOrder, body=order)

    async def replace(self, replaced: str, order: OrderBody, order_id: str) -> PlacedOrder:
        return await self._http.request("PUT", f"/v1/orders/{replaced}", PlacedOrder, body=order)

    async def place_array(self, array: ArrayBody) -> list[BatchEntry]:
        return (await self._http.request("POST", "/v1/orders/array", BatchResult, body=array)).results

    async def place_batch(self, orders: list[OrderBody]) -> list[BatchEntry]:
        body = BatchBody(orders=orders)
        return (await self._http.request("POST", "/v1/orders/batch", BatchResult, body=body)).results

    async def cancel(self, order_id: str, cancel: CancelBody) -> CanceledOrder:
        return await self._http.request("DELETE", f"/v1/orders/{order_id}", CanceledOrder, body=cancel)

    async def cancel_all(self, market: str | None, side: str | None) -> CanceledOrders:
        query = {name: value for name, value in (("market", market), ("side", side)) if value is not None}
        return await self._auth.request("DELETE", "/v1/orders", CanceledOrders, query=query, headers=once())

    async def cancel_after(self, seconds: int) -> CancelAfter:
        return await self._auth.request("PUT", "/v1/cancel-after", CancelAfter, body=CancelAfterBody(seconds))


def once() -> dict[str, str]:
    """The header by which a request that is sent again is done once."""
    return {"Idempotency-Key": str(uuid.uuid4())}
