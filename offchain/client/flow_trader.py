"""The account that sends recorded order flow: what it signs may follow what is still under way."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass
from decimal import Decimal

from offchain.api.schemas import http
from offchain.client.client import ENDED, SYNC_LIMIT, Client
from offchain.client.signing import Signer
from offchain.domain.order import OrderHash
from offchain.flow import Terms


@dataclass(slots=True)
class Signed:
    """An order that was signed for the exchange."""

    hash: OrderHash
    body: http.OrderBody
    replaces: str | None
    """the order whose nonce key it uses"""

    @property
    def id(self) -> str:
        return "0x" + self.hash.hex()


class FlowTrader(Client):
    """The account that sends what one trader of the file did."""

    async def prepare(self) -> None:
        """Learn markets, nonces and the epoch. Raises ApiError."""
        self._signs: Signer = await self._ready()
        self._fee_bps = (await self.markets()).fee_bps

    def sign(self, terms: Terms, replaced: str | None, now_seconds: int) -> Signed:
        """Raises NonceKeysExhausted, ValueError for what does not fit."""
        market = self._signs.market(terms.market)
        followed = None
        nonce = None
        if replaced is not None:
            # One that has ended has left its nonce key to others.
            with contextlib.suppress(ValueError):
                nonce = self._nonces.follow(replaced)
                followed = replaced
        if nonce is None:
            nonce = self._nonces.take(market.id)
        order_hash, body = self._signs.order(
            terms.market,
            terms.side,
            terms.type,
            terms.time_in_force,
            terms.price,
            terms.quantity,
            nonce,
            max_fee_bps=self._fee_bps if terms.max_fee_bps is None else terms.max_fee_bps,
            expiry=None if terms.expires_in is None else now_seconds + terms.expires_in,
            epoch=self._epoch,
            conversion_limit=None if terms.conversion_limit is None else Decimal(terms.conversion_limit),
            reduce_only=terms.reduce_only,
            post_only=terms.post_only,
            self_trade_prevention=terms.self_trade_prevention,
            client_order_id=terms.client_order_id,
            trigger=terms.trigger,
            trigger_price=terms.trigger_price,
            trigger_by=None if terms.trigger is None else terms.trigger_by,
            replaces=replaced if terms.only_if_open else None,
            expect_filled=terms.expect_filled,
        )
        signed = Signed(order_hash, body, followed)
        self._nonces.bind(signed.id, market.id, nonce)
        return signed

    def learn(self, signed: Signed, status: str | None) -> None:
        """`status` of an order that was answered; None: it was refused."""
        if status in ENDED or (status is None and signed.replaces is None):
            self._nonces.ended(signed.id)
        # The key of a refused replacement stays with it: the older order may still be open under it.

    def canceled(self, order_id: str) -> None:
        """The order has ended, or never was."""
        self._nonces.ended(order_id)

    def cancel_body(self, order_id: str) -> http.CancelBody:
        return self._signs.cancel(bytes.fromhex(order_id[2:]))

    def array_body(self, orders: list[Signed]) -> http.ArrayBody:
        return self._signs.array([(order.hash, order.body) for order in orders])

    async def forget_ended(self) -> None:
        """Free the nonce keys of orders that have been filled meanwhile. Raises ApiError."""
        still: set[str] = set()
        cursor = None
        while True:
            page = await self.orders(status=("open", "partiallyFilled"), cursor=cursor, limit=SYNC_LIMIT)
            still.update(order.order_id for order in page.orders)
            cursor = page.next
            if cursor is None:
                break
        for order_id in self._nonces.open:
            if order_id not in still:
                self._nonces.ended(order_id)

    async def cancel_many(self, market: str | None, side: str | None) -> None:
        """Cancel the oldest 1,000 orders that fit. Raises ApiError."""
        query = {name: value for name, value in (("market", market), ("side", side)) if value is not None}
        once = {"Idempotency-Key": str(uuid.uuid4())}
        done = await self._auth.request("DELETE", "/v1/orders", http.CanceledOrders, query=query, headers=once)
        for order_id in done.order_ids:
            self._nonces.ended(order_id)

    async def cancel_after(self, seconds: int) -> None:
        """Raises ApiError."""
        body = http.CancelAfterBody(seconds=seconds)
        await self._auth.request("PUT", "/v1/cancel-after", http.CancelAfter, body=body)
