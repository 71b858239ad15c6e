"""The model of settlement with all four products: what random batches keep, whatever happens between them."""

from __future__ import annotations

from contextlib import suppress
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from offchain.chain.batch import decode, encode
from offchain.domain.batch import SettlementError
from offchain.domain.clearing import accrue
from offchain.domain.ledger import ClearingStatus, LedgerState
from offchain.domain.market import Kind
from tests.utils.clearing import ActionFactory
from tests.utils.mutator import Mutator
from tests.utils.products import (
    CLEARINGHOUSE,
    DOMAIN,
    ETH_PUT,
    MARKETS,
    NOW,
    create_ledger,
    push_price,
    sizes,
    total_usdc,
)
from tests.utils.settlement import BatchFactory, settle_model
from tests.utils.signing import Trader

TRADERS = tuple(Trader.named(role) for role in ("maker", "taker", "third", "fourth"))
DELEGATE = Trader.named("delegate")
DELEGATES = {trader.address: DELEGATE for trader in TRADERS[:2]}


def assert_clearing_is_sound(state: LedgerState) -> None:
    """Sizes sum to 0; each pool holds the quotes (of an option: the collateral of all short lots)."""
    for market, rules in state.markets.items():
        if rules.kind == Kind.SPOT:
            continue
        cleared = state.clearing.get(market)
        if cleared is None or cleared.status != ClearingStatus.OPEN:
            continue
        assert sum(sizes(state, market)) == 0
        assert cleared.pool >= 0
        held = [position for (_, instrument), position in state.positions.items() if instrument == market]
        if rules.is_option:
            assert rules.derivative is not None
            assert cleared.pool == rules.derivative.collateral * sum(max(0, -size) for size in sizes(state, market))
        else:
            assert cleared.pool >= sum(accrue(position, cleared.funding).quote for position in held)
    assert state.usdc.get(CLEARINGHOUSE, 0) == sum(cleared.pool for cleared in state.clearing.values())


def move_prices(state: LedgerState, random: Random, now: int) -> None:
    for market in (min(state.feeds), ETH_PUT):
        price = state.feeds[market].rounds[-1].price
        push_price(state, market, price * random.randint(9_700, 10_300) // 10_000, now)


def shake_prices(state: LedgerState, random: Random, now: int) -> None:
    """Most moves are small, some are beyond every margin."""
    for market in (min(state.feeds), ETH_PUT):
        price = state.feeds[market].rounds[-1].price
        move = random.choice((100, 300, 1_000, 2_500))
        push_price(state, market, price * random.randint(10_000 - move, 10_000 + move) // 10_000, now)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32).map(Random), st.sampled_from([0, 7, 50]))
def test_batches_of_all_products_keep_what_must_be_kept(random: Random, fee_bps: int) -> None:
    state = create_ledger(TRADERS, fee_bps)
    state.delegates = {(account, signer.address): NOW + 2_000 for account, signer in DELEGATES.items()}
    factory = BatchFactory(DOMAIN, state, TRADERS, MARKETS, random, DELEGATES)
    now = NOW
    for _ in range(4):
        batch = factory.create_batch(now, groups=random.randint(1, 8))
        assert decode(encode(batch)) == batch
        before = total_usdc(state)
        result = settle_model(state, batch, now, DOMAIN)
        state.apply(result)
        assert total_usdc(state) == before
        assert len(set(result.fill_ids)) == len(batch.fills)
        assert_clearing_is_sound(state)
        now += random.randint(60, 600)
        move_prices(state, random, now - 59)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32).map(Random))
def test_mutated_batches_survive_the_packed_form(random: Random) -> None:
    state = create_ledger(TRADERS)
    batch = BatchFactory(DOMAIN, state, TRADERS, MARKETS, random).create_batch(NOW, 3)
    mutated = Mutator(DOMAIN, TRADERS, MARKETS, random).mutate(batch, NOW)
    assert decode(encode(mutated)) == mutated


OPERATOR = b"\x0b" * 20


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32).map(Random))
def test_whatever_happens_the_ledger_stays_sound(random: Random) -> None:
    """Batches, price moves, funding, liquidations, exits and expiries in any order."""
    state = create_ledger(TRADERS, fund=random.choice((0, 10**6, 10**9)))
    addresses = [trader.address for trader in TRADERS]
    factory = BatchFactory(DOMAIN, state, TRADERS, MARKETS, random)
    actions = ActionFactory(state, addresses, OPERATOR, random)
    before, now = total_usdc(state), NOW
    for _ in range(8):
        state.apply(settle_model(state, factory.create_batch(now, groups=random.randint(2, 8)), now, DOMAIN))
        now += random.choice((60, 600, 1_800, 3_700, 3_700, 90_000))
        shake_prices(state, random, now - 59)
        for _ in range(12):
            with suppress(SettlementError):
                state.apply_changes(actions.create(now).apply(state, now, OPERATOR))
        assert total_usdc(state) == before
        assert_clearing_is_sound(state)
