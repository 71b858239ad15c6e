"""Orders to send, signed beforehand, and orders to have stored already."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from offchain.chain import eip712
from offchain.client.signing import Signer
from offchain.domain.commands import PlaceOrder
from offchain.domain.events import OrderUpdate
from offchain.domain.order import NO_EXPIRY, Order
from offchain.journal.sqlite import SqliteJournal
from offchain.ports import RULES_VERSION, Record
from offchain.projector import Projector
from offchain.replica import recover
from offchain.views.sqlite import SqliteViews

SYMBOL = "BTC-USDC"
MIDDLE = 64_000
FEE_BPS = 50
PER_RECORD = 64
STORED_KEYS = 2_500
"""nonce keys of each account that stored orders use in turn: the newest order of each rests"""
FIRST_STORED_KEY = 1 << 31
ARRAY = 10
"""orders under one signature"""


class Signed(NamedTuple):
    id: str
    account: bytes
    body: bytes
    takes: bool


def orders(signers: Sequence[Signer], count: int, first: int, *, per_account: int = 1) -> Iterator[Signed]:
    """Distinct orders around one price: GTC quotes up to fifty ticks away, IOC orders that cross up to as far.

    `first` numbers their nonce keys; `per_account` orders in a row are of one account.
    """
    chance = random.Random(first)
    expiry = int(time.time()) + 3_600
    for index in range(count):
        signer = signers[index // per_account % len(signers)]
        takes = chance.random() < 0.5
        order_hash, body = signer.order(
            SYMBOL,
            side := chance.choice(("buy", "sell")),
            "limit",
            "IOC" if takes else "GTC",
            _price(chance, side, takes),
            _quantity(chance),
            (first + index) << 32 | 1,
            max_fee_bps=FEE_BPS,
            expiry=expiry if takes else None,
        )
        yield Signed("0x" + order_hash.hex(), signer.account, msgspec.json.encode(_given(body)), takes)


def arrays(signers: Sequence[Signer], keys: Sequence[bytes], count: int, first: int) -> Iterator[bytes]:
    """Bodies of arrays of ten, `count` orders altogether, as a market maker moves its quotes: keys used again and
    again, so that each quote takes the place of the one before it."""
    chance = random.Random(first)
    for number in range(count // ARRAY):
        signer, key = signers[number % len(signers)], keys[number % len(signers)]
        turn = number // len(signers) + 1
        hashes, bodies = [], []
        for level in range(ARRAY):
            side = "buy" if level % 2 else "sell"
            price, quantity = _price(chance, side, False), _quantity(chance)
            nonce = (first + level) << 32 | turn
            order_hash, body = signer.order(
                SYMBOL, side, "limit", "GTC", price, quantity, nonce, max_fee_bps=FEE_BPS, expiry=None
            )
            fields = _given(body)
            del fields["signature"]
            hashes.append(order_hash)
            bodies.append(fields)
        signature = eip712.sign(signer.domain.digest(eip712.array_hash(hashes)), key)
        yield msgspec.json.encode({"orders": bodies, "signature": "0x" + signature.hex()})


def _given(body: msgspec.Struct) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in msgspec.to_builtins(body).items() if value is not None}


def _price(chance: random.Random, side: str, takes: bool) -> str:
    away = chance.randint(1, 50) * (1 if (side == "buy") == takes else -1)
    return str(MIDDLE + away / 10)


def _quantity(chance: random.Random) -> str:
    return f"{chance.randint(1, 1_000) * 1e-5:.5f}"


def as_65_bytes(body: bytes) -> bytes:
    """The same order with its signature as wallets write it: r, s, v."""
    fields = msgspec.json.decode(body)
    compact = bytes.fromhex(fields["signature"][2:])
    parity = compact[32] >> 7
    full = compact[:32] + bytes((compact[32] & 0x7F,)) + compact[33:] + bytes((27 + parity,))
    return msgspec.json.encode(fields | {"signature": "0x" + full.hex()})


# ---------------------------------------------------------------------------------------------------------------------
# Orders that are stored already
# ---------------------------------------------------------------------------------------------------------------------


async def store(folder: Path, accounts: Sequence[bytes], market: int, count: int) -> None:
    """Let a stopped service have `count` orders more, in its journal, its views and a snapshot, far from the middle.

    They go the core's own way, without HTTP and signatures, which nobody asks for again.
    """
    journal, views = SqliteJournal(folder), SqliteViews(folder / "views.db")
    try:
        epoch = await journal.acquire("benchmark")
        state = await recover(journal)
        _, prev_hash = await journal.tail()
        now_ms = state.time_ms
        commands = list(_stored(accounts, market, count, now_ms))
        last = state.seq
        for start in range(0, count, PER_RECORD):
            taken = commands[start : start + PER_RECORD]
            events = [state.core.execute(command, now_ms)[1] for command in taken]
            first, last = last + 1, last + sum(map(len, events))
            await journal.append(Record(epoch, first, last, now_ms, RULES_VERSION, prev_hash, list(taken), events))
            _, prev_hash = await journal.tail()
        projector = await Projector.open(journal, views, snapshot_events=2**62)
        await projector.catch_up()
        await journal.save_snapshot(last, state.core.snapshot())
    finally:
        await journal.close()
        await views.close()


def _stored(accounts: Sequence[bytes], market: int, count: int, now_ms: int) -> Iterator[PlaceOrder]:
    for number in range(count):
        side = number & 1
        account = accounts[number // 2 % len(accounts)]
        turn, key = divmod(number // (2 * len(accounts)), STORED_KEYS // 2)
        nonce = (FIRST_STORED_KEY + 2 * key + side) << 32 | turn + 1
        price = 10 * (MIDDLE + (1_000 if side else -1_000)) + (number % 5_000 if side else -(number % 5_000))
        order = Order(account, market, side, 0, False, price, 1 + number % 9, nonce, 0, NO_EXPIRY, FEE_BPS)
        yield PlaceOrder(order, eip712.order_hash(order), bytes(64), now_ms)


async def depth_changes(folder: Path, after: int, last: int) -> int:
    """How many events behind `after`, up to `last`, have changed a book."""
    journal = SqliteJournal(folder, read_only=True)
    try:
        changes = 0
        async for record in journal.read(after):
            for seq, event in enumerate((event for events in record.events for event in events), record.first):
                changes += after < seq <= last and isinstance(event, OrderUpdate) and event.depth_change != 0
            if record.last >= last:
                break
        return changes
    finally:
        await journal.close()
