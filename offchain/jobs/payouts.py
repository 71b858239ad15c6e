"""Settles withdrawals that nobody releases before their window: USDC that is paid as CXPT.

Anyone may settle what is due, and it pays its owner; the operator does it so that a trader needs no ether for it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from offchain.chain.calldata import action_calldata
from offchain.chain.eip712 import keccak
from offchain.domain.actions import SettleWithdrawal
from offchain.domain.chain import USDC_AS_CXPT
from offchain.domain.commands import RequestAction
from offchain.domain.errors import Rejection
from offchain.ports import Chain, ChainUnavailable, Clock, Ingress, Overloaded, Unavailable, Views, WithdrawalRow

log = structlog.get_logger(__name__)

WINDOW_OPEN = "WindowOpen"


@dataclass(frozen=True, slots=True)
class PayoutSettings:
    poll_seconds: float = 60.0
    limit: int = 100
    """requests that are looked at each time, the oldest first"""
    submit_timeout_ms: int = 5_000


class Payouts:
    """Run by the worker: `run` until its task is canceled."""

    def __init__(
        self, chain: Chain, views: Views, ingress: Ingress, clock: Clock, settings: PayoutSettings | None = None
    ) -> None:
        self._chain = chain
        self._views = views
        self._ingress = ingress
        self._clock = clock
        self._settings = settings or PayoutSettings()

    async def run(self) -> None:
        """Look forever. What a retry may cure is logged and tried again."""
        while True:
            try:
                await self.step()
            except (ChainUnavailable, Overloaded, Unavailable) as error:
                log.warning("payouts wait", reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(self._settings.poll_seconds)

    async def step(self) -> None:
        """Ask for the settlement of what is due."""
        for row in await self._views.open_withdrawals(USDC_AS_CXPT, self._settings.limit):
            action = SettleWithdrawal(row.kind, row.asset)
            contract, data = action_calldata(row.account, action)
            failure = await self._chain.simulate(data, contract)
            if failure is not None and failure.error == WINDOW_OPEN:
                return  # and so are the windows of all later requests
            if failure is None:
                command = RequestAction(request_id(row), row.account, action, self._clock.now_ms())
                result = await self._ingress.submit(command, self._settings.submit_timeout_ms)
                if isinstance(result, Rejection):
                    log.warning("payout refused", account=row.account.hex(), code=result.code)


def request_id(row: WithdrawalRow) -> bytes:
    """The id of the settlement of this request, and of no other."""
    return keccak(b"settle" + row.account + bytes((row.kind,)) + row.asset.to_bytes(4, "big") + row.tx_hash)
