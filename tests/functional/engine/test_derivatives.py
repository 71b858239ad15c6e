"""Fills in derivative markets: what the Engine checks, what it hands to the Clearinghouse, and what it does with the
answer. The Clearinghouse is a mock that records its input."""

import pytest
from eth_account import Account

from tests.functional.engine.exchange import BTC_PARAMS as PARAMS
from tests.functional.engine.exchange import FORMS, NO_DERIVATIVE, create_market, create_perpetual
from tests.utils.batches import BUY, FUND, IOC, NOTHING_SIGNED, RESERVED_KEY, SELL, Keyless, nonce

ROUND = 1
IMMEDIATE = {"time_in_force": IOC, "expiry": 2**40 - 1}
BUYER_REDUCE_ONLY, SELLER_REDUCE_ONLY, BUYER_FORCED, SELLER_FORCED = 1, 2, 4, 8


@pytest.fixture(scope="module")
def perpetual(exchange, project, owner):
    return create_perpetual(exchange, project, owner)


@pytest.fixture(scope="module")
def option(exchange, project, owner):
    oracle = owner.deploy(project.MockOracle)
    oracle.setRound(1, 60_000 * 10**18, exchange.now, sender=owner)
    terms = {"expiry": exchange.now + 10**7, "strike": 50_000 * 10**6, "isPut": True}
    derivative = NO_DERIVATIVE | terms
    changes = {"kind": 3, "oracle": oracle, "derivative": derivative}
    return create_market(exchange.registry, owner, "BTC-PUT", exchange.btc, PARAMS, **changes)


@pytest.fixture
def order(exchange, perpetual):
    def create(signer, side, market=perpetual, **changes):
        return exchange.order(signer, side, **({"market": market, "instrument": market} | changes))

    return create


@pytest.fixture
def forced(order):
    """A forced order, as it should be unless `changes` say otherwise."""

    def create(account, side=SELL, **changes):
        terms = {"forced": True, "reduce_only": True, "nonce": nonce(RESERVED_KEY, 0), "max_fee_bps": 0, **IMMEDIATE}
        return order(Keyless(account), side, **(terms | changes))

    return create


@pytest.fixture
def answer(exchange, owner):
    """Tell the Clearinghouse what to answer."""

    def run(deltas, fees, own=0, penalties=0):
        exchange.clearinghouse.setAnswer(deltas, fees, own, penalties, sender=owner)

    run([0, 0], [0, 0])
    return run


def words(batch):
    """What the positions of a batch look like as words."""
    return [
        int(batch.accounts[account][0], 16) << 96 | instrument << 64 | batch.accounts[account][1] << 32 | account
        for account, instrument in batch.positions
    ]


def fill_word(batch, index, flags=0):
    maker, taker, lots = batch.fills[index]
    make, take = batch.orders[maker], batch.orders[taker]
    buyer, seller = (make, take) if make.side == BUY else (take, make)
    tables = buyer.position << 240 | seller.position << 224 | make.market << 208
    return tables | flags << 200 | index << 184 | make.price << 128 | lots << 88


@pytest.mark.parametrize("form", FORMS)
def test_fill_is_handed_to_the_clearinghouse(exchange, maker, taker, order, perpetual, answer, form):
    sell, buy = order(maker, SELL), order(taker, BUY)
    batch = exchange.batch([(sell, buy, 40)])
    receipt = exchange.settle(batch, form)
    assert exchange.clearinghouse.input() == (
        batch.matched_at,
        50,
        [perpetual],
        exchange.registry.marketWords([perpetual]),
        [0],
        words(batch),
        [fill_word(batch, 0)],
    )
    assert exchange.fill_ids(receipt) == [exchange.fill_id(sell, buy)]
    assert exchange.state_of(sell) == exchange.state_of(buy) == (1, 40)


def test_price_is_the_makers(exchange, maker, taker, order, answer):
    batch = exchange.batch([(order(maker, BUY, price=700_000), order(taker, SELL, price=500_000), 3)])
    exchange.settle(batch)
    fill = exchange.clearinghouse.input().fills[0]
    assert fill == fill_word(batch, 0)
    assert fill >> 128 & (2**56 - 1) == 700_000


def test_no_money_moves_but_what_the_clearinghouse_says(exchange, maker, taker, order, answer):
    before = exchange.usdc_of(maker), exchange.usdc_of(taker), exchange.usdc_of(exchange.engine)
    exchange.settle(exchange.batch([(order(maker, SELL), order(taker, BUY), 40)]))
    assert (exchange.usdc_of(maker), exchange.usdc_of(taker), exchange.usdc_of(exchange.engine)) == before


def test_answer_changes_the_accounts(exchange, maker, taker, order, answer):
    batch = exchange.batch([(order(maker, SELL), order(taker, BUY), 40)])
    before = [exchange.usdc_of(Keyless(account)) for account, _ in batch.accounts]
    collected = exchange.usdc_of(exchange.engine)
    answer([-1_000, -500], [30, 20], 1_400, 50)
    exchange.settle(batch)
    after = [exchange.usdc_of(Keyless(account)) for account, _ in batch.accounts]
    assert after == [before[0] - 1_000, before[1] - 500]
    assert exchange.usdc_of(exchange.engine) == collected + 50
    assert exchange.usdc_of(exchange.clearinghouse) == 1_400
    assert exchange.usdc_of(Keyless(FUND)) == 50


def test_fees_beyond_their_field_reach_no_other(exchange, fund, accounts, maker, order, answer):
    """The Vault's entries have 64 bits for fees; what is above would change the epoch or the account."""
    rich, excess = accounts[6], 2**64 + 2**32
    fund(rich, usdc=excess)
    batch = exchange.batch([(order(maker, SELL), order(Account.from_key(rich.private_key), BUY), 40)])
    deltas = [-excess if batch.accounts[account][0] == rich.address else 0 for account, _ in batch.positions]
    answer(deltas, [-delta for delta in deltas])
    exchange.settle(batch)
    assert exchange.usdc_of(rich) == 0
    assert (exchange.vault.feesPaidOf(rich), exchange.vault.epochOf(rich)) == (2**56 - 1, 0)
    assert exchange.usdc_of(exchange.engine) == excess


def test_answer_that_does_not_balance_is_refused(exchange, maker, taker, order, answer):
    batch = exchange.batch([(order(maker, SELL), order(taker, BUY), 40)])
    answer([-1_000, -500], [30, 20], 1_401, 50)
    exchange.refuse(batch, "UnbalancedDeltas", 1)
    answer([-1_000, -500], [30, 20], -1, 50)
    exchange.refuse(batch, "InsufficientBalance", 3)
    answer([-(2**255), -500], [30, 20], 1, 50)
    exchange.refuse(batch, "InsufficientBalance", 0)


@pytest.mark.parametrize(("deltas", "fees"), [([], []), ([0], [0]), ([0, 0, 0], [0, 0, 0]), ([0, 0], [0])])
def test_answer_of_another_length_is_refused(exchange, maker, taker, order, answer, deltas, fees):
    batch = exchange.batch([(order(maker, SELL), order(taker, BUY), 40)])
    answer(deltas, fees)
    exchange.refuse(batch, "ClearinghouseMismatch")


def test_what_the_clearinghouse_refuses_is_refused(exchange, owner, maker, taker, order):
    batch = exchange.batch([(order(maker, SELL), order(taker, BUY), 40)])
    exchange.clearinghouse.setRefuses(True, sender=owner)
    exchange.refuse(batch, "Refused")
    exchange.clearinghouse.setRefuses(False, sender=owner)


def test_spot_and_derivative_fills_share_a_batch(exchange, maker, taker, order, perpetual, answer):
    spot = (exchange.order(maker, SELL), exchange.order(taker, BUY), 10)
    batch = exchange.batch([spot, (order(maker, SELL), order(taker, BUY), 40), (*spot[:2], 5)])
    before = exchange.usdc_of(maker)
    index = [account for account, _ in batch.accounts].index(maker.address)
    derivative = batch.positions.index((index, perpetual))
    deltas = [-7_000 if i == derivative else 0 for i in range(4)]
    answer(deltas, [1_000 if i == derivative else 0 for i in range(4)], 6_000)
    exchange.settle(batch)
    notional, fees = 15 * 600_000, 30_000 + 15_000
    assert exchange.usdc_of(maker) == before + notional - fees - 7_000
    assert exchange.usdc_of(exchange.engine) == 2 * fees + 1_000
    recorded = exchange.clearinghouse.input()
    assert recorded.fills == [fill_word(batch, 1)]
    assert recorded.markets == [exchange.btc_market, perpetual]
    assert len(recorded.positions) == 4


def test_batch_without_derivative_fills_is_not_handed_over(exchange, maker, taker, order):
    calls = exchange.clearinghouse.calls()
    fill = (exchange.order(maker, SELL), exchange.order(taker, BUY), 10)
    exchange.settle(exchange.batch([fill], idle=[order(maker, SELL)]))
    assert exchange.clearinghouse.calls() == calls


def test_reduce_only_is_handed_over(exchange, maker, taker, order, answer):
    batch = exchange.batch([(order(maker, SELL, reduce_only=True), order(taker, BUY), 40)])
    exchange.settle(batch)
    assert exchange.clearinghouse.input().fills == [fill_word(batch, 0, SELLER_REDUCE_ONLY)]
    batch = exchange.batch([(order(maker, SELL, nonce=nonce(0, 2)), order(taker, BUY, reduce_only=True), 40)])
    exchange.settle(batch)
    assert exchange.clearinghouse.input().fills == [fill_word(batch, 0, BUYER_REDUCE_ONLY)]


def test_options_are_handed_over(exchange, maker, taker, order, option, answer):
    batch = exchange.batch([(order(maker, SELL, option), order(taker, BUY, option), 40)])
    exchange.settle(batch)
    assert exchange.clearinghouse.input().fills == [fill_word(batch, 0)]


def test_conversion_limit_is_refused(exchange, maker, taker, order):
    batch = exchange.batch([(order(maker, SELL), order(taker, BUY, conversion_limit=1), 4)])
    exchange.refuse(batch, "UnexpectedConversionLimit", batch.fills[0][1])


def test_position_of_a_derivative_is_in_its_market(exchange, maker, taker, perpetual):
    """Not in the asset that it is on."""
    wrong = {"market": perpetual, "instrument": exchange.btc}
    batch = exchange.batch([(exchange.order(maker, SELL, **wrong), exchange.order(taker, BUY, **wrong), 4)])
    exchange.refuse(batch, "InstrumentMismatch", 0)


# ---- forced orders


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("side", [BUY, SELL])
def test_forced_order_needs_no_signature(exchange, maker, taker, order, forced, perpetual, answer, side, form):
    other = order(maker, 1 - side)
    order_ = forced(taker.address, side)
    batch = exchange.batch([(other, order_, 40)], rounds={perpetual: ROUND})
    assert len(batch.groups) == 1
    receipt = exchange.settle(batch, form)
    recorded = exchange.clearinghouse.input()
    assert recorded.rounds == [ROUND]
    flags = BUYER_FORCED | BUYER_REDUCE_ONLY if side == BUY else SELLER_FORCED | SELLER_REDUCE_ONLY
    assert recorded.fills == [fill_word(batch, 0, flags)]
    assert exchange.state_of(order_) == (1, 0)  # immediate: what is left is done with
    hashed = forced(taker.address, side, epoch=NOTHING_SIGNED)
    assert exchange.fill_ids(receipt) == [exchange.fill_id(other, hashed)]


def test_insurance_fund_trades_by_forced_orders(exchange, maker, order, forced, perpetual, answer):
    exchange.settle(exchange.batch([(order(maker, BUY), forced(FUND), 7)], rounds={perpetual: ROUND}))
    assert exchange.state_of(forced(FUND)) == (1, 0)


def test_account_trades_itself_and_is_liquidated_in_one_batch(exchange, maker, taker, order, forced, perpetual, answer):
    """Its entry carries its epoch then, which the Vault compares."""
    own = order(taker, BUY)
    fills = [(order(maker, SELL), own, 5), (order(maker, BUY, nonce=nonce(1, 1)), forced(taker.address), 5)]
    batch = exchange.batch(fills, rounds={perpetual: ROUND})
    assert dict(batch.accounts)[taker.address] == 0
    exchange.accept(batch)


def test_forced_sequence_is_the_stored_one(exchange, maker, taker, order, forced, perpetual, answer):
    """The operator cannot use up the key, after which the account could not be liquidated through the book."""

    def batch(sequence, own):
        sell = forced(taker.address, nonce=nonce(RESERVED_KEY, sequence))
        return exchange.batch([(order(maker, BUY, nonce=nonce(0, own)), sell, 5)], rounds={perpetual: ROUND})

    for stored in range(3):
        for wrong in {max(0, stored - 1), stored + 1, 2**32 - 2} - {stored}:
            refused = batch(wrong, stored + 1)
            exchange.refuse(refused, "StaleNonce", refused.fills[0][1])
        exchange.settle(batch(stored, stored + 1))
        assert exchange.engine.orderState(taker.address, perpetual, RESERVED_KEY) == (stored + 1, 0)


def test_position_has_one_forced_order_in_a_batch(exchange, maker, taker, order, forced, perpetual, answer):
    fills = [
        (order(maker, BUY, nonce=nonce(0, 1)), forced(taker.address), 5),
        (order(maker, BUY, nonce=nonce(1, 1)), forced(taker.address, nonce=nonce(RESERVED_KEY, 1)), 5),
    ]
    batch = exchange.batch(fills, rounds={perpetual: ROUND})
    exchange.refuse(batch, "StaleNonce", batch.fills[1][1])


@pytest.mark.parametrize(
    "changes",
    [
        {"time_in_force": 0, "expiry": 2**64 - 1},
        {"time_in_force": 1},
        {"time_in_force": 3},
        {"reduce_only": False},
        {"nonce": nonce(0, 0)},
        {"nonce": nonce(RESERVED_KEY - 1, 0)},
    ],
)
def test_forced_order_of_another_form(exchange, maker, taker, order, forced, perpetual, changes):
    batch = exchange.batch([(order(maker, BUY), forced(taker.address, **changes), 4)], rounds={perpetual: ROUND})
    exchange.refuse(batch, "InvalidForced", batch.fills[0][1])


@pytest.mark.parametrize(("group", "leaf"), [(0, 0), (2**16 - 2, 0), (2**16 - 1, 1), (2**16 - 1, 255)])
def test_forced_order_that_names_a_signature(exchange, maker, taker, order, forced, perpetual, group, leaf):
    """It must not fill a leaf that somebody signed."""
    batch = exchange.batch([(order(maker, BUY), forced(taker.address), 4)], rounds={perpetual: ROUND})
    index = batch.fills[0][1]
    batch.edit_order(index, group=group, leaf=leaf)
    exchange.refuse(batch, "InvalidForced", index)


def test_order_without_a_signature_that_is_not_forced(exchange, maker, taker, order, forced, perpetual):
    """The flag cannot be dropped, nor the signature of an ordinary order."""
    batch = exchange.batch([(order(maker, BUY), forced(taker.address), 4)], rounds={perpetual: ROUND})
    index = batch.fills[0][1]
    batch.edit_order(index, forced=False)
    exchange.refuse(batch, "IndexOutOfRange", 2, index)
    batch = exchange.batch([(exchange.order(maker, SELL), exchange.order(taker, BUY), 4)])
    batch.edit_order(0, group=2**16 - 1)
    exchange.refuse(batch, "IndexOutOfRange", 2, 0)


def test_forced_order_in_a_spot_market(exchange, maker, taker):
    """Nobody's spot balance can be sold without a signature."""
    terms = {"forced": True, "reduce_only": True, "nonce": nonce(RESERVED_KEY, 0), **IMMEDIATE}
    batch = exchange.batch([(exchange.order(maker, BUY), exchange.order(taker, SELL, **terms), 4)])
    exchange.refuse(batch, "InvalidForced", batch.fills[0][1])


def test_forced_order_in_an_option(exchange, maker, taker, order, forced, option):
    batch = exchange.batch([(order(maker, BUY, option), forced(taker.address, market=option), 4)], rounds={option: 1})
    exchange.refuse(batch, "InvalidForced", batch.fills[0][1])


def test_forced_order_is_never_a_maker(exchange, maker, taker, order, forced, perpetual):
    batch = exchange.batch([(forced(taker.address), order(maker, BUY), 4)], rounds={perpetual: ROUND})
    exchange.refuse(batch, "MakerNotResting", 0)


def test_two_forced_orders_cannot_trade_with_each_other(exchange, maker, taker, forced, perpetual):
    fill = (forced(maker.address, BUY), forced(taker.address), 4)
    exchange.refuse(exchange.batch([fill], rounds={perpetual: ROUND}), "MakerNotResting", 0)


def test_limit_of_a_forced_order_holds(exchange, maker, taker, order, forced, perpetual):
    sell = forced(taker.address, price=600_001)
    exchange.refuse(exchange.batch([(order(maker, BUY), sell, 4)], rounds={perpetual: ROUND}), "NotCrossing", 0)


def test_account_does_not_trade_with_the_order_that_closes_it(exchange, taker, order, forced, perpetual):
    """Else it could choose the price of its own liquidation."""
    batch = exchange.batch([(order(taker, BUY), forced(taker.address), 4)], rounds={perpetual: ROUND})
    exchange.refuse(batch, "SelfTrade", 0)


def test_forced_order_needs_a_round(exchange, maker, taker, order, forced):
    exchange.refuse(exchange.batch([(order(maker, BUY), forced(taker.address), 4)]), "RoundMissing", 0)


def test_round_without_a_forced_order(exchange, maker, taker, order, perpetual):
    batch = exchange.batch([(order(maker, SELL), order(taker, BUY), 4)], rounds={perpetual: ROUND})
    exchange.refuse(batch, "UnexpectedRound", 0)


def test_round_of_another_market_than_the_forced_orders(
    exchange, project, owner, maker, taker, order, forced, perpetual, answer
):
    second = create_perpetual(exchange, project, owner, "BTC2-PERP")
    fills = [
        (order(maker, BUY), forced(taker.address), 4),
        (order(maker, SELL, second), order(taker, BUY, second), 4),
    ]
    batch = exchange.batch(fills, rounds={perpetual: ROUND, second: ROUND})
    exchange.refuse(batch, "UnexpectedRound", 1)
    batch.rounds = {second: ROUND}
    exchange.refuse(batch, "RoundMissing", 0)
    batch.rounds = {perpetual: ROUND}
    answer([0] * 4, [0] * 4)
    exchange.accept(batch)


def test_signed_order_under_the_key_of_forced_orders(exchange, maker, taker, order, option):
    """It could raise the key's sequence to the last, and its account could not be liquidated any more."""
    for market in ({}, {"market": option}):
        signed = order(taker, BUY, nonce=nonce(RESERVED_KEY, 2**32 - 2), **market)
        batch = exchange.batch([(order(maker, SELL, **market), signed, 4)])
        exchange.refuse(batch, "ReservedKey", batch.fills[0][1])


def test_spot_orders_may_use_any_key(exchange, maker, taker):
    key = nonce(RESERVED_KEY, 1)
    exchange.accept(
        exchange.batch([(exchange.order(maker, SELL, nonce=key), exchange.order(taker, BUY, nonce=key), 4)])
    )
