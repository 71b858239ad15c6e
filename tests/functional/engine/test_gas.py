"""Gas per fill by the number of fills in a batch, printed (`-s`) and compared with the committed snapshot.

A change that is meant is recorded with UPDATE_SNAPSHOTS=1.
"""

import json
import os
import time
from pathlib import Path

import pytest
from eth_account import Account
from eth_utils import keccak

from scripts._lib.anvil import anvil, rpc
from tests.utils.batches import BUY, IOC, SELL, build_batch, nonce

ENGINE_POSITIONS = 0x9F1B5E2CA104415BFDC6E210BB3398404BF08BCD8AFB5FB88A80699712E07B00 + 4
VAULT_ACCOUNTS = 0xD50F58E43FCF4BF3257CFFBCCCDC0CD749EF4A9D733F0A026365EC6511BB9400 + 3
RICH = 10**15 << 128
TRANSACTION_GAS_CAP = 16_777_216  # EIP-7825
SNAPSHOT = Path(__file__).with_name("gas.json")
TOLERANCE = 0.01  # addresses and signatures have zero bytes, which are cheaper, in other places each time


@pytest.fixture(scope="module")
def traders():
    return [Account.from_key(keccak(text=f"trader {i}")) for i in range(200)]


@pytest.fixture(scope="module")
def url(exchange, traders):
    """An Anvil that forks the deployed system: Ape's records every step of a transaction, which is slow.

    The traders' balances are written to storage: their accounts exist, as those of regular traders do.
    """

    def write(contract, base, key, value):
        location = keccak(key.to_bytes(32, "big") + base.to_bytes(32, "big"))
        value = value.to_bytes(32, "big")
        rpc(own, "anvil_setStorageAt", contract.address, "0x" + location.hex(), "0x" + value.hex())

    with anvil(chain_id=exchange.provider.chain_id, fork_url=exchange.provider.uri) as own:
        for trader in traders:
            account = int(trader.address, 16)
            write(exchange.engine, ENGINE_POSITIONS, account << 96 | exchange.btc << 64, RICH)
            write(exchange.vault, VAULT_ACCOUNTS, account, RICH)
        yield own


def wait_for(url, transaction_hash):
    for _ in range(400):
        if receipt := rpc(url, "eth_getTransactionReceipt", transaction_hash):
            return receipt
        time.sleep(0.05)
    raise AssertionError(f"{transaction_hash} was not mined within 20 s")


@pytest.fixture
def measure(exchange, url):
    """Settle fills and return the gas per fill."""
    number = int(exchange.engine.lastBatch()[0])

    def run(fills):
        nonlocal number
        number += 1
        now = int(rpc(url, "eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        batch = build_batch(exchange.domain, number, now, fills)
        transaction = {
            "from": exchange.operator.address,
            "to": exchange.engine.address,
            "data": "0x" + batch.packed_calldata().hex(),
            "gas": hex(TRANSACTION_GAS_CAP),
        }
        receipt = wait_for(url, rpc(url, "eth_sendTransaction", transaction))
        assert int(receipt["status"], 16) == 1
        assert len(receipt["logs"]) == len(fills) + 1
        return round(int(receipt["gasUsed"], 16) / len(fills))

    snapshot = rpc(url, "evm_snapshot")
    yield run
    rpc(url, "evm_revert", snapshot)


def fresh_accounts(exchange, traders, number, sequence):
    """Each fill has two orders and two accounts of its own."""
    orders = [
        exchange.order(trader, (SELL, BUY)[i % 2], nonce=nonce(0, sequence))
        for i, trader in enumerate(traders[: 2 * number])
    ]
    return [(*pair, 100) for pair in zip(orders[::2], orders[1::2], strict=True)]


def two_accounts(exchange, traders, number, sequence):
    """Each fill has two orders of its own, all of the same two accounts."""
    sells = [exchange.order(traders[0], SELL, nonce=nonce(2 + i, sequence)) for i in range(number)]
    buys = [exchange.order(traders[1], BUY, nonce=nonce(2 + i, sequence)) for i in range(number)]
    return [(*pair, 100) for pair in zip(sells, buys, strict=True)]


def one_taker(exchange, traders, number, sequence):
    """An IOC order takes from makers of their own accounts."""
    terms = {"quantity": 100 * number, "time_in_force": IOC, "expiry": 2**40 - 1, "nonce": nonce(0, sequence)}
    taker = exchange.order(traders[0], BUY, **terms)
    return [(exchange.order(traders[1 + i], SELL, nonce=nonce(0, sequence)), taker, 100) for i in range(number)]


def same_orders(exchange, traders, number, sequence):
    """The same two orders again and again."""
    sell = exchange.order(traders[0], SELL, nonce=nonce(0, sequence), quantity=number)
    buy = exchange.order(traders[1], BUY, nonce=nonce(0, sequence), quantity=number)
    return [(sell, buy, 1)] * number


@pytest.mark.parametrize("case", [fresh_accounts, two_accounts, one_taker, same_orders])
def test_gas_per_fill_is_that_of_the_snapshot(exchange, traders, measure, case):
    measure(two_accounts(exchange, traders, 100, 1))  # so that no word that is written below is empty
    measured = {
        str(number): measure(case(exchange, traders, number, sequence))
        for sequence, number in ((10, 1), (11, 10), (12, 100))
    }
    print(f"\ngas per fill, {case.__name__}: {measured}")
    snapshot = json.loads(SNAPSHOT.read_text())
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(json.dumps(snapshot | {case.__name__: measured}, indent=2) + "\n")
    else:
        assert measured == pytest.approx(snapshot[case.__name__], rel=TOLERANCE)


def test_code_leaves_room_below_the_limit(project):
    assert len(project.Engine.contract_type.get_runtime_bytecode()) <= 24_576 - 2_048
