"""Placing, replacing and canceling orders, whichever way they are sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from offchain.api.schemas.http import BatchEntry, CancelAfter, CanceledOrder, CanceledOrders, PlacedOrder
from offchain.client.carrier import Carrier
from offchain.client.desk import Draft, OrderDesk
from offchain.client.errors import ApiError
from offchain.client.orders import NewOrder, again
from offchain.client.signing import Number

NOT_OPEN = frozenset({"orderNotOpen", "unknownOrder"})
NONCE_ATTEMPTS = 5
CANCEL_PAGES = 1_000
"""of a thousand orders each"""


class Trading:
    """Part of `Client` and of `OrderSocket`.

    After a retryable ApiError the order may have been executed: `Client.order` with the error's `order_id` (of several
    orders, the first one's) tells.
    """

    _desk: OrderDesk
    _carrier: Carrier

    # -----------------------------------------------------------------------------------------------------------------
    # One order
    # -----------------------------------------------------------------------------------------------------------------

    async def place_limit(
        self,
        market: str,
        side: str,
        price: Number,
        quantity: Number,
        *,
        time_in_force: str = "GTC",
        expiry: int | None = None,
        post_only: bool = False,
        reduce_only: bool = False,
        self_trade_prevention: str = "expireMaker",
        client_order_id: str | None = None,
        max_fee_bps: int | None = None,
        conversion_limit: Number | None = None,
        trigger: str | None = None,
        trigger_price: Number | None = None,
        trigger_by: str | None = None,
        replaces: str | None = None,
        expect_filled: Number | None = None,
    ) -> PlacedOrder:
        """Place a limit order; `NewOrder` says what the arguments mean.

        `trigger` ("stop" or "takeProfit") makes it wait until the price `trigger_by` reaches `trigger_price`.
        `replaces` names an open order of this client whose place it takes; unlike `replace`, the new one is placed also
        if the old one has ended meanwhile.

        Raises ApiError; ValueError for what does not fit the market and for an order in `replaces` that is not open.
        """
        return await self.place(
            NewOrder(
                market=market,
                side=side,
                price=price,
                quantity=quantity,
                time_in_force=time_in_force,
                expiry=expiry,
                post_only=post_only,
                reduce_only=reduce_only,
                self_trade_prevention=self_trade_prevention,
                client_order_id=client_order_id,
                max_fee_bps=max_fee_bps,
                conversion_limit=conversion_limit,
                trigger=trigger,
                trigger_price=trigger_price,
                trigger_by=trigger_by,
                replaces=replaces,
                expect_filled=expect_filled,
            )
        )

    async def place_market(
        self,
        market: str,
        side: str,
        quantity: Number,
        worst_price: Number,
        *,
        expiry: int | None = None,
        reduce_only: bool = False,
        self_trade_prevention: str = "expireMaker",
        client_order_id: str | None = None,
        max_fee_bps: int | None = None,
        conversion_limit: Number | None = None,
        trigger: str | None = None,
        trigger_price: Number | None = None,
        trigger_by: str | None = None,
    ) -> PlacedOrder:
        """Trade at once, or once the trigger is reached, at `worst_price` or better; what finds no counterparty is
        canceled. Raises as `place_limit`."""
        return await self.place(
            NewOrder(
                market=market,
                side=side,
                price=worst_price,
                quantity=quantity,
                type="market",
                expiry=expiry,
                reduce_only=reduce_only,
                self_trade_prevention=self_trade_prevention,
                client_order_id=client_order_id,
                max_fee_bps=max_fee_bps,
                conversion_limit=conversion_limit,
                trigger=trigger,
                trigger_price=trigger_price,
                trigger_by=trigger_by,
            )
        )

    async def place(self, order: NewOrder) -> PlacedOrder:
        """Raises as `place_limit`."""

        async def send(draft: Draft) -> PlacedOrder:
            return await self._carrier.place(await self._desk.signed(draft), draft.order_id)

        return await self._send(order, send)

    async def replace(self, order_id: str, order: NewOrder) -> PlacedOrder:
        """Replace an open order of this client by another one under its nonce key, in one step.

        At the same price with no more quantity than was left it keeps its place in the queue. Raises ApiError:
        `orderNotOpen` if the old one has ended, and nothing was placed; else as `place_limit`.
        """

        async def send(draft: Draft) -> PlacedOrder:
            return await self._carrier.replace(order_id, await self._desk.signed(draft), draft.order_id)

        try:
            return await self._send(replace(order, replaces=order_id), send)
        except ApiError as error:
            if error.code == "orderNotOpen":
                self._desk.nonces.ended(order_id)
            raise

    async def amend(
        self,
        order_id: str,
        *,
        price: Number | None = None,
        quantity: Number | None = None,
        trigger_price: Number | None = None,
        expiry: int | None = None,
        post_only: bool | None = None,
        conversion_limit: Number | None = None,
        expect_filled: Number | None = None,
    ) -> PlacedOrder:
        """Read an open order of the account and `replace` it by one with these changes; the rest stays as it is.

        `quantity` is what is open afterwards. If it is left out, that is what was left, and the change is refused
        (`expectFilledMismatch`) if more was filled meanwhile. Raises as `replace`.
        """
        signer = await self._desk.ready()
        present = await self._desk.reading.order(order_id)
        changes = {
            "price": price,
            "quantity": quantity,
            "trigger_price": trigger_price,
            "expiry": expiry,
            "post_only": post_only,
            "conversion_limit": conversion_limit,
        }
        given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
        if quantity is not None or expect_filled is not None:
            given["expect_filled"] = expect_filled
        self._desk.nonces.adopt(order_id, signer.market(present.market).id, int(present.nonce))
        return await self.replace(order_id, replace(again(present), **given))

    async def _send(self, order: NewOrder, send: Callable[[Draft], Awaitable[PlacedOrder]]) -> PlacedOrder:
        for attempt in range(NONCE_ATTEMPTS):
            draft = await self._desk.draft(order)
            try:
                placed = await send(draft)
            except ApiError as error:
                may_do = await self._desk.refused(draft, error.code, error.retryable)
                if may_do and attempt + 1 < NONCE_ATTEMPTS:
                    continue
                if error.retryable and error.order_id is None:
                    error.order_id = draft.order_id
                raise
            self._desk.accepted(draft, placed.status)
            return placed
        raise AssertionError("the last attempt returns or raises")

    # -----------------------------------------------------------------------------------------------------------------
    # Many orders
    # -----------------------------------------------------------------------------------------------------------------

    async def place_array(self, orders: Sequence[NewOrder]) -> list[BatchEntry]:
        """Place two to ten orders under one signature, at one time. One result each: `order` or `problem`.

        Raises ApiError for what refuses all of them, ValueError and TypeError as `place_limit`.
        """
        drafts = await self._desk.drafts(orders)

        async def send() -> list[BatchEntry]:
            return await self._carrier.place_array(await self._desk.signed_array(drafts))

        return await self._settle(drafts, send)

    async def _settle(self, drafts: list[Draft], send: Callable[[], Awaitable[list[BatchEntry]]]) -> list[BatchEntry]:
        try:
            results = await send()
        except ApiError as error:
            if not error.retryable:
                self._desk.forget(drafts)
            elif error.order_id is None:
                error.order_id = drafts[0].order_id
            raise
        for draft, entry in zip(drafts, results, strict=True):
            if entry.order is not None:
                self._desk.accepted(draft, entry.order.status)
            elif entry.problem is not None:
                await self._desk.refused(draft, entry.problem.code, entry.problem.retryable)
        return results

    # -----------------------------------------------------------------------------------------------------------------
    # Cancels
    # -----------------------------------------------------------------------------------------------------------------

    async def cancel(self, order_id: str) -> CanceledOrder:
        """Cancel an open order. Raises ApiError: `orderNotOpen` too if an earlier attempt's answer was lost."""
        signer = await self._desk.ready()
        body = signer.cancel(bytes.fromhex(order_id[2:]))
        try:
            canceled = await self._carrier.cancel(order_id, body)
        except ApiError as error:
            if error.code in NOT_OPEN:
                self._desk.nonces.ended(order_id)
            raise
        self._desk.nonces.ended(order_id)
        return canceled

    async def cancel_if_open(self, order_id: str) -> CanceledOrder | None:
        """As `cancel`; None if the order has ended before."""
        try:
            return await self.cancel(order_id)
        except ApiError as error:
            if error.code in NOT_OPEN:
                return None
            raise

    def is_open(self, order_id: str) -> bool:
        """Whether an order of this client is open, as far as answers and subscriptions have told."""
        return self._desk.nonces.is_open(order_id)

    async def cancel_all(self, *, market: str | None = None, side: str | None = None) -> CanceledOrders:
        """Cancel all open orders of the account that fit, oldest first; waiting ones too.

        It needs no signature: an API key with the scope `cancel` is enough. Raises ApiError.
        """
        ids: list[str] = []
        for _ in range(CANCEL_PAGES):
            page = await self._carrier.cancel_all(market, side)
            ids += page.order_ids
            for order_id in page.order_ids:
                self._desk.nonces.ended(order_id)
            if not page.remaining:
                break
        return CanceledOrders(account=page.account, order_ids=ids, remaining=page.remaining)

    async def cancel_after(self, seconds: int) -> CancelAfter:
        """Have all orders of the account canceled in so many seconds, unless this is called again before; 0: not.

        From 1 to 86,400. An API key with the scope `cancel` is enough. Raises ApiError.
        """
        return await self._carrier.cancel_after(seconds)
