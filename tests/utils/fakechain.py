"""A chain in memory that settles with the pure model: it can reorganise, lose transactions and revert them."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from eth_abi import decode as abi_decode

from offchain.chain import eip712
from offchain.chain.batch import decode
from offchain.chain.calldata import RELEASE, SETTLE_BATCH
from offchain.domain.batch import SettlementError
from offchain.domain.commands import (
    AssetRegistered,
    BatchSettled,
    ChainBlock,
    ChainLog,
    ChainRollback,
    ClearedPosition,
    DelegateSet,
    Deposited,
    EpochBumped,
    FeeScheduled,
    MarketCreated,
    MarketStatusChanged,
    WithdrawalCanceled,
    WithdrawalRequested,
    WithdrawalSettled,
)
from offchain.domain.ledger import LedgerState, MarketRules
from offchain.domain.market import USDC, Asset, Market, MarketStatus
from offchain.domain.oracle import PriceFeed, Round
from offchain.domain.order import Address
from offchain.domain.settlement import settle
from offchain.ports import Announce, BlockRef, ChainUnavailable, Failure, Receipt, RoundSeen
from tests.utils.fakeactions import try_action

GLOBAL = ("EngineHalted", "NotOperator", "WrongBatchNumber", "MatchedAtOutOfRange")
MAX_AGE = 3_600
"""Seconds for which the oracle may be silent."""

RequestKey = tuple[Address, int, int]


@dataclass(frozen=True)
class Transaction:
    hash: bytes
    to: str
    data: bytes
    gas: int | None
    """its limit; None: as the node estimates"""


@dataclass
class World:
    """Everything that a reorganisation undoes."""

    ledger: LedgerState
    requests: dict[RequestKey, int] = field(default_factory=dict)
    receipts: dict[bytes, Receipt] = field(default_factory=dict)
    withdrawal_nonces: dict[Address, int] = field(default_factory=dict)
    delegate_nonces: dict[Address, int] = field(default_factory=dict)
    requested_at: dict[RequestKey, int] = field(default_factory=dict)


@dataclass
class Block:
    header: ChainBlock
    world: World
    transactions: list[Transaction]


class FakeChain:
    """Implements `Chain` for tests, which move time (`now`, Unix seconds) and mine blocks."""

    def __init__(self, domain: eip712.Domain, fee_bps: int = 50, now: int = 1_700_000_000) -> None:
        self.now = now
        self.domain = domain
        self.world = World(LedgerState(domain.engine, fee_bps))
        self.pending: list[ChainLog] = []
        self.waiting: Transaction | None = None
        self.sent: list[Transaction] = []
        self.is_losing = False
        self.gas_needed = 0
        """with a lower limit simulation fails"""
        """what is sent never arrives"""
        self.is_reverting = False
        """what is mined reverts although it succeeds in simulation"""
        self.refused: set[Address] = set()
        """receivers whose payouts revert"""
        self.is_owner = False
        """the operator owns the contracts"""
        self.is_operator = True
        """the operator's key is the Engine's operator's"""
        self.outages = 0
        """so many of the next calls fail"""
        self.rounds: list[Round] = []
        """of the one oracle; a reorganisation does not undo them"""
        self.followed: list[list[int]] = []
        """numbers of the blocks that were known at each call of `blocks`"""
        self._salt = 0
        genesis = ChainBlock(0, eip712.keccak(b"genesis"), bytes(32), now, [])
        self.chain = [Block(genesis, copy.deepcopy(self.world), [])]

    @property
    def ledger(self) -> LedgerState:
        return self.world.ledger

    @property
    def head(self) -> ChainBlock:
        return self.chain[-1].header

    # What happens on chain --------------------------------------------------------------------------------------------

    def list_market(self, market: Market) -> None:
        asset = Asset(market.base, market.symbol.split("-")[0], b"\x01" * 20, b"\x02" * 20, market.decimals)
        self.ledger.markets[market.id] = MarketRules(
            market.instrument,
            market.kind,
            MarketStatus.ACTIVE,
            self.now,
            market.max_price_per_lot,
            market.max_quantity,
            market.tick_per_lot,
            market.lot_size,
            market.decimals,
            market.is_cross_quoted,
            market.derivative,
        )
        if market.oracle:
            self.ledger.feeds[market.id] = PriceFeed(tuple(self.rounds), MAX_AGE)
        status = MarketStatusChanged(market.id, MarketStatus.ACTIVE, self.now)
        self.pending += [AssetRegistered(asset), MarketCreated(market), status]

    def push_price(self, price: int) -> None:
        """The one oracle that all markets have answers a new round, of now. `price` in USD with 18 decimals."""
        self.set_round(Round(len(self.rounds) + 1, price, self.now))

    def set_round(self, one: Round) -> None:
        self.rounds = [*(known for known in self.rounds if known.id != one.id), one]
        for market in self.ledger.feeds:
            self.ledger.feeds[market] = PriceFeed(tuple(self.rounds), MAX_AGE)

    def pause(self, market: int) -> None:
        rules = self.ledger.markets[market]
        self.ledger.markets[market] = replace(rules, status=MarketStatus.PAUSED, status_at=self.now)
        self.pending.append(MarketStatusChanged(market, MarketStatus.PAUSED, self.now))

    def deposit(self, account: Address, asset: int, amount: int) -> None:
        if asset == USDC:
            self.ledger.usdc[account] = self.ledger.usdc.get(account, 0) + amount
        else:
            self.ledger.base[account, asset] = self.ledger.base.get((account, asset), 0) + amount
        self.pending.append(Deposited(account, asset, amount, self._hash(b"deposit"), len(self.pending)))

    def request(self, account: Address, kind: int, asset: int, amount: int) -> None:
        self.world.requests[account, kind, asset] = amount
        self.world.requested_at[account, kind, asset] = self.now
        tx_hash = self._hash(b"request")
        self.pending.append(WithdrawalRequested(account, kind, asset, amount, self.now, tx_hash, len(self.pending)))

    def cancel_request(self, account: Address, kind: int, asset: int) -> None:
        del self.world.requests[account, kind, asset]
        self.pending.append(WithdrawalCanceled(account, kind, asset, self._hash(b"cancel"), len(self.pending)))

    def schedule_fee(self, fee_bps: int, at: int) -> None:
        self.ledger.next_fee_bps, self.ledger.fee_change_at = fee_bps, at
        self.pending.append(FeeScheduled(fee_bps, at))

    def bump_epoch(self, account: Address) -> None:
        epoch = self.ledger.epochs[account] = self.ledger.epochs.get(account, 0) + 1
        self.pending.append(EpochBumped(account, epoch))

    def set_delegate(self, account: Address, delegate: Address, valid_until: int) -> None:
        self.ledger.delegates[account, delegate] = valid_until
        self.pending.append(DelegateSet(account, delegate, valid_until))

    def mine(self, seconds: int = 1) -> None:
        """A block with what waits, `seconds` later."""
        self.now += seconds
        logs, self.pending = self.pending, []
        mined: list[Transaction] = []
        if self.waiting is not None:
            transaction, self.waiting = self.waiting, None
            mined.append(transaction)
            logs += self._execute(transaction)
        self._salt += 1
        parent = self.head
        block_hash = self._hash(f"block {parent.number + 1}".encode())
        header = ChainBlock(parent.number + 1, block_hash, parent.block_hash, self.now, logs)
        self.chain.append(Block(header, copy.deepcopy(self.world), mined))

    def reorganise(self, depth: int, *, keeps_transactions: bool) -> None:
        """Drop the newest `depth` blocks; their transactions wait again or are lost, their other events are gone."""
        dropped = [self.chain.pop() for _ in range(depth)]
        self.world = copy.deepcopy(self.chain[-1].world)
        transactions = [transaction for block in reversed(dropped) for transaction in block.transactions]
        if keeps_transactions and transactions:
            self.waiting = transactions[0]

    def _execute(self, transaction: Transaction) -> list[ChainLog]:
        failure: Failure | None = Failure("", (), False)
        logs: list[ChainLog] = []
        if not self.is_reverting:
            failure, logs = self._try(transaction.to, transaction.data, transaction.hash, is_kept=True)
        number = self.head.number + 1
        self.world.receipts[transaction.hash] = Receipt(transaction.hash, number, failure is None, 123_456)
        return logs

    def _try(self, to: str, data: bytes, tx_hash: bytes, *, is_kept: bool) -> tuple[Failure | None, list[ChainLog]]:
        if data[:4] == SETTLE_BATCH:
            return self._try_batch(data, tx_hash, is_kept)
        if data[:4] == RELEASE:
            return self._try_release(data, tx_hash, is_kept)
        return try_action(self, data, tx_hash, is_kept=is_kept)

    def _try_batch(self, data: bytes, tx_hash: bytes, is_kept: bool) -> tuple[Failure | None, list[ChainLog]]:
        (packed,) = abi_decode(["bytes"], data[4:])
        try:
            batch = decode(packed)
            result = settle(self.ledger, batch, self.now, eip712.order_hash, eip712.array_hash, self._signer_of)
        except SettlementError as error:
            return Failure(error.name, error.arguments, error.name in GLOBAL), []
        if is_kept:
            self.ledger.apply(result)
        cleared = [
            ClearedPosition(account, market, one.size, one.quote, one.funding)
            for (account, market), one in result.money.positions.items()
        ]
        pools = [(market, one.pool) for market, one in result.money.clearing.items()]
        terms = (list(result.fill_ids), tx_hash, 123_456, cleared, pools)
        return None, [BatchSettled(batch.number, batch.matched_at, *terms)]

    def _try_release(self, data: bytes, tx_hash: bytes, is_kept: bool) -> tuple[Failure | None, list[ChainLog]]:
        text, kind, asset, amount = abi_decode(["address", "uint8", "uint32", "uint256"], data[4:])
        account = bytes.fromhex(text[2:])
        requested = self.world.requests.get((account, kind, asset))
        if requested is None:
            return Failure("NoRequest", (text, kind, asset), False), []
        if requested != amount:
            return Failure("RequestChanged", (amount, requested), False), []
        if account in self.refused:
            return Failure("Error", ("blacklisted",), False), []
        held = self.ledger.usdc.get(account, 0) if asset == USDC else self.ledger.base.get((account, asset), 0)
        paid = min(requested, held)
        if is_kept:
            del self.world.requests[account, kind, asset]
            if asset == USDC:
                self.ledger.usdc[account] = held - paid
            else:
                self.ledger.base[account, asset] = held - paid
        return None, [WithdrawalSettled(account, kind, asset, requested, paid, True, tx_hash, 0)]

    def _signer_of(self, order_hash: bytes, signature: bytes) -> Address | None:
        return eip712.recover(eip712.order_digest(self.domain, order_hash), signature)

    def _hash(self, *parts: bytes) -> bytes:
        self._salt += 1
        return eip712.keccak(b"".join(parts) + self._salt.to_bytes(8, "big"))

    # The port ---------------------------------------------------------------------------------------------------------

    def _call(self) -> None:
        if self.outages:
            self.outages -= 1
            raise ChainUnavailable("the node is away")

    async def blocks(
        self, after: BlockRef | None, older: Sequence[BlockRef] = ()
    ) -> AsyncIterator[ChainBlock | ChainRollback]:
        known = [*older, after] if after is not None else []
        self.followed.append([block.number for block in known])
        while True:
            await asyncio.sleep(0)
            self._call()
            canonical = {block.header.number: block.header.block_hash for block in self.chain}
            if known and canonical.get(known[-1].number) != known[-1].block_hash:
                while known and canonical.get(known[-1].number) != known[-1].block_hash:
                    known.pop()
                yield ChainRollback(known[-1].number, known[-1].block_hash)
                continue
            number = known[-1].number + 1 if known else 1
            if number > self.head.number:
                await asyncio.sleep(0.001)
                continue
            header = self.chain[number].header
            known.append(BlockRef(number, header.block_hash))
            yield header

    async def next_batch(self) -> int:
        self._call()
        return self.chain[-1].world.ledger.number + 1

    async def head_time(self) -> int:
        self._call()
        return self.head.time

    async def latest_round(self, oracle: Address) -> RoundSeen | None:
        self._call()
        try:
            newest = PriceFeed(tuple(self.rounds), MAX_AGE).latest(self.now) if self.rounds else None
        except SettlementError:
            return None
        return RoundSeen(newest.id, newest.price, newest.updated_at, MAX_AGE) if newest is not None else None

    async def price_at(self, oracle: Address, round_id: int, time: int) -> int | None:
        self._call()
        try:
            return PriceFeed(tuple(self.rounds), MAX_AGE).price_at(round_id, time)
        except SettlementError:
            return None

    async def simulate(self, data: bytes, to: str = "Engine", gas: int | None = None) -> Failure | None:
        self._call()
        if gas is not None and gas < self.gas_needed:
            return Failure("", ("reverted",), is_global=False)  # as an inner call that runs out of gas ends
        return self._try(to, data, b"", is_kept=False)[0]

    async def send(self, to: str, data: bytes, announce: Announce | None = None, gas: int | None = None) -> bytes:
        self._call()
        transaction = Transaction(self._hash(b"tx", data), to, data, gas)
        if announce is not None:
            await announce(transaction.hash)
        self.sent.append(transaction)
        if not self.is_losing:
            self.waiting = transaction
        return transaction.hash

    async def receipt(self, tx_hash: bytes) -> Receipt | None:
        self._call()
        return self.chain[-1].world.receipts.get(tx_hash)

    async def head_number(self) -> int:
        self._call()
        return self.head.number

    def address(self, contract: str) -> Address:
        return eip712.keccak(contract.encode())[12:]

    async def close(self) -> None:
        """Nothing to close."""
