"""Batches whose gas is measured, and a chain to measure it on: an Anvil that forks a deployed system.

Ape's own records every step of a transaction, which is slow. Traders' words are written to the fork's storage, because
the accounts of regular traders exist and their nonce keys were used before.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import keccak

from scripts._lib.anvil import anvil, rpc
from tests.utils.batches import BUY, IOC, SELL, Batch, Order, nonce

ENGINE_STORAGE = 0x9F1B5E2CA104415BFDC6E210BB3398404BF08BCD8AFB5FB88A80699712E07B00
VAULT_STORAGE = 0xD50F58E43FCF4BF3257CFFBCCCDC0CD749EF4A9D733F0A026365EC6511BB9400
RICH = 10**15 << 128
USED_KEYS = 1 << 224 | 1 << 96  # sequence 1 of both nonce keys in a word
TRANSACTION_GAS_CAP = 16_777_216  # EIP-7825
MAX_GROUP_FILLS = 256

Fill = tuple[Order, Order, int]


def create_traders(count: int) -> list[LocalAccount]:
    return [Account.from_key(keccak(text=f"trader {i}")) for i in range(count)]


def location_of(key: int, mapping: int) -> int:
    return int.from_bytes(keccak(key.to_bytes(32, "big") + mapping.to_bytes(32, "big")), "big")


@dataclass
class GasChain:
    url: str
    operator: str
    engine: str
    vault: str
    instrument: int
    positions: int  # slots of the mappings
    accounts: int

    def write(self, contract: str, slot: int, value: int) -> None:
        location, word = (number.to_bytes(32, "big").hex() for number in (slot, value))
        rpc(self.url, "anvil_setStorageAt", contract, "0x" + location, "0x" + word)

    def enrich(self, traders: Iterable[LocalAccount]) -> None:
        """Give USDC and the instrument to traders."""
        for trader in traders:
            account = int(trader.address, 16)
            self.write(self.engine, location_of(self._position(trader), self.positions), RICH)
            self.write(self.vault, location_of(account, self.accounts), RICH)

    def use_keys(self, trader: LocalAccount, count: int) -> None:
        """Let the nonce keys 1 to 2 * `count` have been used."""
        for index in range(1, count + 2):
            self.write(self.engine, location_of(self._position(trader) + index, self.positions), USED_KEYS)

    def _position(self, trader: LocalAccount) -> int:
        return int(trader.address, 16) << 96 | self.instrument << 64

    @property
    def now(self) -> int:
        return int(rpc(self.url, "eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def send(self, sender: str, to: str, data: bytes, gas: int = TRANSACTION_GAS_CAP) -> dict[str, Any]:
        """A transaction in a block of its own, and its receipt."""
        transaction = {"from": sender, "to": to, "data": "0x" + data.hex(), "gas": hex(gas)}
        sent = rpc(self.url, "eth_sendTransaction", transaction)
        for _ in range(400):
            if receipt := rpc(self.url, "eth_getTransactionReceipt", sent):
                mined: dict[str, Any] = receipt
                return mined
            time.sleep(0.05)
        raise AssertionError(f"{sent} was not mined within 20 s")

    def settle(self, batch: Batch, gas: int = TRANSACTION_GAS_CAP) -> int | None:
        """The gas that a batch uses, None if it fails."""
        receipt = self.send(self.operator, self.engine, batch.packed_calldata(), gas)
        return int(receipt["gasUsed"], 16) if int(receipt["status"], 16) else None

    @contextmanager
    def undone(self) -> Iterator[None]:
        snapshot = rpc(self.url, "evm_snapshot")
        yield
        rpc(self.url, "evm_revert", snapshot)


@contextmanager
def fork(exchange: Any, instrument: int, known: Any) -> Iterator[GasChain]:
    """Fork the chain of a deployed exchange, in which the account `known` has USDC and some of the instrument."""
    engine, vault = exchange.engine, exchange.vault
    provider = engine.provider
    address = known.address if isinstance(known.address, str) else "0x" + known.address.hex()

    def find(contract: Any, storage: int, key: int, balance: int) -> int:
        for mapping in range(storage, storage + 32):
            word = provider.get_storage(contract.address, location_of(key, mapping))
            if int.from_bytes(word, "big") >> 128 == balance:
                return mapping
        raise AssertionError("no mapping has the balance")

    account = int(address, 16)
    held = (engine.balanceOf(address, instrument), vault.sharesOf(address))
    positions = find(engine, ENGINE_STORAGE, account << 96 | instrument << 64, held[0])
    accounts = find(vault, VAULT_STORAGE, account, held[1])
    with anvil(chain_id=provider.chain_id, fork_url=provider.uri) as url:
        operator = exchange.operator.address
        yield GasChain(url, operator, engine.address, vault.address, instrument, positions, accounts)


# ---------------------------------------------------------------------------------------------------------------------
# Cases. `exchange.order(signer, side, **changes)` makes an order, `sequence` is a new one for each batch.
# ---------------------------------------------------------------------------------------------------------------------


def fresh_accounts(exchange: Any, traders: Sequence[LocalAccount], number: int, sequence: int) -> list[Fill]:
    """Each fill has two orders and two accounts of its own."""
    orders = [
        exchange.order(trader, (SELL, BUY)[i % 2], nonce=nonce(0, sequence))
        for i, trader in enumerate(traders[: 2 * number])
    ]
    return [(*pair, 100) for pair in zip(orders[::2], orders[1::2], strict=True)]


def two_accounts(exchange: Any, traders: Sequence[LocalAccount], number: int, sequence: int) -> list[Fill]:
    """Each fill has two orders of its own, all of the same two accounts."""
    sells = [exchange.order(traders[0], SELL, nonce=nonce(2 + i, sequence)) for i in range(number)]
    buys = [exchange.order(traders[1], BUY, nonce=nonce(2 + i, sequence)) for i in range(number)]
    return [(*pair, 100) for pair in zip(sells, buys, strict=True)]


def one_taker(exchange: Any, traders: Sequence[LocalAccount], number: int, sequence: int) -> list[Fill]:
    """IOC orders of one account take from makers of their own accounts: one order up to the limit of its group."""
    takers = []
    for key, first in enumerate(range(0, number, MAX_GROUP_FILLS)):
        quantity = 100 * min(MAX_GROUP_FILLS, number - first)
        terms = {"time_in_force": IOC, "expiry": 2**40 - 1, "nonce": nonce(key, sequence)}
        takers.append(exchange.order(traders[0], BUY, quantity=quantity, **terms))
    makers = [exchange.order(traders[1 + i], SELL, nonce=nonce(0, sequence)) for i in range(number)]
    return [(maker, takers[i // MAX_GROUP_FILLS], 100) for i, maker in enumerate(makers)]


def one_maker(exchange: Any, traders: Sequence[LocalAccount], number: int, sequence: int) -> list[Fill]:
    """A maker's orders are taken by takers of their own accounts."""
    terms = {"time_in_force": IOC, "expiry": 2**40 - 1, "nonce": nonce(0, sequence)}
    takers = [exchange.order(trader, BUY, **terms) for trader in traders[1 : 1 + number]]
    return [(exchange.order(traders[0], SELL, nonce=nonce(2 + i, sequence)), buy, 100) for i, buy in enumerate(takers)]


def same_orders(exchange: Any, traders: Sequence[LocalAccount], number: int, sequence: int) -> list[Fill]:
    """The same two orders again and again."""
    sell = exchange.order(traders[0], SELL, nonce=nonce(0, sequence), quantity=number)
    buy = exchange.order(traders[1], BUY, nonce=nonce(0, sequence), quantity=number)
    return [(sell, buy, 1)] * number


def in_tens(fills: Sequence[Fill]) -> list[list[Order]]:
    """Both sides' orders, ten under a signature. One that is left over is signed by itself."""
    sides = [[fill[side] for fill in fills] for side in (0, 1)]
    arrays = [side[i : i + 10] for side in sides for i in range(0, len(side), 10)]
    return [array for array in arrays if len(array) > 1]
