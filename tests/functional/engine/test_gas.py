"""Gas per fill by the number of fills in a batch, printed (`-s`) and compared with the committed snapshot.

A change that is meant is recorded with UPDATE_SNAPSHOTS=1.
"""

import json
import os
from pathlib import Path

import pytest

from tests.utils.batches import build_batch
from tests.utils.gas import (
    TRANSACTION_GAS_CAP,
    create_traders,
    fork,
    fresh_accounts,
    in_tens,
    one_maker,
    one_taker,
    same_orders,
    two_accounts,
)

SNAPSHOT = Path(__file__).with_name("gas.json")
TOLERANCE = 0.01  # addresses and signatures have zero bytes, which are cheaper, in other places each time


@pytest.fixture(scope="module")
def traders():
    return create_traders(200)


@pytest.fixture(scope="module")
def gas_chain(exchange, maker, traders):
    with fork(exchange, exchange.btc, maker) as chain:
        chain.enrich(traders)
        yield chain


@pytest.fixture
def measure(exchange, gas_chain):
    """Settle fills and return the gas per fill."""
    number = int(exchange.engine.lastBatch()[0])

    def run(fills, arrays=()):
        nonlocal number
        number += 1
        batch = build_batch(exchange.domain, number, gas_chain.now, fills, arrays=arrays)
        gas = gas_chain.settle(batch)
        assert gas is not None
        return round(gas / len(fills))

    with gas_chain.undone():
        yield run


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
