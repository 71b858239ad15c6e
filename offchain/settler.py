"""Settles what was matched: unsettled items become batches, batches become transactions.

Nothing but the chain and the views says how far settlement is, so a settler that starts again at any point goes on
where the last one stopped. A batch is journaled before it is sent; sending it again means the same number and the same
bytes. One transaction is under way at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

import structlog

from offchain.batching import (
    MAX_GROUP_FILLS,
    BatchLimits,
    BatchPlan,
    Flight,
    gas_limit,
    group_ends,
    is_before,
    item_at_fault,
    order_ids,
    plan_batch,
)
from offchain.catalogue import Catalogue
from offchain.chain.batch import build_batch, encode
from offchain.chain.calldata import release_calldata, settle_calldata
from offchain.domain.batch import Batch
from offchain.domain.commands import BatchClosed, BatchParked, BatchSent, Command
from offchain.domain.errors import Code, Rejection
from offchain.lane import Lane, Party
from offchain.metrics import WorkerMetrics
from offchain.ports import (
    BatchRow,
    Chain,
    ChainUnavailable,
    Clock,
    Failure,
    Ingress,
    ItemRow,
    Overloaded,
    Unavailable,
    Views,
    WithdrawalRow,
)
from offchain.rounds import replaced_round, rounds_of

log = structlog.get_logger(__name__)

ON_CHAIN = ("settled", "confirmed")

MAX_HEAD_AGE_MS = 300_000
"""A head older than this is not the clock of the next block: the chain makes blocks only when it has transactions."""


@dataclass(frozen=True, slots=True)
class SettlerSettings:
    limits: BatchLimits = field(default_factory=BatchLimits)
    batch_seconds: float = 30.0
    """age of the oldest fill at which a batch is closed although it is not full"""
    poll_seconds: float = 0.25
    retry_seconds: float = 5.0
    """pause after a cause that only time cures: node, fees, a halt"""
    resend_seconds: float = 60.0
    """a transaction without a receipt for so long is sent again, with higher fees"""
    release_retry_seconds: float = 60.0
    """pause before a release that failed is tried again"""
    max_reverts: int = 3
    """reverted transactions of one batch, each of which had succeeded in simulation, before it is parked"""
    view_timeout_seconds: float = 10.0
    """how long the views may take to show what was journaled"""
    drain_quiet_seconds: float = 1.0
    """for so long nothing may have been pending before everything counts as settled; longer than the views may lag"""
    submit_timeout_ms: int = 5_000


class Settler:
    """Run by the worker: `run` until `stop`, `drain` before the end."""

    def __init__(
        self,
        chain: Chain,
        views: Views,
        ingress: Ingress,
        catalogue: Catalogue,
        clock: Clock,
        settings: SettlerSettings | None = None,
        metrics: WorkerMetrics | None = None,
        lane: Lane | None = None,
    ) -> None:
        """`catalogue` follows the journal like the views; `lane` is shared with whoever else sends as the operator."""
        self._chain = chain
        self._views = views
        self._ingress = ingress
        self._catalogue = catalogue
        self._clock = clock
        self._settings = settings or SettlerSettings()
        self._metrics = metrics or WorkerMetrics()
        self._lane = lane or Lane(clock)
        self._flight: Flight | None = None
        self._reverts: dict[int, int] = {}
        self._not_before_ms = 0
        self._last_sent = b""
        self._release_not_before: dict[int, int] = {}
        self._failing_releases: set[int] = set()
        self._statuses: dict[int, int] = {}
        self._draining: asyncio.Future[bool] | None = None
        self._resting_since_ms: int | None = None
        self._is_stopping = False
        self._reported: object = None

    # -----------------------------------------------------------------------------------------------------------------
    # Life
    # -----------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Settle until `stop`. Causes that a retry may cure are logged and retried; others are raised."""
        while not self._is_stopping:
            try:
                pause = await self.step()
            except (ChainUnavailable, Overloaded, Unavailable) as error:
                self._report("settlement waits", reason=f"{type(error).__name__}: {error}")
                pause = self._settings.retry_seconds
            if pause:
                await asyncio.sleep(pause)

    def stop(self) -> None:
        """Let `run` return after its present step."""
        self._is_stopping = True

    async def drain(self, seconds: float) -> bool:
        """Settle what is pending without waiting for more, at most `seconds`; whether everything is on chain.

        `run` must be running and the views must be kept up to date. False at once if a parked batch stands in the way.
        """
        self._resting_since_ms = None
        self._draining = asyncio.get_running_loop().create_future()
        try:
            return await asyncio.wait_for(asyncio.shield(self._draining), seconds)
        except TimeoutError:
            return False

    async def step(self) -> float:
        """Do the next thing and return the seconds to wait before the one after it."""
        if self._flight is not None and await self._is_in_flight(self._flight):
            return self._settings.poll_seconds
        if (pause_ms := self._not_before_ms - self._clock.now_ms()) > 0:
            return pause_ms / 1000
        number = await self._chain.next_batch()
        if number > 1:
            previous = await self._views.batch(number - 1)
            if previous is None or previous.status not in ON_CHAIN:
                # The chain is ahead of the views: the indexer still has to see the batch.
                return self._settings.poll_seconds
        row = await self._views.batch(number)
        if row is None or row.status == "reopened":
            return await self._next(number)
        if row.status == "parked":
            self._report("settlement stands", batch=number, reason=row.reason)
            self._end_drain(False)
            return self._settings.poll_seconds
        if row.status in ON_CHAIN:
            # The views are ahead of the chain: a reorganisation that the indexer has not seen, or a node that lags.
            return self._settings.poll_seconds
        if row.status == "sent" and row.tx_hash != self._last_sent:
            # Sent before this settler started.
            self._last_sent = row.tx_hash
            self._lane.enter(Party.SETTLEMENT)
            self._flight = Flight(row.tx_hash, row.updated_ms, row.number)
            return 0
        return await self._in_lane(self._advance(row))

    async def _in_lane(self, sending: Coroutine[None, None, float]) -> float:
        """Do what may send a transaction, if nobody else's is under way; the lane is kept while ours is."""
        if not self._lane.enter(Party.SETTLEMENT):
            sending.close()
            return self._settings.poll_seconds
        try:
            return await sending
        finally:
            if self._flight is None:
                self._lane.leave(Party.SETTLEMENT)

    # -----------------------------------------------------------------------------------------------------------------
    # What comes next
    # -----------------------------------------------------------------------------------------------------------------

    async def _next(self, number: int) -> float:
        """No batch is closed: pay a release that is due, else close a batch if one is due."""
        limit = self._settings.limits.fills + MAX_GROUP_FILLS + 1
        items = await self._views.items(1, limit)
        release = self._due_release(items)
        if release is not None:
            return await self._in_lane(self._release(release))
        plan = plan_batch(items, self._settings.limits, self._catalogue.fees.at, self._catalogue.derivatives)
        if not plan.items:
            if all(item.item in self._failing_releases for item in items):
                self._rest()
            return self._settings.poll_seconds
        self._resting_since_ms = None
        if not self._is_due(plan):
            return self._settings.poll_seconds
        await self._close(number, plan.items, await self._matched_at(number, plan.items))
        return 0

    def _is_due(self, plan: BatchPlan) -> bool:
        statuses = {listing.market.id: listing.status for listing in self._catalogue.markets}
        has_status_changed = any(self._statuses.get(market, status) != status for market, status in statuses.items())
        self._statuses = statuses
        trade = plan.items[0].trade
        assert trade is not None  # plans hold fills only
        age_ms = self._clock.now_ms() - trade.time_ms
        is_old = age_ms >= self._settings.batch_seconds * 1000
        return plan.is_full or self._draining is not None or has_status_changed or is_old

    async def _matched_at(self, number: int, items: tuple[ItemRow, ...]) -> int:
        """The earliest match time in the batch, as the chain can accept it.

        It may not be before the previous batch's, nor after the block in which the batch is mined, whose clock may be a
        few seconds behind ours: where the newest block is older than the match, its time is taken, but none before the
        fee or the oracles' rounds that were matched begin.
        """
        earliest = min(item.trade.time_ms for item in items if item.trade is not None) // 1000
        previous = await self._views.batch(number - 1) if number > 1 else None
        stored = previous.matched_at if previous is not None else 0
        head = await self._chain.head_time()
        is_head_fresh = self._clock.now_ms() - head * 1000 <= MAX_HEAD_AGE_MS
        fee_change_at = self._catalogue.fees.at
        begun = 0 if is_before(items[0], fee_change_at) else fee_change_at
        rounds = (conversion.updated_at for conversion in rounds_of(items).values())
        return max(min(earliest, head) if is_head_fresh else earliest, stored, begun, *rounds)

    async def _close(self, number: int, items: tuple[ItemRow, ...], matched_at: int) -> None:
        """Journal the batch and wait until the views show it."""
        command = BatchClosed(number, items[0].item, items[-1].item, matched_at)
        await self._submit(command)
        expected = (command.first, command.last, command.matched_at)
        await self._until_shown(number, lambda row: (row.first, row.last, row.matched_at) == expected)

    # -----------------------------------------------------------------------------------------------------------------
    # A closed batch
    # -----------------------------------------------------------------------------------------------------------------

    async def _advance(self, row: BatchRow) -> float:
        """Simulate and send a closed batch."""
        items = await self._items_of(row)
        if not items or items[0].item != row.first or items[-1].item != row.last:
            # Busted or settled meanwhile; the views will show what became of the batch.
            return self._settings.poll_seconds
        try:
            data = self._calldata(row, items)
            gas: int | None = gas_limit(items, self._catalogue.derivatives)
            if self._reverts.get(row.number):
                gas = None  # should that have been too little, the node knows better
        except ValueError as error:
            return await self._park(row, f"cannot be encoded: {error}", None)
        failure = await self._chain.simulate(data, gas=gas)
        if failure is not None:
            # Should the batch only need more gas than its model says, which an inner call does not tell, the node
            # estimates it.
            gas, failure = None, await self._chain.simulate(data)
        if failure is not None:
            return await self._handle(row, items, failure)
        replaced = await replaced_round(self._chain, self._catalogue, row, items)
        if replaced is not None:
            return await self._park(row, "the oracle's round has another price than was matched", replaced)
        if self._reverts.get(row.number, 0) >= self._settings.max_reverts:
            return await self._park(row, "reverts on chain, succeeds in simulation", None)
        tx_hash = await self._chain.send("Engine", data, gas=gas)
        trades = [item.trade for item in items if item.trade is not None]
        self._flight = Flight(tx_hash, self._clock.now_ms(), row.number, len(trades), trades[0].time_ms)
        self._last_sent = tx_hash
        self._metrics.batches_sent.inc()
        log.info("batch sent", batch=row.number, first=row.first, last=row.last, fills=len(items), tx=tx_hash.hex())
        log.debug("batch holds", batch=row.number, orders=order_ids(items))
        await self._submit(BatchSent(row.number, tx_hash))
        return self._settings.poll_seconds

    async def _items_of(self, row: BatchRow) -> list[ItemRow]:
        items = await self._views.items(row.first, row.last - row.first + 1)
        return [item for item in items if item.trade is not None and item.item <= row.last]

    def _calldata(self, row: BatchRow, items: list[ItemRow]) -> bytes:
        return settle_calldata(encode(self._build(row, items)))

    def _build(self, row: BatchRow, items: list[ItemRow]) -> Batch:
        """Raises Unavailable if the catalogue lags behind the views, ValueError if the items make no batch."""
        markets = {listing.market.id: listing.market for listing in self._catalogue.markets}
        unknown = {item.trade.market for item in items if item.trade is not None} - markets.keys()
        if unknown:
            raise Unavailable(f"markets {sorted(unknown)} are not in the catalogue yet")
        rounds = {market: conversion.round for market, conversion in rounds_of(items).items()}
        return build_batch(row.number, row.matched_at, items, markets, rounds)

    async def _handle(self, row: BatchRow, items: list[ItemRow], failure: Failure) -> float:
        """The batch would revert: wait, date it anew, or park it."""
        if failure.error == "MatchedAtOutOfRange":
            matched_at, lowest, highest = (int(argument) for argument in failure.args)
            if matched_at < lowest:
                # Past its deadline. A third of the range leaves time until it would be past the new one.
                later = lowest + (highest - lowest) // 3
                fee_change_at = self._catalogue.fees.at
                if is_before(items[0], fee_change_at):
                    if lowest >= fee_change_at:
                        return await self._park(row, f"was matched before the fee changed at {fee_change_at}", None)
                    later = min(later, fee_change_at - 1)
                log.warning("batch dated anew", batch=row.number, matched_at=matched_at, later=later)
                await self._close(row.number, tuple(items), later)
                return 0
        if failure.is_global:
            self._report("settlement waits", batch=row.number, reason=str(failure))
            return self._settings.retry_seconds
        return await self._park(row, str(failure), await self._find(row, items, failure))

    async def _find(self, row: BatchRow, items: list[ItemRow], failure: Failure) -> int | None:
        """The item at fault: by the error's index, else the end of the shortest prefix of the batch that fails."""
        named = item_at_fault(self._build(row, items), items, failure)
        if named is not None:
            return named
        ends = group_ends(items)
        low, high = 0, len(ends) - 1  # the prefix up to ends[high] fails
        while low < high:
            middle = (low + high) // 2
            result = await self._chain.simulate(self._calldata(row, items[: ends[middle]]))
            if result is not None and result.is_global:
                raise ChainUnavailable(f"while looking for what fails in batch {row.number}: {result}")
            if result is None:
                low = middle + 1
            else:
                high = middle
        return items[ends[high] - 1].item

    async def _park(self, row: BatchRow, reason: str, item: int | None) -> float:
        self._metrics.batches_parked.inc()
        log.error("batch parked", batch=row.number, reason=reason, item=item)
        self._reverts.pop(row.number, None)
        await self._submit(BatchParked(row.number, reason, item))
        await self._until_shown(row.number, lambda shown: shown.status == "parked")
        return self._settings.poll_seconds

    # -----------------------------------------------------------------------------------------------------------------
    # Releases of withdrawals
    # -----------------------------------------------------------------------------------------------------------------

    def _due_release(self, items: list[ItemRow]) -> WithdrawalRow | None:
        """The first release before all fills that did not fail a moment ago; one that failed holds up nobody else."""
        front = []
        for item in items:
            if item.withdrawal is None:
                break
            front.append(item.withdrawal)
        known = {item.item for item in items}
        self._failing_releases &= known
        self._release_not_before = {item: at for item, at in self._release_not_before.items() if item in known}
        now_ms = self._clock.now_ms()
        return next((release for release in front if self._release_not_before.get(release.item, 0) <= now_ms), None)

    async def _release(self, release: WithdrawalRow) -> float:
        retry_ms = int(self._settings.release_retry_seconds * 1000)
        self._release_not_before[release.item] = self._clock.now_ms() + retry_ms
        data = release_calldata(release.account, release.kind, release.asset, release.amount)
        failure = await self._chain.simulate(data, "WithdrawalQueue")
        if failure is not None:
            # Changed, canceled or settled by its owner: the core drops the item when it sees the log. A receiver that
            # refuses the transfer keeps the request open; forced settlement remains.
            self._failing_releases.add(release.item)
            log.warning("release fails", item=release.item, account=release.account.hex(), reason=str(failure))
            return 0
        tx_hash = await self._chain.send("WithdrawalQueue", data)
        self._flight = Flight(tx_hash, self._clock.now_ms(), 0)
        log.info("withdrawal released", item=release.item, account=release.account.hex(), tx=tx_hash.hex())
        return self._settings.poll_seconds

    # -----------------------------------------------------------------------------------------------------------------
    # Helpers
    # -----------------------------------------------------------------------------------------------------------------

    async def _is_in_flight(self, flight: Flight) -> bool:
        receipt = await self._chain.receipt(flight.tx_hash)
        if receipt is None:
            is_stuck = self._clock.now_ms() - flight.sent_ms >= self._settings.resend_seconds * 1000
            if is_stuck:
                self._metrics.resent.inc()
                log.warning("transaction without receipt is sent again", tx=flight.tx_hash.hex())
                self._flight = None
            return not is_stuck
        self._flight = None
        self._lane.leave(Party.SETTLEMENT)
        if receipt.succeeded and flight.fills:
            self._metrics.mined(flight.fills, receipt.gas_used, (self._clock.now_ms() - flight.matched_ms) / 1000)
        if not receipt.succeeded:
            self._metrics.reverted.inc()
            log.warning("transaction reverted", tx=flight.tx_hash.hex(), batch=flight.batch)
            self._reverts = {flight.batch: self._reverts.get(flight.batch, 0) + 1}
            # What simulation did not see, such as a block whose clock is behind ours, may pass by itself.
            self._not_before_ms = self._clock.now_ms() + int(self._settings.retry_seconds * 1000)
        return False

    async def _submit(self, command: Command) -> None:
        """Raises Unavailable if the core refuses: the views it was decided from are behind."""
        result = await self._ingress.submit(command, self._settings.submit_timeout_ms)
        if isinstance(result, Rejection) and result.code != Code.REPEATED:
            raise Unavailable(f"{type(command).__name__} refused: {result.code} {result.param}: {result.detail}")
        self._reported = None

    async def _until_shown(self, number: int, is_shown: Callable[[BatchRow], bool]) -> None:
        """Wait until the views show what was journaled of a batch. Raises Unavailable if they take too long."""
        deadline_ms = self._clock.now_ms() + int(self._settings.view_timeout_seconds * 1000)
        while (row := await self._views.batch(number)) is None or not is_shown(row):
            if self._clock.now_ms() >= deadline_ms:
                raise Unavailable(f"the views do not show batch {number} as it was journaled")
            await asyncio.sleep(self._settings.poll_seconds / 10)

    def _rest(self) -> None:
        """Nothing is pending. A drain believes it when that has lasted: the last matches may still be on their way."""
        now_ms = self._clock.now_ms()
        if self._resting_since_ms is None:
            self._resting_since_ms = now_ms
        if now_ms - self._resting_since_ms >= self._settings.drain_quiet_seconds * 1000:
            self._end_drain(True)

    def _end_drain(self, is_settled: bool) -> None:
        if self._draining is not None and not self._draining.done():
            self._draining.set_result(is_settled)

    def _report(self, event: str, **facts: object) -> None:
        """Log a cause of waiting once, not at every attempt."""
        self._metrics.waits.inc()
        if self._reported != (event, facts):
            self._reported = (event, facts)
            log.warning(event, **facts)
