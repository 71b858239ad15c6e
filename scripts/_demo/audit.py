"""The demo's proof: service, journal and chain are asked independently and must say the same.

The service is asked through its API, the journal is executed again from its first command, and the chain tells from its
storage (balances, order states) and from the calldata of the settled batches (what each order filled).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from offchain.chain.batch import decode
from offchain.chain.calldata import SETTLE_BATCH
from offchain.chain.deployment import Deployment
from offchain.chain.eip712 import keccak, order_hash
from offchain.client import Client
from offchain.domain.core import Core
from offchain.domain.events import OrderUpdate
from offchain.domain.market import USDC, Kind, Market
from offchain.domain.order import Order
from offchain.journal.sqlite import SqliteJournal
from offchain.replica import Replica
from scripts._lib.anvil import rpc

PAGE = 500
BATCH_SETTLED = keccak(b"BatchSettled(uint48,uint40,uint256)")


@dataclass
class Books:
    """What one witness says. Balances are quanta by (account, asset), filled lots by order hash; 0 is left out."""

    balances: dict[tuple[bytes, int], int] = field(default_factory=dict)
    filled: dict[bytes, int] = field(default_factory=dict)
    positions: dict[tuple[bytes, int], int] = field(default_factory=dict)
    """lots by (account, market); flat ones are left out"""


def compare(name: str, one: Books, other_name: str, other: Books) -> list[str]:
    """Every balance and order about which two witnesses differ, one line each."""
    lines = []
    for account, asset in sorted(one.balances.keys() | other.balances.keys()):
        here, there = one.balances.get((account, asset), 0), other.balances.get((account, asset), 0)
        if here != there:
            lines.append(f"balance of 0x{account.hex()} in asset {asset}: {name} {here}, {other_name} {there}")
    for order in sorted(one.filled.keys() | other.filled.keys()):
        here, there = one.filled.get(order, 0), other.filled.get(order, 0)
        if here != there:
            lines.append(f"filled of order 0x{order.hex()}: {name} {here}, {other_name} {there}")
    for account, market in sorted(one.positions.keys() | other.positions.keys()):
        here, there = one.positions.get((account, market), 0), other.positions.get((account, market), 0)
        if here != there:
            lines.append(f"position of 0x{account.hex()} in market {market}: {name} {here}, {other_name} {there}")
    return lines


# ---------------------------------------------------------------------------------------------------------------------
# Witnesses
# ---------------------------------------------------------------------------------------------------------------------


async def ask_service(clients: Sequence[Client]) -> Books:
    """Balances and every order of the clients' accounts, through the API."""
    books = Books()
    listing = await clients[0].markets()
    assets = {asset.symbol: asset for asset in listing.assets}
    lots = {market.symbol: Decimal(market.lot_size) for market in listing.markets}
    ids = {market.symbol: market.id for market in listing.markets}
    for client in clients:
        account = bytes.fromhex(client.account[2:])
        for symbol, balance in (await client.balances()).items():
            total = Decimal(balance.settled) + Decimal(balance.unsettled)
            books.balances[account, assets[symbol].id] = int(total.scaleb(assets[symbol].decimals))
        for symbol, position in (await client.positions()).items():
            if size := int(Decimal(position.size) / lots[symbol]):
                books.positions[account, ids[symbol]] = size
        cursor: str | None = None
        while True:
            page = await client.orders(cursor=cursor, limit=PAGE)
            for order in page.orders:
                if filled := int(Decimal(order.filled) / lots[order.market]):
                    books.filled[bytes.fromhex(order.order_id[2:])] = filled
            cursor = page.next
            if cursor is None:
                break
    return books


async def replay_journal(data_dir: Path, accounts: Sequence[bytes]) -> tuple[Books, Core]:
    """Execute the whole journal again. Raises ReplayMismatch if an event comes out differently than it was stored."""
    books = Books()
    replica = Replica(Core())
    journal = SqliteJournal(data_dir, read_only=True)
    try:
        async for record in journal.read(0):
            replica.apply(record)
            for event in (event for events in record.events for event in events if isinstance(event, OrderUpdate)):
                if event.filled and event.account in accounts:
                    books.filled[event.order_hash] = event.filled
    finally:
        await journal.close()
    for account in accounts:
        for balance in replica.core.balances(account):
            books.balances[account, balance.asset] = balance.settled + balance.unsettled
        for view in replica.core.positions(account, replica.time_ms):
            if view.update.size:
                books.positions[account, view.update.market] = view.update.size
    return books, replica.core


def read_chain(
    url: str, deployment: Deployment, markets: Mapping[int, Market], accounts: Sequence[bytes]
) -> tuple[Books, list[str]]:
    """Balances from storage, fills from the settled batches, and where order states in storage contradict those."""
    chain = ChainReader(url, deployment)
    books = Books()
    for account in accounts:
        books.balances[account, USDC] = chain.shares_of(account)
        for asset in sorted({market.base for market in markets.values()}):
            books.balances[account, asset] = chain.balance_of(account, asset)
        for market in markets.values():
            if market.kind != Kind.SPOT and (size := chain.position_of(account, market.id)):
                books.positions[account, market.id] = size
    last: dict[tuple[bytes, int, int], Order] = {}
    for order, quantity in chain.executions():
        identity = order_hash(order)
        books.filled[identity] = books.filled.get(identity, 0) + quantity
        last[order.account, markets[order.market].instrument, order.key] = order
    contradictions = []
    for (account, instrument, key), order in last.items():
        filled = books.filled[order_hash(order)]
        expected = (order.sequence + 1, 0) if order.is_immediate else (order.sequence, filled)
        found = chain.order_state(account, instrument, key)
        if found != expected:
            contradictions.append(f"state of key {key} of 0x{account.hex()}: storage {found}, calldata {expected}")
    return books, contradictions


class ChainReader:
    """The contracts, by plain JSON-RPC: nothing of the service's own chain code but the decoder of batches."""

    def __init__(self, url: str, deployment: Deployment) -> None:
        self._url = url
        self._deployment = deployment

    def shares_of(self, account: bytes) -> int:
        return self._call(self._deployment.vault, "sharesOf(address)", account)[0]

    def balance_of(self, account: bytes, instrument: int) -> int:
        return self._call(self._deployment.engine, "balanceOf(address,uint32)", account, instrument)[0]

    def position_of(self, account: bytes, market: int) -> int:
        """Lots; negative: short."""
        clearinghouse = self._deployment.address("Clearinghouse")
        size = self._call(clearinghouse, "positionOf(address,uint32)", account, market)[0]
        return size - (1 << 256) if size >> 255 else size

    def order_state(self, account: bytes, instrument: int, key: int) -> tuple[int, int]:
        """(sequence, filled lots) that the Engine has stored for a nonce key."""
        state = self._call(self._deployment.engine, "orderState(address,uint32,uint32)", account, instrument, key)
        return state[0], state[1]

    def executions(self) -> Iterator[tuple[Order, int]]:
        """Both orders of every settled fill with the lots filled, in the order of settlement."""
        engine = "0x" + self._deployment.engine.hex()
        query = {
            "address": engine,
            "topics": ["0x" + BATCH_SETTLED.hex()],
            "fromBlock": hex(self._deployment.first_block),
        }
        for log in rpc(self._url, "eth_getLogs", query):
            transaction = rpc(self._url, "eth_getTransactionByHash", log["transactionHash"])
            batch = decode(_packed(bytes.fromhex(transaction["input"][2:])))
            for fill in batch.fills:
                for index in (fill.maker, fill.taker):
                    yield batch.signed_order(batch.orders[index]), fill.quantity

    def _call(self, to: bytes, signature: str, *args: bytes | int) -> list[int]:
        words = [arg.rjust(32, b"\0") if isinstance(arg, bytes) else arg.to_bytes(32, "big") for arg in args]
        data = keccak(signature.encode())[:4] + b"".join(words)
        answer = rpc(self._url, "eth_call", {"to": "0x" + to.hex(), "data": "0x" + data.hex()}, "latest")
        raw = bytes.fromhex(answer[2:])
        return [int.from_bytes(raw[at : at + 32], "big") for at in range(0, len(raw), 32)]


def _packed(calldata: bytes) -> bytes:
    """The argument of `settleBatch(bytes)`. Raises ValueError for other calldata."""
    if calldata[:4] != SETTLE_BATCH:
        raise ValueError(f"0x{calldata[:4].hex()} is not settleBatch(bytes)")
    length = int.from_bytes(calldata[36:68], "big")
    return calldata[68 : 68 + length]
