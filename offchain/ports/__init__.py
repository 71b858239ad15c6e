"""The doors between the core and the world. Adapters implement them; only `app.py` chooses which.

Every adapter of a port passes the same test suite.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from offchain.domain.commands import ChainBlock, ChainRollback, Command, Configure
from offchain.domain.core import Status
from offchain.domain.events import BalanceUpdate, Event
from offchain.domain.order import Address, OrderHash
from offchain.domain.results import Result
from offchain.ports.rows import (
    ActionRow,
    ApiKeyRow,
    AuditQuery,
    AuditRow,
    BatchRow,
    CandleRow,
    DeadLetterRow,
    DepositRow,
    FundingRow,
    ItemRow,
    MarketFigures,
    OrderQuery,
    OrderRow,
    Page,
    SampleRow,
    TradeRow,
    WithdrawalRow,
)

__all__ = [
    "RULES_VERSION",
    "ActionRow",
    "Announce",
    "ApiKeyRow",
    "AuditQuery",
    "AuditRow",
    "BatchRow",
    "BlockRef",
    "CandleRow",
    "Chain",
    "ChainUnavailable",
    "Clock",
    "CoreStatus",
    "DeadLetterRow",
    "DepositRow",
    "Failure",
    "Feed",
    "Fenced",
    "FundingRow",
    "Ingress",
    "ItemRow",
    "Journal",
    "JournalCorrupt",
    "MarketFigures",
    "OrderQuery",
    "OrderRow",
    "Overloaded",
    "Page",
    "Receipt",
    "Record",
    "RoundSeen",
    "SampleRow",
    "TradeRow",
    "Unavailable",
    "Views",
    "WithdrawalRow",
]

RULES_VERSION = 4
"""Version of the rules by which commands are executed; a journal is replayed under the version it was written with."""


# ---------------------------------------------------------------------------------------------------------------------
# Journal
# ---------------------------------------------------------------------------------------------------------------------


class Fenced(Exception):
    """Another process has acquired the journal; this one may not write any more."""


class JournalCorrupt(Exception):
    """A stored record contradicts its neighbours or does not decode."""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """Up to 64 commands, executed at one time, and their events: one durable row."""

    epoch: int
    first: int
    """sequence number of the first event; numbers start at 1 and have no gaps"""
    last: int
    time_ms: int
    rules_version: int
    prev_hash: bytes
    """SHA-256 over the previous record's encoding; 32 zero bytes for the first"""
    commands: list[Command]
    events: list[list[Event]]
    """one list per command, none empty"""


class Journal(Protocol):
    async def acquire(self, owner: str) -> int:
        """Become the writer and return the new epoch; older writers get `Fenced`."""
        ...

    async def tail(self) -> tuple[int, bytes]:
        """Last event sequence and the hash of the last record; (0, 32 zero bytes) when empty."""
        ...

    async def append(self, record: Record) -> bytes:
        """Durable on return; the record's hash.

        Raises `Fenced` for an older epoch, ValueError if `record` does not follow the tail.
        """
        ...

    def append_at_once(self, record: Record) -> bytes | None:
        """As `append`, without a wait for anything but a fast disk; None where it must be waited for: use `append`."""
        ...

    def read(self, after: int) -> AsyncIterator[Record]:
        """Stored records whose events come after sequence `after`, to the present tail."""
        ...

    async def save_snapshot(self, seq: int, state: bytes) -> None: ...

    async def latest_snapshot(self) -> tuple[int, bytes] | None: ...

    async def close(self) -> None: ...


# ---------------------------------------------------------------------------------------------------------------------
# Views
# ---------------------------------------------------------------------------------------------------------------------


class Views(Protocol):
    """Tables projected from records; a reader sees whole records only."""

    async def applied(self) -> int:
        """Last event sequence that the tables include."""
        ...

    async def apply(self, after: int, records: Sequence[Record]) -> None:
        """Project `records`, which follow sequence `after`, in one transaction. ValueError if `after` != applied()."""
        ...

    async def order(self, order_hash: OrderHash) -> OrderRow | None: ...

    async def orders(self, account: Address, query: OrderQuery, before: int | None, limit: int) -> Page[OrderRow]:
        """Newest first."""
        ...

    async def trades(self, market: int, before: int | None, limit: int) -> Page[TradeRow]:
        """Newest first."""
        ...

    async def candles(
        self, market: int, interval_ms: int, since_ms: int | None, limit: int, price: str = "last"
    ) -> list[CandleRow]:
        """Of the `price` "last", "mark" or "index". Oldest first: the first `limit` that start at `since_ms` or later,
        else the newest ones. Those without a trade or a sample are left out. ValueError unless the interval is a
        multiple of a minute and divides a day."""
        ...

    async def samples(self, market: int, since_ms: int) -> list[SampleRow]:
        """Mark and index of a perpetual or a future since a time, oldest first; of the last two days."""
        ...

    async def funding(self, market: int, since_hour: int | None, limit: int) -> list[FundingRow]:
        """Oldest first: the first `limit` from `since_hour` on, else the newest ones."""
        ...

    async def figures(self, markets: Sequence[int], since_ms: int) -> list[MarketFigures]:
        """Of each of the markets, since the minute that `since_ms` is in. For up to a day; more is read slowly."""
        ...

    async def volumes(self, markets: Sequence[int], since_ms: int) -> dict[int, int]:
        """Lots that were traded in each of the markets since the minute that `since_ms` is in; without those where
        nothing was. For up to a day."""
        ...

    async def account_trades(self, account: Address, before: int | None, limit: int) -> Page[TradeRow]: ...

    async def items(self, first: int, limit: int) -> list[ItemRow]:
        """Settlement items from number `first` on that are neither settled nor busted, in order, with what is needed to
        settle them."""
        ...

    async def batches(self, limit: int) -> list[BatchRow]:
        """Newest first."""
        ...

    async def batch(self, number: int) -> BatchRow | None: ...

    async def dead_letters(self, before: int | None, limit: int) -> Page[DeadLetterRow]:
        """Newest first."""
        ...

    async def dead_letter(self, number: int) -> DeadLetterRow | None: ...

    async def admin_audit(self, query: AuditQuery, before: int | None, limit: int) -> Page[AuditRow]:
        """Newest first."""
        ...

    async def withdrawals(self, account: Address, limit: int) -> list[WithdrawalRow]:
        """Newest first."""
        ...

    async def open_withdrawals(self, kind: int, limit: int) -> list[WithdrawalRow]:
        """Requests of a kind that are neither released nor settled nor canceled, the oldest first."""
        ...

    async def deposits(self, account: Address, limit: int) -> list[DepositRow]:
        """Newest first."""
        ...

    async def action(self, action_id: bytes) -> ActionRow | None: ...

    async def actions(self, account: Address, before: int | None, limit: int) -> Page[ActionRow]:
        """Newest first; of `actions.OPERATOR` what administrators asked for."""
        ...

    async def api_keys(self, account: Address, limit: int) -> list[ApiKeyRow]:
        """Newest first, also those that have ended."""
        ...

    async def account_events(self, account: Address, after: int, limit: int) -> list[tuple[int, Event]]:
        """Events that concern `account`, each with its sequence, after sequence `after`, oldest first.

        A `BatchUpdate` concerns everyone who has a fill in the batch.
        """
        ...

    async def blocks(self, limit: int) -> list[BlockRef]:
        """The newest blocks that were taken in, oldest first."""
        ...

    async def balances(self) -> list[BalanceUpdate]:
        """Every account's balances as last projected; ordered by account and asset."""
        ...

    async def close(self) -> None: ...


# ---------------------------------------------------------------------------------------------------------------------
# Commands in, records out
# ---------------------------------------------------------------------------------------------------------------------


class Overloaded(Exception):
    """The queue of commands is full; nothing was taken."""


class Unavailable(Exception):
    """The core cannot be reached or did not answer in time; whether the command was taken is unknown."""


class CoreStatus(msgspec.Struct, frozen=True):
    """The core as the other processes and the operator see it."""

    seq: int
    """last event executed"""
    configuration: Configure | None
    draining: bool
    """no orders are taken any more"""
    settlement: Status
    halted: list[tuple[str, str]]
    """(symbol, reason) of markets that are halted off chain"""

    @property
    def last_block(self) -> BlockRef | None:
        """The newest block that was taken in."""
        if self.settlement.head_number < 0:
            return None
        return BlockRef(self.settlement.head_number, self.settlement.head_hash)


class Ingress(Protocol):
    async def submit(self, command: Command, timeout_ms: int) -> Result:
        """Execute `command` and return its result once it is durable. Raises Overloaded, Unavailable."""
        ...


class Feed(Protocol):
    """Durable records as they come. May lose; a subscriber that sees a gap refills from the journal."""

    def publish(self, record: Record) -> None:
        """Never waits, never fails."""
        ...

    def subscribe(self) -> AsyncIterator[Record]: ...


# ---------------------------------------------------------------------------------------------------------------------
# Chain
# ---------------------------------------------------------------------------------------------------------------------


class BlockRef(msgspec.Struct, frozen=True):
    number: int
    block_hash: bytes


class Failure(msgspec.Struct, frozen=True):
    """Why a transaction would revert: the contract's error with its arguments."""

    error: str
    """name, e.g. "StaleNonce"; "" if the node gave no data"""
    args: tuple[int | str, ...]
    is_global: bool
    """pause, halt, gas, timing or role: retried, never a reason to drop a fill"""

    def __str__(self) -> str:
        return f"{self.error or 'unknown'}({', '.join(map(str, self.args))})"


class Receipt(msgspec.Struct, frozen=True):
    tx_hash: bytes
    block_number: int
    succeeded: bool
    gas_used: int


class RoundSeen(msgspec.Struct, frozen=True):
    """An oracle's newest round."""

    round: int
    price: int
    """USD per whole unit, 18 decimals"""
    updated_at: int
    max_age: int
    """seconds for which the oracle takes a round for fresh"""


class ChainUnavailable(Exception):
    """The node cannot be reached or answers with an error that says nothing about the transaction."""


Announce = Callable[[bytes], Awaitable[None]]
"""Is told the hash of a transaction that is about to be sent."""


class Chain(Protocol):
    """The node, seen through the contracts. Raises ChainUnavailable for everything that a retry may cure."""

    def blocks(
        self, after: BlockRef | None, older: Sequence[BlockRef] = ()
    ) -> AsyncIterator[ChainBlock | ChainRollback]:
        """Follow the chain from `after` (None: from the deployment).

        Yields blocks with logs and each new head; a rollback where the canonical chain no longer contains what was
        yielded. `older`: blocks known before `after`, oldest first, among which a rollback's target is looked for.
        """
        ...

    async def next_batch(self) -> int:
        """Number that the Engine expects next."""
        ...

    async def head_time(self) -> int:
        """Timestamp of the newest block, Unix seconds."""
        ...

    async def latest_round(self, oracle: Address) -> RoundSeen | None:
        """An oracle's newest round; None if it answers none now, because that is too old or out of bounds."""
        ...

    async def price_at(self, oracle: Address, round_id: int, time: int) -> int | None:
        """The price of a round that held at `time` (Unix seconds), 18 decimals; None if it did not."""
        ...

    async def simulate(self, data: bytes, to: str = "Engine", gas: int | None = None) -> Failure | None:
        """Run a call from the operator to `to`, as in `send`, against the newest state; None if it would succeed.

        It may use `gas`, else as much as a transaction may.
        """
        ...

    async def send(self, to: str, data: bytes, announce: Announce | None = None, gas: int | None = None) -> bytes:
        """Sign as operator, send an EIP-1559 transaction to a contract, by its name, and return its hash.

        A transaction of ours that is still waiting is replaced. `announce` is told each hash before the node gets the
        transaction, which is not sent if that raises. `gas` is its limit; without it the node estimates one, which
        costs it many runs of the transaction.
        """
        ...

    async def head_number(self) -> int:
        """Number of the newest block."""
        ...

    def address(self, contract: str) -> Address:
        """Where a contract is, by its name. ValueError for another name."""
        ...

    async def receipt(self, tx_hash: bytes) -> Receipt | None: ...

    async def close(self) -> None: ...


class Clock(Protocol):
    def now_ms(self) -> int:
        """Unix milliseconds."""
        ...
