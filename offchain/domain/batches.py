"""Batches on their way to the chain: closed, sent, parked, retried, and settled or put back."""

from __future__ import annotations

from itertools import islice

from offchain.domain import booking
from offchain.domain.account import Balance
from offchain.domain.blocks import BatchEntry
from offchain.domain.chainstate import cover, diverge
from offchain.domain.clearing import fee_down
from offchain.domain.commands import BatchClosed, BatchParked, BatchRetry, BatchSent, BatchSettled
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import Trade
from offchain.domain.outbox import MAX_BATCH_FILLS, Batch, Outbox, ParkedHalt, SettledBatch
from offchain.domain.results import Done
from offchain.domain.state import State, Turn


def close(state: State, turn: Turn, command: BatchClosed) -> Done | Rejection:
    """Fix the next batch, or fix it anew while nothing of its number is on chain."""
    outbox = state.outbox
    if command.number <= outbox.last_batch:
        return Rejection(Code.REPEATED, "number", f"batch {command.number} is on chain")
    if command.number != outbox.last_batch + 1:
        return Rejection(Code.UNKNOWN_BATCH, "number", f"the next batch is {outbox.last_batch + 1}")
    current = outbox.batch
    if current is not None and current.status == "parked":
        return Rejection(Code.INVALID_BATCH, "number", f"batch {current.number} is parked: retry it or bust its fills")
    batch = Batch(command.number, command.first, command.last, command.matched_at)
    if current is not None and current.status != "retried" and _same_range(current, batch):
        return Rejection(Code.REPEATED, "number", f"batch {batch.number} is closed with these items")
    rejection = _invalid_range(outbox, batch) or _other_fee(state, batch) or _other_round(outbox, batch)
    if rejection is not None:
        return rejection
    outbox.batch = batch
    turn.events.append(batch.update("closed"))
    return Done()


def _same_range(one: Batch, other: Batch) -> bool:
    return (one.first, one.last, one.matched_at) == (other.first, other.last, other.matched_at)


def _invalid_range(outbox: Outbox, batch: Batch) -> Rejection | None:
    oldest = outbox.oldest_fill()
    if oldest is None:
        return Rejection(Code.INVALID_BATCH, "first", "no fill is unsettled")
    if batch.first != oldest.item:
        return Rejection(Code.INVALID_BATCH, "first", f"the oldest unsettled fill is item {oldest.item}")
    if batch.last not in outbox.fills:
        return Rejection(Code.INVALID_BATCH, "last", f"item {batch.last} is not an unsettled fill")
    if batch.matched_at < outbox.last_matched_at:
        detail = f"the batch before was matched at {outbox.last_matched_at}"
        return Rejection(Code.INVALID_BATCH, "matchedAt", detail)
    if any(batch.first < item < batch.last for item in outbox.releases):
        return Rejection(Code.INVALID_BATCH, "last", "a withdrawal release lies between these fills")
    fills = list(islice(outbox.fills_from_oldest(), MAX_BATCH_FILLS + 1))
    if fills[-1].item < batch.last or (len(fills) > MAX_BATCH_FILLS and fills[-1].item == batch.last):
        return Rejection(Code.INVALID_BATCH, "last", f"a batch holds at most {MAX_BATCH_FILLS} fills")
    following = next((fill for fill in fills if fill.item > batch.last), None)
    final = outbox.fills[batch.last]
    if following is not None and following.taker is final.taker and final.taker.order.is_immediate:
        return Rejection(Code.INVALID_BATCH, "last", "the fills of an IOC or FOK order belong into one batch")
    return None


def has_fee_of(state: State, trade: Trade, second: int) -> bool:
    """Whether the chain, if it takes `second` for the match time, takes the fees that were matched."""
    fee = fee_down(trade.notional, state.fees.fee_at(second))
    return trade.maker_fee == trade.taker_fee == fee


def _other_fee(state: State, batch: Batch) -> Rejection | None:
    for fill in state.outbox.fills_from_oldest():
        if fill.item > batch.last:
            return None
        if not has_fee_of(state, fill.trade, batch.matched_at):
            detail = f"item {fill.item} was matched at another fee than that of {batch.matched_at}"
            return Rejection(Code.INVALID_BATCH, "matchedAt", detail)
    return None


def _other_round(outbox: Outbox, batch: Batch) -> Rejection | None:
    """A market's fills are paid at one round in a batch, and it has come by the batch's match time."""
    rounds: dict[int, int] = {}
    for fill in outbox.fills_from_oldest():
        if fill.item > batch.last:
            return None
        conversion = fill.trade.conversion
        if conversion is None:
            continue
        if rounds.setdefault(fill.trade.market, conversion.round) != conversion.round:
            return Rejection(Code.INVALID_BATCH, "last", f"item {fill.item} was matched at another round")
        if conversion.updated_at > batch.matched_at:
            detail = f"item {fill.item} was matched at a round of {conversion.updated_at}"
            return Rejection(Code.INVALID_BATCH, "matchedAt", detail)
    return None


def _current(outbox: Outbox, number: int) -> Batch | Rejection:
    if number <= outbox.last_batch:
        return Rejection(Code.REPEATED, "number", f"batch {number} is on chain")
    if outbox.batch is None or outbox.batch.number != number:
        return Rejection(Code.UNKNOWN_BATCH, "number", f"batch {number} is not closed")
    return outbox.batch


def sent(state: State, turn: Turn, command: BatchSent) -> Done | Rejection:
    """Note the transaction that carries the closed batch."""
    batch = _current(state.outbox, command.number)
    if isinstance(batch, Rejection):
        return batch
    if batch.status == "parked":
        return Rejection(Code.INVALID_BATCH, "number", f"batch {batch.number} is parked")
    if batch.status == "sent" and batch.tx_hash == command.tx_hash:
        return Rejection(Code.REPEATED, "txHash", "this transaction is known")
    batch.status, batch.tx_hash = "sent", command.tx_hash
    turn.events.append(batch.update("sent"))
    return Done()


def park(state: State, turn: Turn, command: BatchParked) -> Done | Rejection:
    """Stop settlement before the batch, and the markets of what is at fault."""
    outbox = state.outbox
    batch = _current(outbox, command.number)
    if isinstance(batch, Rejection):
        return batch
    if batch.status == "parked":
        return Rejection(Code.REPEATED, "number", f"batch {batch.number} is parked")
    fills = [fill for fill in outbox.fills_from_oldest() if batch.first <= fill.item <= batch.last]
    if command.item is not None:
        fills = [fill for fill in fills if fill.item == command.item]
        if not fills:
            return Rejection(Code.INVALID_BATCH, "item", f"item {command.item} is not a fill of batch {batch.number}")
    batch.status, batch.reason = "parked", command.reason
    turn.events.append(batch.update("parked"))
    markets = sorted(dict.fromkeys(fill.trade.market for fill in fills))
    resume(state, turn, [market for market, halt in outbox.halts.items() if market not in markets])
    for market in markets:
        outbox.halts[market] = ParkedHalt(batch.number, command.item, command.reason)
        turn.events.append(state.market_update(market))
    return Done()


def retry(state: State, turn: Turn, command: BatchRetry) -> Done | Rejection:
    """Let the settler try a parked batch again; its markets wait for the outcome."""
    batch = _current(state.outbox, command.number)
    if isinstance(batch, Rejection):
        return batch
    if batch.status == "retried":
        return Rejection(Code.REPEATED, "number", f"batch {batch.number} is being retried")
    if batch.status != "parked":
        return Rejection(Code.INVALID_BATCH, "number", f"batch {batch.number} is not parked")
    batch.status, batch.reason = "retried", ""
    turn.events.append(batch.update("retried"))
    return Done()


def resume(state: State, turn: Turn, markets: list[int]) -> None:
    """Lift the halts that a parked batch put on markets."""
    for market in markets:
        del state.outbox.halts[market]
        turn.events.append(state.market_update(market))


def settle(state: State, turn: Turn, log: BatchSettled) -> BatchEntry | None:
    """The chain settled a batch: its fills must be the next ones. None if they are not, and nothing is changed then."""
    outbox = state.outbox
    if log.number != outbox.last_batch + 1:
        diverge(state, turn, log.number, f"batch {log.number} was settled, expected was {outbox.last_batch + 1}")
        return None
    fills = list(islice(outbox.fills_from_oldest(), len(log.fill_ids)))
    if not fills or [fill.trade.id for fill in fills] != log.fill_ids:
        diverge(state, turn, log.number, f"batch {log.number} settled fills that are not the next ones")
        return None
    changed: dict[Balance, None] = {}
    positions, pools = booking.settle(state, turn, fills)
    for fill in fills:
        del outbox.fills[fill.item]
        for balance, change in state.changes(fill):
            balance.settled += change
            balance.unsettled -= change
            changed[balance] = None
    turn.touched |= changed
    batch = SettledBatch(log.number, log.matched_at, log.tx_hash, log.gas_used, fills)
    entry = BatchEntry(log.number, outbox.last_matched_at, positions, pools)
    outbox.settled[log.number] = batch
    outbox.last_batch, outbox.last_matched_at = log.number, log.matched_at
    outbox.batch = None
    turn.events.append(batch.update("settled"))
    resume(state, turn, list(outbox.halts))
    for balance in changed:
        cover(state, turn, balance)
    difference = booking.mismatch(state, log)
    if difference:
        diverge(state, turn, log.number, difference)
    return entry


def put_back(state: State, turn: Turn, entry: BatchEntry) -> None:
    """The chain forgot a settled batch: its fills are unsettled again, and no batch is closed."""
    outbox = state.outbox
    if outbox.batch is not None:
        turn.events.append(outbox.batch.update("reopened"))
        outbox.batch = None
    batch = outbox.settled.pop(entry.number)
    booking.restore(state, turn, entry.positions, entry.pools)
    for fill in batch.fills:
        for balance, change in state.changes(fill):
            balance.settled -= change
            balance.unsettled += change
            turn.touched[balance] = None
    outbox.put_back(batch.fills)
    outbox.last_batch, outbox.last_matched_at = entry.number - 1, entry.previous_matched_at
    turn.events.append(batch.update("reopened"))
