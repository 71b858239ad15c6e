"""What a client has the service do on chain: it signs, the operator pays the gas."""

from __future__ import annotations

import time

from offchain.api.schemas import actions
from offchain.client.auth import Authenticator
from offchain.client.desk import OrderDesk
from offchain.client.signing import Number
from offchain.client.transport import Transport, page_of

WITHDRAWAL_SECONDS = 3_600
"""for the request of a withdrawal to be mined, unless an expiry is given"""


class OnChain:
    """Part of `Client`. Answers tell how the transaction stands; `action` and the stream tell how it goes on."""

    _http: Transport
    _auth: Authenticator
    _desk: OrderDesk

    async def withdraw(
        self, asset: str, amount: Number, *, as_cxpt: bool = False, expiry: int | None = None
    ) -> actions.ActionState:
        """Request a withdrawal to this client's own address; `as_cxpt` pays USDC as CXPT.

        `expiry` in Unix seconds, by default an hour from now: the last second of a block that takes the request. It
        replaces an open request of the same asset. Raises ApiError; ValueError for an unknown asset or more decimals
        than it has.
        """
        signer = await self._desk.ready()
        state = await self._desk.reading.account_state()
        expiry = int(time.time()) + WITHDRAWAL_SECONDS if expiry is None else expiry
        assets = {each.symbol: each for each in (await self._desk.reading.markets()).assets}
        if asset not in assets:
            raise ValueError(f"there is no asset {asset!r}; there are {', '.join(assets)}")
        nonce = int(state.withdrawal_nonce)
        body = signer.withdrawal(assets[asset], amount, as_cxpt=as_cxpt, nonce=nonce, expiry=expiry)
        return await self._http.request("POST", "/v1/vault/withdraw", actions.ActionState, body=body)

    async def set_delegate(self, delegate: str, valid_until: int) -> actions.ActionState:
        """Let `delegate` sign orders and cancels for this account until `valid_until` (Unix seconds).

        0 ends its time, one settlement window later. Raises ApiError; ValueError for what is no address.
        """
        signer = await self._desk.ready()
        state = await self._desk.reading.account_state()
        body = signer.delegate(delegate, valid_until, int(state.delegate_nonce))
        return await self._http.request("POST", "/v1/account/delegates", actions.ActionState, body=body)

    async def cancel_on_chain(self, order_id: str) -> actions.ActionState:
        """Cancel an order here at once, and on chain, so that nobody can ever settle it. Raises ApiError."""
        signer = await self._desk.ready()
        body = signer.cancel(bytes.fromhex(order_id[2:]))
        path = f"/v1/orders/{order_id}/cancel-on-chain"
        state = await self._http.request("POST", path, actions.ActionState, body=body)
        self._desk.nonces.ended(order_id)
        return state

    async def cancel_all_on_chain(self) -> actions.ActionState:
        """Cancel all orders here at once, and end the account's epoch on chain. Raises ApiError.

        Until that is confirmed, orders are refused with `epochBumpPending`.
        """
        signer = await self._desk.ready()
        body = signer.cancel_all((await self._desk.reading.account_state()).epoch)
        path = "/v1/account/cancel-all-on-chain"
        state = await self._http.request("POST", path, actions.ActionState, body=body)
        self._desk.nonces.ended_all()
        return state

    async def action(self, action_id: str) -> actions.ActionInfo:
        """How a transaction stands. Raises ApiError."""
        return await self._auth.request("GET", f"/v1/actions/{action_id}", actions.ActionInfo)

    async def actions(self, *, cursor: str | None = None, limit: int | None = None) -> actions.ActionPage:
        """Newest first."""
        query = page_of(cursor, limit)
        return await self._auth.request("GET", "/v1/actions", actions.ActionPage, query=query)
