"""Sends the transactions that the core has taken for traders and administrators, the oldest first.

A transaction is journaled before the node gets it, so that at every start all that may be mined is known. One is under
way at a time, see `lane.py`. What is mined ends once it is confirmed: until then a reorganisation may bring it back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from offchain.chain.calldata import action_calldata
from offchain.domain.actions import ActionStatus, DueAction, kind_of
from offchain.domain.commands import ActionEnded, ActionSent, Command
from offchain.domain.errors import Code, Rejection
from offchain.lane import Lane, Party
from offchain.metrics import WorkerMetrics
from offchain.ports import Chain, ChainUnavailable, Clock, Failure, Ingress, Overloaded, Receipt, Unavailable

log = structlog.get_logger(__name__)

OWNER_ERRORS = frozenset({"OwnableUnauthorizedAccount", "NotGuardian"})
"""Of calls that are the owner's or the guardian's, which the operator need not be."""


@dataclass(frozen=True, slots=True)
class RelaySettings:
    confirmations: int = 1
    """blocks, counting its own, after which a transaction is final"""
    poll_seconds: float = 1.0
    retry_seconds: float = 5.0
    """pause after a cause that only time cures: node, fees, the operator's balance"""
    resend_seconds: float = 60.0
    """a transaction without a receipt for so long is sent again, with higher fees"""
    submit_timeout_ms: int = 5_000


@dataclass(frozen=True, slots=True)
class _Flight:
    number: int
    """of the action's request, by which all of the following go"""
    tx_hash: bytes
    sent_ms: int


class Relay:
    """Run by the worker: `run` until its task is canceled."""

    def __init__(
        self,
        chain: Chain,
        ingress: Ingress,
        due: Callable[[], Sequence[DueAction]],
        lane: Lane,
        clock: Clock,
        settings: RelaySettings | None = None,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        """`due`: pending actions as the journal, or a replica that follows it, has them."""
        self._chain = chain
        self._ingress = ingress
        self._due = due
        self._lane = lane
        self._clock = clock
        self._settings = settings or RelaySettings()
        self._metrics = metrics or WorkerMetrics()
        self._flight: _Flight | None = None
        self._sent: dict[int, list[bytes]] = {}
        """hashes by action, which the replica may not show yet"""
        self._lost: set[int] = set()
        """actions whose newest transaction will not be mined"""
        self._over: set[int] = set()
        """actions whose end is journaled, which the replica may not show yet"""
        self._mined: dict[int, Receipt] = {}
        """by action, as of the head that was looked at last"""
        self._checked_head = -1
        self._blocked = ""
        self._reported = ""

    async def run(self) -> None:
        """Send forever. What a retry may cure is logged once and tried again."""
        while True:
            try:
                pause = await self.step()
            except (ChainUnavailable, Overloaded, Unavailable) as error:
                self._report(f"{type(error).__name__}: {error}")
                pause = self._settings.retry_seconds
            await asyncio.sleep(pause)

    async def step(self) -> float:
        """Do the next thing and return the seconds to wait before the one after it."""
        due = self._look()
        if self._flight is not None and await self._is_in_flight(self._flight):
            return self._settings.poll_seconds
        if due:
            await self._confirm(due)
            due = [action for action in self._look() if action.number not in self._mined]
        if any(self._is_waiting(action) for action in due):
            return self._settings.poll_seconds
        self._blocked = ""
        for action in due:
            if not action.is_ready:
                continue
            if not self._lane.enter(Party.RELAY, self._clock.now_ms() - action.requested_ms):
                return self._settings.poll_seconds
            if await self._advance(action):
                return self._settings.poll_seconds
        self._lane.leave(Party.RELAY)
        if self._blocked:
            self._report(self._blocked)
            return self._settings.retry_seconds
        return self._settings.poll_seconds

    # -----------------------------------------------------------------------------------------------------------------
    # What there is
    # -----------------------------------------------------------------------------------------------------------------

    def _look(self) -> list[DueAction]:
        """Pending actions, without those whose end is journaled already."""
        due = self._due()
        numbers = {action.number for action in due}
        self._over &= numbers
        self._lost &= numbers
        self._sent = {known: hashes for known, hashes in self._sent.items() if known in numbers}
        self._mined = {known: receipt for known, receipt in self._mined.items() if known in numbers}
        due = [action for action in due if action.number not in self._over]
        oldest_ms = min((action.requested_ms for action in due), default=None)
        self._metrics.actions_pending.set(len(due))
        self._metrics.oldest_action.set(0 if oldest_ms is None else max(0, self._clock.now_ms() - oldest_ms) / 1000)
        return due

    def _hashes(self, action: DueAction) -> list[bytes]:
        """Its transactions, the newest first."""
        return list(dict.fromkeys([*reversed(self._sent.get(action.number, [])), *reversed(action.hashes)]))

    async def _receipt(self, action: DueAction) -> Receipt | None:
        """Of the one of its transactions that was mined."""
        for tx_hash in self._hashes(action):
            receipt = await self._chain.receipt(tx_hash)
            if receipt is not None:
                return receipt
        return None

    async def _confirm(self, due: list[DueAction]) -> None:
        """After a new block: end what is final by it, and see what is not on chain any more."""
        head = await self._chain.head_number()
        if head == self._checked_head:
            return
        mined = {}
        for action in due:
            receipt = await self._receipt(action)
            if receipt is None:
                continue
            mined[action.number] = receipt
            if receipt.block_number + self._settings.confirmations - 1 <= head:
                status = ActionStatus.SETTLED if receipt.succeeded else ActionStatus.FAILED
                reason = "" if receipt.succeeded else f"the transaction was reverted in block {receipt.block_number}"
                self._metrics.actions_gas.labels(kind_of(action.action)).inc(receipt.gas_used)
                await self._end(action, ActionEnded(action.id, status, reason, receipt.tx_hash))
        self._mined, self._checked_head = mined, head

    def _is_waiting(self, action: DueAction) -> bool:
        """Whether a transaction that is not followed yet may still be mined; it is followed from now on."""
        hashes = self._hashes(action)
        is_fresh = self._clock.now_ms() - action.sent_ms < self._settings.resend_seconds * 1000
        if not hashes or action.number in self._lost or not is_fresh:
            return False
        if self._flight is None and self._lane.enter(Party.RELAY):
            self._flight = _Flight(action.number, hashes[0], action.sent_ms)
        return True

    async def _is_in_flight(self, flight: _Flight) -> bool:
        receipt = await self._chain.receipt(flight.tx_hash)
        if receipt is not None:
            self._mined[flight.number] = receipt
            self._flight = None
            self._lane.leave(Party.RELAY)
            return False
        is_stuck = self._clock.now_ms() - flight.sent_ms >= self._settings.resend_seconds * 1000
        if is_stuck or not self._lane.holds(Party.RELAY):
            log.warning("transaction is sent again", tx=flight.tx_hash.hex(), stuck=is_stuck)
            self._metrics.resent.inc()
            self._lost.add(flight.number)
            self._flight = None
        return self._flight is not None

    # -----------------------------------------------------------------------------------------------------------------
    # Sending
    # -----------------------------------------------------------------------------------------------------------------

    async def _advance(self, action: DueAction) -> bool:
        """Simulate and send; whether a transaction is under way. What would be refused ends and holds up nobody."""
        try:
            contract, data = action_calldata(action.account, action.action)
        except ValueError as error:
            await self._end(action, ActionEnded(action.id, ActionStatus.REFUSED, f"cannot be encoded: {error}"))
            return False
        failure = await self._chain.simulate(data, contract)
        if failure is None:
            await self._send(action, contract, data)
            return True
        if failure.is_global:
            # Such as the operator's role, which not all actions need: the next may go.
            self._blocked = f"{kind_of(action.action)} would fail: {failure}"
            return False
        receipt = await self._receipt(action)
        if receipt is not None:
            # It is what has happened already that refuses it now.
            self._mined[action.number] = receipt
            return False
        await self._end(action, self._refusal(action, failure, contract, data))
        return False

    def _refusal(self, action: DueAction, failure: Failure, contract: str, data: bytes) -> ActionEnded:
        if failure.error in OWNER_ERRORS:
            target = self._chain.address(contract)
            return ActionEnded(action.id, ActionStatus.NEEDS_OWNER, str(failure), target=target, data=data)
        return ActionEnded(action.id, ActionStatus.REFUSED, str(failure))

    async def _send(self, action: DueAction, contract: str, data: bytes) -> None:
        async def announce(tx_hash: bytes) -> None:
            await self._submit(ActionSent(action.id, tx_hash))
            self._sent.setdefault(action.number, []).append(tx_hash)

        try:
            tx_hash = await self._chain.send(contract, data, announce)
        except BaseException:
            self._lost.add(action.number)
            raise
        self._lost.discard(action.number)
        self._flight = _Flight(action.number, tx_hash, self._clock.now_ms())
        self._metrics.actions_sent.labels(kind_of(action.action)).inc()
        log.info("action sent", kind=kind_of(action.action), id=action.id.hex(), tx=tx_hash.hex())
        self._reported = ""

    async def _end(self, action: DueAction, command: ActionEnded) -> None:
        await self._submit(command)
        self._over.add(action.number)
        self._metrics.actions_ended.labels(kind_of(action.action), command.status.value).inc()
        log.info(
            "action ended",
            kind=kind_of(action.action),
            id=action.id.hex(),
            status=command.status.value,
            reason=command.reason,
        )

    async def _submit(self, command: Command) -> None:
        """Raises Unavailable if the core refuses: what it was decided from is behind."""
        result = await self._ingress.submit(command, self._settings.submit_timeout_ms)
        if isinstance(result, Rejection) and result.code != Code.REPEATED:
            raise Unavailable(f"{type(command).__name__} refused: {result.code} {result.param}: {result.detail}")

    def _report(self, reason: str) -> None:
        """Let settlement have the lane, and log a cause of waiting once, not at every attempt."""
        if self._flight is None:
            self._lane.leave(Party.RELAY)
        if self._reported != reason:
            self._reported = reason
            log.warning("actions wait", reason=reason)
