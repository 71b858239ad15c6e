"""What an operator asks of a running service: how settlement stands, and how to resolve what is parked."""

from __future__ import annotations

import getpass
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from offchain.app.common import open_ingress, open_views
from offchain.config import Config
from offchain.domain.admin import Actor, HaltAll
from offchain.domain.commands import AdminAction, Administer, BatchRetry, Bust
from offchain.domain.errors import Rejection
from offchain.domain.results import Administered
from offchain.ports import CoreStatus, Ingress, Views
from offchain.process import StartRefused, SystemClock

TIMEOUT_MS = 5_000


class Refused(Exception):
    """The core refuses, or there is nothing to do; the message says why."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What an action works with."""

    ingress: Ingress
    views: Views
    status: CoreStatus
    now_ms: int


Action = Callable[[Desk], Awaitable[list[str]]]
"""Returns the lines to show. Raises Refused, Overloaded, Unavailable."""


async def with_core(config: Config, act: Action) -> list[str]:
    """Do `act` with the running core. Raises what `act` raises, StartRefused if there is no data folder."""
    if not config.data_dir.is_dir():
        raise StartRefused(f"data_dir: {config.data_dir} is not a folder")
    ingress, views = open_ingress(config), open_views(config)
    try:
        await ingress.start()
        return await act(Desk(ingress, views, await ingress.status(TIMEOUT_MS), SystemClock().now_ms()))
    finally:
        await ingress.close()
        await views.close()


async def show_status(desk: Desk) -> list[str]:
    """How settlement stands."""
    settlement = desk.status.settlement
    oldest = settlement.oldest_fill_ms
    age = f", oldest {(desk.now_ms - oldest) / 1000:.1f} s old" if oldest is not None else ""
    lines = [
        f"unsettled: {settlement.unsettled_fills} fills{age}, {settlement.pending_releases} withdrawal releases",
        f"last batch on chain: {settlement.last_batch or 'none'}",
    ]
    if settlement.batch:
        reason = f": {settlement.batch_reason}" if settlement.batch_reason else ""
        item = f" (item {settlement.parked_item})" if settlement.parked_item is not None else ""
        lines.append(f"batch {settlement.batch}: {settlement.batch_status}{reason}{item}")
    block = settlement.head_number if settlement.head_number >= 0 else "none"
    lines.append(f"newest block seen: {block}, confirmed: {max(settlement.confirmed, 0)}")
    lines += [f"market {symbol} is halted: {reason}" for symbol, reason in desk.status.halted]
    if settlement.diverged:
        lines.append(f"STOPPED, the chain contradicts the journal: {settlement.diverged}")
    if settlement.halt is not None:
        lines.append(f"all markets are halted: {settlement.halt}")
    if desk.status.draining:
        lines.append("the service is shutting down")
    return lines


async def retry(desk: Desk) -> list[str]:
    """Let the settler try the parked batch again."""
    number = _parked(desk.status)
    await _submit(desk.ingress, BatchRetry(number))
    return [f"batch {number} is tried again"]


def halting(reason: str) -> Action:
    """Halt all markets; cancels work."""

    async def act(desk: Desk) -> list[str]:
        await _submit(desk.ingress, HaltAll(True, reason))
        return [f"all markets are halted: {reason}"]

    return act


async def resume(desk: Desk) -> list[str]:
    """Let all markets trade that are not halted by themselves."""
    await _submit(desk.ingress, HaltAll(False, ""))
    return ["all markets trade, but those that are halted by themselves"]


def busting(fill_ids: Sequence[str], reason: str) -> Action:
    """Drop the named fills; without names what the parked batch failed for."""

    async def act(desk: Desk) -> list[str]:
        named = [_fill_id(text) for text in fill_ids] or await _parked_fills(desk)
        await _submit(desk.ingress, Bust(named, reason))
        return [f"busted 0x{fill_id.hex()}" for fill_id in named] + ["and every unsettled fill that depends on them"]

    return act


def _fill_id(text: str) -> bytes:
    try:
        fill_id = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        fill_id = b""
    if len(fill_id) != 32:
        raise Refused(f"--fill-id: {text!r} is not 32 bytes in hex")
    return fill_id


def _parked(status: CoreStatus) -> int:
    if not status.settlement.parked_batch:
        raise Refused("no batch is parked")
    return status.settlement.parked_batch


async def _parked_fills(desk: Desk) -> list[bytes]:
    number, item = _parked(desk.status), desk.status.settlement.parked_item
    batch = await desk.views.batch(number)
    if batch is None or batch.status != "parked":
        raise Refused(f"the views do not show batch {number} as parked yet: try again")
    first, last = (item, item) if item is not None else (batch.first, batch.last)
    rows = await desk.views.items(first, last - first + 1)
    return [row.trade.id for row in rows if row.trade is not None and row.item <= last]


def _user() -> str:
    """The system's name for who runs this, or its number where it has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


async def _submit(ingress: Ingress, action: AdminAction) -> None:
    """Act, with an entry in the audit log. Raises Refused."""
    actor = Actor("console", _user(), [], "", "")
    result = await ingress.submit(Administer(actor, action), TIMEOUT_MS)
    rejection = result.rejection if isinstance(result, Administered) else result
    if isinstance(rejection, Rejection):
        field = f" {rejection.param}" if rejection.param else ""
        raise Refused(f"refused: {rejection.code}{field}: {rejection.detail}")
