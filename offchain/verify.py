"""Audit of a data folder: the journal is executed again from its first command and compared with everything stored."""

from __future__ import annotations

from dataclasses import dataclass, field

from offchain.domain.core import Core
from offchain.domain.events import BalanceUpdate
from offchain.domain.order import Address
from offchain.ports import Journal, Views
from offchain.replica import Replica

VIEWS_ATTEMPTS = 10
"""Attempts to read the views between two of their transactions."""


@dataclass(slots=True)
class Verification:
    """What was compared, and what differs."""

    records: int = 0
    commands: int = 0
    events: int = 0
    views_applied: int = 0
    balances: int = 0
    differences: list[str] = field(default_factory=list)


async def verify(journal: Journal, views: Views) -> Verification:
    """Compare the stored events with those of a new execution, and the views' balances with those that result.

    Raises JournalCorrupt and ReplayMismatch, which name the record or event where the journal itself is wrong.
    """
    applied, shown = await _read_views(views)
    found = Verification(views_applied=applied)
    replica = Replica(Core())
    last_told: dict[tuple[Address, int], BalanceUpdate] = {}
    is_compared = False
    async for record in journal.read(0):
        replica.apply(record)
        found.records += 1
        found.commands += len(record.commands)
        found.events = record.last
        for events in record.events:
            last_told.update(
                ((event.account, event.asset), event) for event in events if isinstance(event, BalanceUpdate)
            )
        if record.last == applied:
            is_compared = True
            found.balances = len(shown)
            found.differences += _differences(shown, last_told)
    if applied and not is_compared:
        found.differences.append(f"the views include event {applied}, where no record of the journal ends")
    found.differences += _untold(replica.core, last_told)
    return found


async def _read_views(views: Views) -> tuple[int, list[BalanceUpdate]]:
    for _ in range(VIEWS_ATTEMPTS):
        applied = await views.applied()
        shown = await views.balances()
        if await views.applied() == applied:
            break
    else:
        raise ValueError(f"the views changed during {VIEWS_ATTEMPTS} attempts to read them: stop the service first")
    return applied, shown


def _differences(shown: list[BalanceUpdate], told: dict[tuple[Address, int], BalanceUpdate]) -> list[str]:
    by_owner = {(balance.account, balance.asset): balance for balance in shown}
    return [
        f"account 0x{account.hex()} asset {asset}: the views have {here}, the journal {there}"
        for account, asset in sorted(by_owner.keys() | told.keys())
        if (here := by_owner.get((account, asset))) != (there := told.get((account, asset)))
    ]


def _untold(core: Core, told: dict[tuple[Address, int], BalanceUpdate]) -> list[str]:
    """Balances that the core has and never told of."""
    return [
        f"account 0x{account.hex()} asset {balance.asset}: the core has {balance}, its last event was {last}"
        for account in core.accounts()
        for balance in core.balances(account)
        if balance != (last := told.get((account, balance.asset))) and (last is not None or not _is_zero(balance))
    ]


def _is_zero(balance: BalanceUpdate) -> bool:
    return not (balance.settled or balance.unsettled or balance.reserved or balance.held)
