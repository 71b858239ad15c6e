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

ENGINE_STORAGE = 0x9F1B5E2CA104415BFDC6E210BB3398404BF08BCD8AFB5FB88A80699712E07B00
VAULT_STORAGE = 0xD50F58E43FCF4BF3257CFFBCCCDC0CD749EF4A9D733F0A026365EC6511BB9400
RICH = 10**15 << 128
TRANSACTION_GAS_CAP = 16_777_216  # EIP-7825
SNAPSHOT = Path(__file__).with_name("gas.json")
TOLERANCE = 0.01  # addresses and signatures have zero bytes, which are cheaper, in other places each time


@pytest.fixture(scope="module")
def traders():
    return [Account.from_key(keccak(text=f"trader {i}")) for i in range(200)]


def location_of(key, mapping):
    return int.from_bytes(keccak(key.to_bytes(32, "big") + mapping.to_bytes(32, "big")), "big")


def find_mapping(exchange, contract, storage, key, balance):
    """The slot of the mapping whose word of `key` starts with a balance of 128 bits."""
    for mapping in range(storage, storage + 32):
        word = exchange.provider.get_storage(contract.address, location_of(key, mapping))
        if int.from_bytes(word, "big") >> 128 == balance:
            return mapping
    raise AssertionError("no mapping has the balance")


@pytest.fixture(scope="module")
def url(exchange, maker, traders):
    """An Anvil that forks the deployed system: Ape's records every step of a transaction, which is slow.

    The traders' balances are written to storage: their accounts exist, as those of regular traders do.
    """

    def position(account):
        return int(account, 16) << 96 | exchange.btc << 64

    def write(contract, mapping, key, value):
        location, value = (number.to_bytes(32, "big") for number in (location_of(key, mapping), value))
        rpc(own, "anvil_setStorageAt", contract.address, "0x" + location.hex(), "0x" + value.hex())

    known = (position(maker.address), exchange.base_of(maker))
    positions = find_mapping(exchange, exchange.engine, ENGINE_STORAGE, *known)
    known = (int(maker.address, 16), exchange.usdc_of(maker))
    accounts = find_mapping(exchange, exchange.vault, VAULT_STORAGE, *known)

    with anvil(chain_id=exchange.provider.chain_id, fork_url=exchange.provider.uri) as own:
        for trader in traders:
            write(exchange.engine, positions, position(trader.address), RICH)
            write(exchange.vault, accounts, int(trader.address, 16), RICH)
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

    def run(fills, arrays=()):
        nonlocal number
        number += 1
        now = int(rpc(url, "eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        batch = build_batch(exchange.domain, number, now, fills, arrays=arrays)
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


def one_maker(exchange, traders, number, sequence):
    """A maker's orders are taken by takers of their own accounts."""
    terms = {"time_in_force": IOC, "expiry": 2**40 - 1, "nonce": nonce(0, sequence)}
    takers = [exchange.order(trader, BUY, **terms) for trader in traders[1 : 1 + number]]
    return [(exchange.order(traders[0], SELL, nonce=nonce(2 + i, sequence)), buy, 100) for i, buy in enumerate(takers)]


def same_orders(exchange, traders, number, sequence):
    """The same two orders again and again."""
    sell = exchange.order(traders[0], SELL, nonce=nonce(0, sequence), quantity=number)
    buy = exchange.order(traders[1], BUY, nonce=nonce(0, sequence), quantity=number)
    return [(sell, buy, 1)] * number


def in_tens(fills):
    """Both sides' orders, ten under a signature."""
    sides = [[fill[side] for fill in fills] for side in (0, 1)]
    return [side[i : i + 10] for side in sides for i in range(0, len(side), 10)]


def check_snapshot(name, measured):
    print(f"\ngas per fill, {name}: {measured}")
    snapshot = json.loads(SNAPSHOT.read_text())
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(json.dumps(snapshot | {name: measured}, indent=2) + "\n")
    else:
        assert measured == pytest.approx(snapshot[name], rel=TOLERANCE)


@pytest.mark.parametrize("case", [fresh_accounts, one_taker, one_maker, two_accounts, same_orders])
def test_gas_per_fill_is_that_of_the_snapshot(exchange, traders, measure, case):
    measure(two_accounts(exchange, traders, 100, 1))  # so that no word that is written below is empty
    measured = {
        str(number): measure(case(exchange, traders, number, sequence))
        for sequence, number in ((10, 1), (11, 10), (12, 100))
    }
    check_snapshot(case.__name__, measured)


def test_gas_per_fill_of_orders_in_arrays_is_that_of_the_snapshot(exchange, traders, measure):
    measure(two_accounts(exchange, traders, 100, 1))
    measured = {}
    for sequence, number in ((11, 10), (12, 100)):
        fills = two_accounts(exchange, traders, number, sequence)
        measured[str(number)] = measure(fills, in_tens(fills))
    check_snapshot("arrays_of_ten", measured)


@pytest.mark.parametrize(("case", "few", "many"), [(same_orders, 400, 2_000), (two_accounts, 60, 300)])
def test_gas_exhaustion_by_a_batch_as_large_as_a_transaction(exchange, traders, measure, case, few, many):
    """It settles under the cap of EIP-7825, and nothing in it is worse than linear."""
    measure(case(exchange, traders, many, 1))
    per_fill = [measure(case(exchange, traders, number, sequence)) for sequence, number in ((2, few), (3, many))]
    assert per_fill[1] < 1.1 * per_fill[0]
    assert per_fill[1] * many < TRANSACTION_GAS_CAP


def test_code_leaves_room_below_the_limit(project):
    assert len(project.Engine.contract_type.get_runtime_bytecode()) <= 24_576 - 256
