"""Engine and Clearinghouse against the pure model: random batches of all four products, and whatever happens between
them, give the same balances, order states, positions, pools and fill ids, bit for bit; and what one refuses the other
refuses with the same error and arguments."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import astuple, replace
from itertools import islice
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
from offchain.domain.ledger import FLAG_TERM, FUND, LedgerState, SettlementResult
from offchain.domain.market import MarketStatus
from offchain.domain.oracle import PriceFeed, Round
from offchain.domain.order import NO_EXPIRY
from tests.strategies import PROFILE
from tests.utils.clearing import AFTER_EXPIRY, Action, ActionFactory
from tests.utils.deployed import Exchange, Reverted, address_of, deploy_exchange
from tests.utils.endings import end_orders
from tests.utils.isolation import isolated
from tests.utils.mutator import Mutator
from tests.utils.settlement import BatchFactory, settle_model
from tests.utils.signing import Trader

RICH = tuple(Trader.named(role) for role in ("maker", "taker", "third", "fourth"))
POOR = Trader.named("poor")
TRADERS = (*RICH, POOR)
DELEGATE = Trader.named("delegate")
SET_ROUND = "setRound(uint80,int256,uint256,uint256,uint80)"

FILL = "0x" + keccak(b"Fill(bytes32)").hex()
MUTATIONS = 12
"""wrong batches per random valid one"""


@pytest.fixture(scope="module")
def exchange(
    chain: ChainManager, project: ProjectManager, owner: AccountAPI, operator: AccountAPI, guardian: AccountAPI
) -> Exchange:
    exchange = deploy_exchange(chain, project, owner, operator, guardian, has_derivatives=True)
    for trader in RICH:
        exchange.fund(trader, usdc=10**15, base=10**24)
    exchange.fund(POOR, usdc=50_000, base=40_000)
    exchange.fund_insurance(owner, 10**7)
    return exchange


@pytest.fixture(scope="module")
def ledger(exchange: Exchange, guardian: AccountAPI) -> LedgerState:
    """After a halt, with a delegate for two of the traders whose time is short, and a fee that will change."""
    now = exchange.chain.pending_timestamp + 10
    exchange.transact(guardian, exchange.engine.halt, time=now)
    exchange.transact(guardian, exchange.engine.endHalt, time=now + 500)
    for trader in RICH[:2]:
        exchange.transact(trader.address, exchange.control.setDelegate, DELEGATE.address, now + 1_500)
    exchange.transact(exchange.owner, exchange.engine.scheduleFee, 31, now + 5_000)
    state = exchange.ledger(TRADERS)
    state.delegates = {(trader.address, DELEGATE.address): now + 1_500 for trader in RICH[:2]}
    return state


def create_factory(
    exchange: Exchange, state: LedgerState, random: Random, traders: Sequence[Trader] = RICH
) -> BatchFactory:
    delegates = {account: DELEGATE for account, _ in state.delegates}
    return BatchFactory(exchange.domain, state, traders, exchange.markets, random, delegates)


def struct_calldata(batch: Batch) -> bytes:
    """`settleBatch` in the readable form."""
    accounts = [astuple(entry) for entry in batch.accounts]
    markets = [astuple(entry) for entry in batch.markets]
    positions = [astuple(entry) for entry in batch.positions]
    remaining = iter(batch.absent)
    groups = [
        (
            entry.signature[:32],
            entry.signature[32:],
            entry.leaf_count,
            list(islice(remaining, entry.absent_mask.bit_count())),
            entry.absent_mask,
        )
        for entry in batch.groups
    ]
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
            entry.forced,
        )
        for entry in batch.orders
    ]
    fills = [astuple(entry) for entry in batch.fills]
    types = (
        "(uint48,uint40,(address,uint32)[],(uint32,uint80)[],(uint16,uint32)[],(bytes32,bytes32,uint8,bytes32[],uint16)[],"
        "(uint16,uint16,uint8,uint8,bool,uint64,uint64,uint64,uint64,uint16,uint64,uint16,uint8,bool)[],"
        "(uint16,uint16,uint64)[])"
    )
    values = (batch.number, batch.matched_at, accounts, markets, positions, groups, orders, fills)
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
    """Every balance, nonce key, position and pool of everybody."""

    def read(contract: object, function: str, *arguments: object) -> tuple[int, ...]:
        result = exchange.call(exchange.operator, contract, encode_call(function, *arguments), now)
        words = (result[at : at + 32] for at in range(0, len(result), 32))
        return tuple(int.from_bytes(word, "big", signed=True) for word in words)

    assert read(exchange.engine, "lastBatch()") == (state.number, state.matched_at)
    traders = [trader.address for trader in TRADERS]
    for account in (state.engine, state.clearinghouse, FUND, *traders):
        assert read(exchange.vault, "sharesOf(address)", account) == (state.usdc.get(account, 0),)
        assert read(exchange.vault, "feesPaidOf(address)", account) == (state.fees_paid.get(account, 0),)
        for base in sorted({market.base for market in exchange.markets.values()}):
            balance = read(exchange.engine, "balanceOf(address,uint32)", account, base)
            assert balance == (state.base.get((account, base), 0),)
    for (account, instrument, key), kept in state.keys.items():
        stored = read(exchange.engine, "orderState(address,uint32,uint32)", account, instrument, key)
        assert stored == (kept.sequence, kept.filled)
    for market, cleared in state.clearing.items():
        words = read(exchange.clearinghouse, "marketState(uint32)", market)
        expected = (cleared.funding, cleared.last_hour, cleared.status, cleared.settle_per_lot, cleared.pool)
        assert words == expected
    for (account, market), position in state.positions.items():
        held = read(exchange.clearinghouse, "positionOf(address,uint32)", account, market)
        assert held == (position.size, position.quote, position.funding)
    for (account, market), request in state.exits.items():
        requested_at = request.requested_at if request and state.wants_exit((account, market), now) else 0
        ends_at = (request.ends_at or 0) if request else 0
        for function, time in (("exitRequestedAt", requested_at), ("exitEndsAt", ends_at)):
            assert read(exchange.clearinghouse, f"{function}(address,uint32)", account, market) == (time,)
    for (account, market), flagged_at in state.flags.items():
        counts = flagged_at is not None and state.clock(now) < flagged_at + FLAG_TERM
        noticed = read(exchange.clearinghouse, "flaggedAt(address,uint32)", account, market)
        assert noticed == (flagged_at if counts else 0,)


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
    with isolated(exchange.chain):
        state = copy.deepcopy(ledger)
        now = exchange.chain.pending_timestamp + 10
        factory = create_factory(exchange, state, random)
        for _ in range(3):
            batch = factory.create_batch(now, groups=random.randint(1, 8))
            is_packed = random.random() < 0.7
            calldata = settle_calldata(encode(batch)) if is_packed else struct_calldata(batch)
            assert_settles_alike(exchange, state, batch, now, calldata)
            now += random.randint(1, 100)


def push_prices(exchange: Exchange, state: LedgerState, random: Random, now: int) -> int:
    """A new round of each feed, in blocks from `now` on; most moves are small, some are beyond every margin.

    Returns the time of the next block.
    """
    for aggregator in {str(each.address): each for each in exchange.aggregators.values()}.values():
        markets = [market for market, each in exchange.aggregators.items() if each.address == aggregator.address]
        last = state.feeds[markets[0]].rounds[-1]
        move = random.choice((100, 300, 1_000, 2_500))
        answer = last.price // 10**10 * random.randint(10_000 - move, 10_000 + move) // 10_000
        data = encode_call(SET_ROUND, last.id + 1, answer, now - 59, now - 59, last.id + 1)
        assert exchange.send(exchange.owner, aggregator, data, now)["status"] == "0x1"
        for market in markets:
            feed = state.feeds[market]
            added = Round(last.id + 1, answer * 10**10, now - 59)
            state.feeds[market] = PriceFeed((*feed.rounds, added), feed.max_age)
        now += 1
    return now


def assert_acts_alike(exchange: Exchange, state: LedgerState, action: Action, now: int) -> bool:
    """Call the Clearinghouse and the model; whether both did it."""
    expected: Outcome = SETTLED
    try:
        changes = action.apply(state, now, address_of(exchange.operator))
    except SettlementError as error:
        expected = error.name, error.arguments
    try:
        exchange.call(action.sender, exchange.clearinghouse, action.calldata, now)
        actual = SETTLED
    except Reverted as error:
        actual = error.name, error.arguments
    assert actual == expected, action
    if expected != SETTLED:
        return False
    assert exchange.send(action.sender, exchange.clearinghouse, action.calldata, now)["status"] == "0x1"
    state.apply_changes(changes)
    assert_equal_state(exchange, state, now)
    return True


@profile(share=5)
@given(random=SEEDS.map(Random))
def test_clearing_goes_alike(exchange: Exchange, ledger: LedgerState, random: Random) -> None:
    """Batches, price moves, funding, liquidations, the fund, deleveraging, exits and expiries in any order."""
    with isolated(exchange.chain):
        state = copy.deepcopy(ledger)
        now = exchange.chain.pending_timestamp + 10
        factory = create_factory(exchange, state, random)
        traders = [trader.address for trader in RICH]
        actions = ActionFactory(state, traders, address_of(exchange.operator), random)
        for _ in range(4):
            batch = factory.create_batch(now, groups=random.randint(2, 8))
            assert_settles_alike(exchange, state, batch, now, settle_calldata(encode(batch)))
            now += random.choice((60, 600, 1_800, 3_700, 90_000))
            now = push_prices(exchange, state, random, now)
            for _ in range(12):
                now += assert_acts_alike(exchange, state, actions.create(now), now)
        now = max(
            now, *(rules.derivative.expiry for rules in state.markets.values() if rules.derivative)
        ) + random.choice((0, 60, 180_000))
        now = push_prices(exchange, state, random, now)
        for _ in range(12):
            now += assert_acts_alike(exchange, state, actions.create(now, AFTER_EXPIRY), now)


def pause_market(exchange: Exchange, state: LedgerState, market: int, now: int) -> None:
    """What was matched before still settles; `now` may be later than a batch's match time or not."""
    exchange.transact(exchange.owner, exchange.registry.setStatus, market, int(MarketStatus.PAUSED), time=now)
    state.markets[market] = replace(state.markets[market], status=MarketStatus.PAUSED, status_at=now)


@profile(share=2)
@given(random=SEEDS.map(Random))
def test_wrong_batches_are_refused_alike(exchange: Exchange, ledger: LedgerState, random: Random) -> None:
    with isolated(exchange.chain):
        state = copy.deepcopy(ledger)
        now = exchange.chain.pending_timestamp + 10
        traders = TRADERS if random.random() < 0.5 else RICH
        factory = create_factory(exchange, state, random)
        first = factory.create_batch(now, groups=3)
        assert_settles_alike(exchange, state, first, now, settle_calldata(encode(first)))
        factory.traders = traders
        now += 1
        batch = factory.create_batch(now, groups=random.randint(1, 4))
        mutator = Mutator(exchange.domain, TRADERS, exchange.markets, random)
        again = replace(first, number=batch.number, matched_at=batch.matched_at)
        if random.random() < 0.3:
            pause_market(exchange, state, random.choice(batch.markets).id, now)
            now += 1
        if random.random() < 0.3:
            end_orders(exchange, state, batch, TRADERS, random, now)
            assert_equal_state(exchange, state, now)
            now += 1
        for mutated in (batch, again, *(mutator.mutate(batch, now) for _ in range(MUTATIONS))):
            expected = model_outcome(state, mutated, now, exchange)
            assert engine_outcome(exchange, settle_calldata(encode(mutated)), now) == expected
            if has_readable_form(mutated):
                assert engine_outcome(exchange, struct_calldata(mutated), now) == expected


def has_readable_form(batch: Batch) -> bool:
    """Whether both forms say the same: a conversion limit of 0, an expiry of a GTC order, and a table of absent hashes
    that the masks do not ask for are packed only."""
    return (
        all(entry.conversion_limit != 0 for entry in batch.orders)
        and all(entry.time_in_force != 0 or entry.expiry == NO_EXPIRY for entry in batch.orders)
        and sum(entry.absent_mask.bit_count() for entry in batch.groups) == len(batch.absent)
    )


@profile(share=2)
@given(random=SEEDS.map(Random))
def test_damaged_bytes_are_refused_alike(exchange: Exchange, ledger: LedgerState, random: Random) -> None:
    """Cut, extended and altered bytes, whatever they then mean."""
    now = exchange.chain.pending_timestamp + 10
    batch = create_factory(exchange, ledger, random).create_batch(now, groups=2)
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
        assert engine_outcome(exchange, settle_calldata(bytes(damaged)), now) == expected


def test_the_fee_account_is_the_engine(exchange: Exchange, ledger: LedgerState) -> None:
    assert ledger.engine == address_of(exchange.engine)
