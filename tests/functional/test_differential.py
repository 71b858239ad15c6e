"""The Engine against the pure model: random batches give the same balances, order states and fill ids, bit for bit, and
what one refuses the other refuses with the same error and arguments."""

from __future__ import annotations

import copy
from dataclasses import astuple, replace
from random import Random

import pytest
from ape.api import AccountAPI
from ape.managers import ChainManager
from ape.managers.project import ProjectManager
from eth_abi import encode as abi_encode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offchain.chain.abi import encode_call
from offchain.chain.batch import decode, encode
from offchain.chain.calldata import settle_calldata
from offchain.chain.eip712 import keccak
from offchain.domain.batch import Batch, SettlementError
from offchain.domain.ledger import LedgerState, SettlementResult
from offchain.domain.order import NO_EXPIRY
from tests.strategies import PROFILE
from tests.utils.deployed import Exchange, Reverted, address_of, deploy_exchange
from tests.utils.mutator import Mutator
from tests.utils.settlement import BatchFactory, settle_model
from tests.utils.signing import Trader

RICH = tuple(Trader.named(role) for role in ("maker", "taker", "third", "fourth"))
POOR = Trader.named("poor")
TRADERS = (*RICH, POOR)

FILL = "0x" + keccak(b"Fill(bytes32)").hex()
MUTATIONS = 12
"""wrong batches per random valid one"""


@pytest.fixture(scope="module")
def exchange(
    chain: ChainManager, project: ProjectManager, owner: AccountAPI, operator: AccountAPI, guardian: AccountAPI
) -> Exchange:
    exchange = deploy_exchange(chain, project, owner, operator, guardian)
    for trader in RICH:
        exchange.fund(trader, usdc=10**15, base=10**24)
    exchange.fund(POOR, usdc=50_000, base=40_000)
    return exchange


@pytest.fixture(scope="module")
def ledger(exchange: Exchange) -> LedgerState:
    return exchange.ledger(TRADERS)


def struct_calldata(batch: Batch) -> bytes:
    """`settleBatch` in the readable form."""
    accounts = [astuple(entry) for entry in batch.accounts]
    positions = [astuple(entry) for entry in batch.positions]
    groups = [(entry.signature[:32], entry.signature[32:], entry.leaf_count) for entry in batch.groups]
    orders = [
        (
            entry.position,
            entry.market,
            entry.side,
            entry.time_in_force,
            entry.reduce_only,
            entry.nonce,
            entry.price,
            entry.quantity,
            entry.expiry,
            entry.max_fee_bps,
            entry.conversion_limit or 0,
            entry.group,
            entry.leaf,
        )
        for entry in batch.orders
    ]
    fills = [astuple(entry) for entry in batch.fills]
    types = (
        "(uint48,uint40,(address,uint32)[],uint32[],(uint16,uint32)[],(bytes32,bytes32,uint8)[],(uint16,uint16,uint8,uint8,"
        "bool,uint64,uint64,uint64,uint64,uint16,uint64,uint16,uint8)[],(uint16,uint16,uint64)[])"
    )
    values = (batch.number, batch.matched_at, accounts, list(batch.markets), positions, groups, orders, fills)
    return keccak(f"settleBatch({types})".encode())[:4] + abi_encode([types], [values])


Outcome = tuple[str, tuple[int | str, ...]]
"""The error with its arguments, or SETTLED."""

SETTLED: Outcome = ("", ())


def model_outcome(state: LedgerState, batch: Batch, now: int, exchange: Exchange) -> Outcome:
    try:
        settle_model(state, batch, now, exchange.domain)
    except SettlementError as error:
        return error.name, error.arguments
    return SETTLED


def engine_outcome(exchange: Exchange, calldata: bytes, now: int) -> Outcome:
    try:
        exchange.call(exchange.operator, exchange.engine, calldata, now)
    except Reverted as error:
        return error.name, error.arguments
    return SETTLED


def assert_equal_state(exchange: Exchange, state: LedgerState, now: int) -> None:
    """Every balance and every nonce key of every trader."""

    def read(contract: object, function: str, *arguments: object) -> tuple[int, ...]:
        result = exchange.call(exchange.operator, contract, encode_call(function, *arguments), now)
        return tuple(int.from_bytes(result[at : at + 32], "big") for at in range(0, len(result), 32))

    assert read(exchange.engine, "lastBatch()") == (state.number, state.matched_at)
    for account in (state.engine, *(trader.address for trader in TRADERS)):
        assert read(exchange.vault, "sharesOf(address)", account) == (state.usdc.get(account, 0),)
        for market in exchange.markets.values():
            balance = read(exchange.engine, "balanceOf(address,uint32)", account, market.instrument)
            assert balance == (state.base.get((account, market.instrument), 0),)
    for (account, instrument, key), kept in state.keys.items():
        stored = read(exchange.engine, "orderState(address,uint32,uint32)", account, instrument, key)
        assert stored == (kept.sequence, kept.filled)


def assert_settles_alike(
    exchange: Exchange, state: LedgerState, batch: Batch, now: int, calldata: bytes
) -> SettlementResult:
    result = settle_model(state, batch, now, exchange.domain)
    receipt = exchange.send(exchange.operator, exchange.engine, calldata, now)
    assert receipt["status"] == "0x1"
    fills = [log["data"] for log in receipt["logs"] if log["topics"][0] == FILL]
    assert fills == ["0x" + fill_id.hex() for fill_id in result.fill_ids]
    state.apply(result)
    assert_equal_state(exchange, state, now)
    return result


SEEDS = st.integers(0, 2**64)


def profile(share: int) -> settings:
    """The shared profile with one in `share` of its examples: each one here mines blocks."""
    suppressed = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(PROFILE, max_examples=PROFILE.max_examples // share, suppress_health_check=suppressed)


@profile(share=5)
@given(random=SEEDS.map(Random))
def test_batches_settle_alike(exchange: Exchange, ledger: LedgerState, random: Random) -> None:
    """Several batches one after the other, in either form, on one state."""
    with exchange.chain.isolate():
        state = copy.deepcopy(ledger)
        now = exchange.chain.pending_timestamp + 10
        factory = BatchFactory(exchange.domain, state, RICH, exchange.markets, random)
        for _ in range(3):
            batch = factory.create_batch(now, groups=random.randint(1, 8))
            is_packed = random.random() < 0.7
            calldata = settle_calldata(encode(batch)) if is_packed else struct_calldata(batch)
            assert_settles_alike(exchange, state, batch, now, calldata)
            now += random.randint(1, 100)


@profile(share=2)
@given(random=SEEDS.map(Random))
def test_wrong_batches_are_refused_alike(exchange: Exchange, ledger: LedgerState, random: Random) -> None:
    with exchange.chain.isolate():
        state = copy.deepcopy(ledger)
        now = exchange.chain.pending_timestamp + 10
        traders = TRADERS if random.random() < 0.5 else RICH
        factory = BatchFactory(exchange.domain, state, RICH, exchange.markets, random)
        first = factory.create_batch(now, groups=3)
        assert_settles_alike(exchange, state, first, now, settle_calldata(encode(first)))
        factory.traders = traders
        now += 1
        batch = factory.create_batch(now, groups=random.randint(1, 4))
        mutator = Mutator(exchange.domain, TRADERS, exchange.markets, random)
        again = replace(first, number=batch.number, matched_at=batch.matched_at)
        for mutated in (batch, again, *(mutator.mutate(batch, now) for _ in range(MUTATIONS))):
            expected = model_outcome(state, mutated, now, exchange)
            assert engine_outcome(exchange, settle_calldata(encode(mutated)), now) == expected
            if has_readable_form(mutated):
                assert engine_outcome(exchange, struct_calldata(mutated), now) == expected


def has_readable_form(batch: Batch) -> bool:
    """Whether both forms say the same: a conversion limit of 0, and an expiry of a GTC order, are packed only."""
    return all(entry.conversion_limit != 0 for entry in batch.orders) and all(
        entry.time_in_force != 0 or entry.expiry == NO_EXPIRY for entry in batch.orders
    )


@profile(share=2)
@given(random=SEEDS.map(Random))
def test_damaged_bytes_are_refused_alike(exchange: Exchange, ledger: LedgerState, random: Random) -> None:
    """Cut, extended and altered bytes, whatever they then mean."""
    now = exchange.chain.pending_timestamp + 10
    batch = BatchFactory(exchange.domain, ledger, RICH, exchange.markets, random).create_batch(now, groups=2)
    packed = bytearray(encode(batch))
    for _ in range(MUTATIONS):
        damaged = bytearray(packed)
        match random.randrange(3):
            case 0:
                del damaged[random.randrange(len(damaged)) :]
            case 1:
                damaged += random.randbytes(random.randint(1, 40))
            case _:
                damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
        expected: Outcome
        try:
            expected = model_outcome(ledger, decode(bytes(damaged)), now, exchange)
        except SettlementError as error:
            expected = error.name, error.arguments
        actual = engine_outcome(exchange, settle_calldata(bytes(damaged)), now)
        if expected[0] == "MalformedBatch" and actual[0] == "UnexpectedConversionLimit":
            # A flag announces a conversion limit for which there are no bytes: either error says so.
            continue
        assert actual == expected


def test_the_fee_account_is_the_engine(exchange: Exchange, ledger: LedgerState) -> None:
    assert ledger.engine == address_of(exchange.engine)
