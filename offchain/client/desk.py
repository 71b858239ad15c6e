"""What all ways of sending orders share: the signer, the account's epoch, its nonces."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from offchain.api.schemas.http import ArrayBody, OrderBody, OrderTerms
from offchain.client.errors import MissingKey
from offchain.client.nonces import NonceKeys
from offchain.client.orders import NewOrder
from offchain.client.reading import Reading
from offchain.client.signing import Signer
from offchain.domain.order import Address, OrderHash

ENDED = frozenset({"filled", "canceled", "rejected", "expired"})
"""statuses of orders that are open no more"""

TAKEN_NONCE = frozenset({"staleNonce", "nonceReused", "nonceKeyMarket"})
SYNC_PAGES = 100
SYNC_LIMIT = 500


@dataclass(frozen=True)
class Draft:
    """An order with its nonce."""

    order_hash: OrderHash
    terms: OrderTerms
    market: int
    nonce: int
    replaced: str | None

    @property
    def order_id(self) -> str:
        return "0x" + self.order_hash.hex()


class OrderDesk:
    """Makes signed orders of what is wanted, and keeps account of which orders are open under which nonce key."""

    def __init__(self, reading: Reading, private_key: bytes | None, account: Address | None, nonces: NonceKeys) -> None:
        """`account` is whose orders are signed."""
        self.reading = reading
        self.nonces = nonces
        self._key = private_key
        self._account = account
        self._signer: Signer | None = None
        self._epoch = 0
        self._starting = asyncio.Lock()

    async def ready(self) -> Signer:
        """The signer, once markets and the nonces of earlier orders are known. Raises ApiError, MissingKey."""
        if self._key is None:
            raise MissingKey("this client has no private key")
        async with self._starting:
            if self._signer is None:
                markets = await self.reading.markets()
                identities = {market.symbol: market.id for market in markets.markets}
                await self._learn(identities, (), 1)
                await self._learn(identities, ("open", "partiallyFilled"), SYNC_PAGES)
                await self.learn_epoch()
                self._signer = Signer(self._key, markets, self._account)
        return self._signer

    @property
    def epoch(self) -> int:
        """What orders sign, once `ready`."""
        return self._epoch

    async def learn_epoch(self) -> None:
        self._epoch = (await self.reading.account_state()).epoch

    async def _learn(self, markets: dict[str, int], statuses: tuple[str, ...], pages: int) -> None:
        cursor = None
        for _ in range(pages):
            page = await self.reading.orders(status=statuses, cursor=cursor, limit=SYNC_LIMIT)
            for order in page.orders:
                order_id = None if order.status in ENDED else order.order_id
                self.nonces.learn(markets[order.market], int(order.nonce), order_id)
            cursor = page.next
            if cursor is None:
                return

    # -----------------------------------------------------------------------------------------------------------------
    # Orders
    # -----------------------------------------------------------------------------------------------------------------

    async def draft(self, order: NewOrder) -> Draft:
        """Give `order` a nonce. Its key is taken until the draft is `accepted` or `refused`, or known to have ended.

        Raises ApiError; ValueError, TypeError for what does not fit the market and for a replaced order that is not
        open; NonceKeysExhausted.
        """
        signer = await self.ready()
        market = signer.market(order.market).id
        fee = order.max_fee_bps if order.max_fee_bps is not None else (await self.reading.markets()).fee_bps
        nonce = self.nonces.take(market) if order.replaces is None else self.nonces.follow(order.replaces)
        try:
            order_hash, terms = signer.terms(
                order.market,
                order.side,
                order.type,
                order.effective_time_in_force,
                order.price,
                order.quantity,
                nonce,
                max_fee_bps=fee,
                expiry=order.effective_expiry(),
                epoch=self._epoch,
                conversion_limit=order.conversion_limit,
                reduce_only=order.reduce_only,
                **order.unsigned(),
            )
        except (ValueError, TypeError):
            if order.replaces is None:
                self.nonces.give_back(market, nonce)
            raise
        draft = Draft(order_hash, terms, market, nonce, order.replaces)
        # Known before the answer, so that news of the order that overtakes it finds it.
        if order.replaces is None:
            self.nonces.bind(draft.order_id, market, nonce)
        else:
            self.nonces.attend(draft.order_id, market, nonce)
        return draft

    async def drafts(self, orders: Sequence[NewOrder]) -> list[Draft]:
        """All of them, or none. Raises as `draft`."""
        made: list[Draft] = []
        try:
            for order in orders:
                made.append(await self.draft(order))
        except BaseException:
            self.forget(made)
            raise
        return made

    async def signed(self, draft: Draft) -> OrderBody:
        return (await self.ready()).signed(draft.order_hash, draft.terms)

    async def signed_array(self, drafts: Sequence[Draft]) -> ArrayBody:
        return (await self.ready()).array([(draft.order_hash, draft.terms) for draft in drafts])

    def accepted(self, draft: Draft, status: str) -> None:
        if draft.replaced is not None:
            self.nonces.bind(draft.order_id, draft.market, draft.nonce)
        if status in ENDED:
            self.nonces.ended(draft.order_id)

    async def refused(self, draft: Draft, code: str, is_retryable: bool) -> bool:
        """Whether the same order may do under another nonce or epoch. What is retryable may be under way still."""
        if code in TAKEN_NONCE and draft.replaced is None:
            return True  # another client of the account uses this key: it stays bound here, so never taken again
        if not is_retryable:
            self.nonces.ended(draft.order_id)
        if code == "staleEpoch":
            await self.learn_epoch()
            return draft.replaced is None
        return False

    def forget(self, drafts: Sequence[Draft]) -> None:
        """They were not sent, or refused together."""
        for draft in drafts:
            self.nonces.ended(draft.order_id)
