"""The account that sends recorded order flow: what it signs may follow what is still under way."""

from __future__ import annotations

import contextlib

from offchain.api.schemas.http import ArrayBody, CancelBody, OrderBody
from offchain.client.client import Client
from offchain.client.desk import ENDED, SYNC_LIMIT, Draft
from offchain.client.signing import Signer
from offchain.flow import Terms
from offchain.flow.checker import plain


class FlowTrader(Client):
    """Signs the terms of a file. `prepare` comes first."""

    async def prepare(self) -> None:
        """Learn markets, nonces and the epoch. Raises ApiError."""
        self._signer: Signer = await self._desk.ready()
        self._fee_bps = (await self.markets()).fee_bps

    def draft(self, terms: Terms, replaced: str | None, now_seconds: int) -> Draft:
        """Give an order its nonce. Raises NonceKeysExhausted, ValueError for what does not fit."""
        market = self._signer.market(terms.market)
        nonces = self._desk.nonces
        followed = nonce = None
        if replaced is not None:
            # One that has ended has left its nonce key to others.
            with contextlib.suppress(ValueError):
                nonce, followed = nonces.follow(replaced), replaced
        if nonce is None:
            nonce = nonces.take(market.id)
        order_hash, body = self._signer.terms(
            terms.market,
            terms.side,
            terms.type,
            terms.time_in_force,
            plain(terms.price),
            plain(terms.quantity),
            nonce,
            max_fee_bps=self._fee_bps if terms.max_fee_bps is None else terms.max_fee_bps,
            expiry=None if terms.expires_in is None else now_seconds + terms.expires_in,
            epoch=self._desk.epoch,
            conversion_limit=_plain(terms.conversion_limit),
            reduce_only=terms.reduce_only,
            post_only=terms.post_only,
            self_trade_prevention=terms.self_trade_prevention,
            client_order_id=terms.client_order_id,
            trigger=terms.trigger,
            trigger_price=_plain(terms.trigger_price),
            trigger_by=None if terms.trigger is None else terms.trigger_by,
            replaces=replaced if terms.only_if_open else None,
            expect_filled=_plain(terms.expect_filled),
        )
        draft = Draft(order_hash, body, market.id, nonce, followed)
        # At once, not with the answer: the next line may replace this one while it is still under way.
        nonces.bind(draft.order_id, market.id, nonce)
        return draft

    def answered(self, draft: Draft, status: str | None) -> None:
        """`status` of an order that was taken; None: it was refused."""
        if status in ENDED or (status is None and draft.replaced is None):
            self._desk.nonces.ended(draft.order_id)
        # The key of a refused replacement stays with it: the older order may still be open under it.

    def ended(self, order_id: str) -> None:
        """The order is not open, or never was."""
        self._desk.nonces.ended(order_id)

    def order_body(self, draft: Draft) -> OrderBody:
        return self._signer.signed(draft.order_hash, draft.terms)

    def array_body(self, drafts: list[Draft]) -> ArrayBody:
        return self._signer.array([(draft.order_hash, draft.terms) for draft in drafts])

    def cancel_body(self, order_id: str) -> CancelBody:
        return self._signer.cancel(bytes.fromhex(order_id[2:]))

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
        for order_id in self._desk.nonces.open:
            if order_id not in still:
                self._desk.nonces.ended(order_id)

    async def cancel_oldest(self, market: str | None, side: str | None) -> None:
        """Cancel the oldest 1,000 orders that fit, as one line of a file does. Raises ApiError."""
        done = await self._carrier.cancel_all(market, side)
        for order_id in done.order_ids:
            self._desk.nonces.ended(order_id)


def _plain(text: str | None) -> str | None:
    return None if text is None else plain(text)
