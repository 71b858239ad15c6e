"""Markets that are quoted in another asset than USDC: the round fixes a rate, and both sides signed its limit."""

import pytest

from tests.functional.engine.exchange import ETH_LOT, PACKED, create_market
from tests.utils.batches import BUY, IOC, SELL, nonce

RATE = 60_000 * 10**6  # micro-USDC per BTC
PRICE = 40_000_000  # 10^-12 BTC per lot of 0.001 ETH: 0.04 BTC per ETH
ROUND = 7
PARAMS = {"tickSize": 10**7, "lotSize": ETH_LOT, "maxPrice": 10**13, "maxQuantity": 10**9}


@pytest.fixture(scope="module")
def oracle(exchange, project, owner):
    """BTC in USD."""
    oracle = owner.deploy(project.MockOracle)
    oracle.setRound(ROUND, RATE * 10**12 + 999_999_999_999, exchange.now, sender=owner)
    return oracle


@pytest.fixture(scope="module")
def cross_market(exchange, owner, oracle):
    return create_market(exchange.registry, owner, "ETH-BTC", exchange.eth, PARAMS, quote=exchange.btc, oracle=oracle)


@pytest.fixture
def order(exchange, cross_market):
    def create(signer, side, **changes):
        limit = 2**64 - 1 if side == BUY else 1
        terms = {"market": cross_market, "instrument": exchange.eth, "price": PRICE, "conversion_limit": limit}
        return exchange.order(signer, side, **(terms | changes))

    return create


@pytest.fixture
def create_batch(exchange, maker, taker, order, cross_market):
    """One fill, and the index of the taker's order."""

    def create(round_=ROUND, make=None, take=None, lots=5, **tables):
        make = make or order(maker, SELL)
        take = take or order(taker, BUY)
        batch = exchange.batch([(make, take, lots)], rounds={cross_market: round_}, **tables)
        return batch, batch.fills[0][1]

    return create


@pytest.mark.parametrize("form", ["packed", "readable"])
def test_notional_is_converted_at_the_rate(exchange, maker, taker, create_batch, form):
    before = exchange.usdc_of(maker), exchange.usdc_of(taker)
    base = exchange.base_of(taker, exchange.eth)
    batch, _index = create_batch()
    exchange.settle(batch, form)
    notional = 5 * PRICE * RATE // 10**12
    assert notional == 12_000_000  # 0.005 ETH at 0.04 BTC at 60,000 USDC
    fee = notional * 50 // 10_000
    assert exchange.usdc_of(maker) == before[0] + notional - fee
    assert exchange.usdc_of(taker) == before[1] - notional - fee
    assert exchange.base_of(taker, exchange.eth) == base + 5 * ETH_LOT


def test_notional_is_rounded_down_for_each_fill(exchange, project, owner, maker, taker, order, create_batch, oracle):
    oracle.setRound(9, 33_333_333_333 * 10**12, exchange.now, sender=owner)
    before = exchange.usdc_of(maker)
    batch, _index = create_batch(9, order(maker, SELL, price=10_000), order(taker, BUY), 7)
    exchange.settle(batch)
    notional = 7 * 10_000 * 33_333_333_333 // 10**12
    assert notional == 2_333
    assert exchange.usdc_of(maker) == before + notional - notional * 50 // 10_000


def test_quote_asset_does_not_move(exchange, maker, taker, create_batch):
    before = exchange.base_of(maker, exchange.btc), exchange.base_of(taker, exchange.btc)
    exchange.settle(create_batch()[0])
    assert (exchange.base_of(maker, exchange.btc), exchange.base_of(taker, exchange.btc)) == before


def test_cross_quoted_and_plain_markets_share_a_batch(exchange, maker, taker, order, cross_market):
    """They share the position in the base asset, too."""
    eth = {"market": exchange.eth_market, "instrument": exchange.eth, "price": 3_000_000}
    plain = (
        exchange.order(maker, SELL, **eth, nonce=nonce(2, 1)),
        exchange.order(taker, BUY, **eth, nonce=nonce(2, 1)),
        4,
    )
    before = exchange.base_of(maker, exchange.eth)
    crossed = (order(maker, SELL, nonce=nonce(3, 1)), order(taker, BUY, nonce=nonce(3, 1)), 5)
    exchange.settle(exchange.batch([plain, crossed], rounds={cross_market: ROUND}))
    assert exchange.base_of(maker, exchange.eth) == before - 9 * ETH_LOT


# ---- rounds


def test_round_is_required(exchange, cross_market, create_batch):
    batch, _index = create_batch(0)
    exchange.refuse(batch, "RoundMissing", batch.markets.index(cross_market))


def test_round_that_did_not_hold_when_it_was_matched(exchange, owner, oracle, create_batch):
    """The operator cannot look for a better rate in the future, nor in rounds that never were."""
    batch, _index = create_batch()
    oracle.setRound(8, 2 * RATE * 10**12, exchange.now + 1_000, sender=owner)
    for wrong in (8, 99, 2**80 - 1):
        batch, _index = create_batch(wrong)
        refusal = exchange.call(batch.packed_calldata())
        assert refusal == exchange.refusal("WrongRound", wrong, batch.matched_at, first=oracle)


def test_plain_market_has_no_round(exchange, maker, taker):
    fill = (exchange.order(maker, SELL), exchange.order(taker, BUY), 1)
    exchange.refuse(exchange.batch([fill], rounds={exchange.btc_market: 1}), "UnexpectedRound", 0)


@pytest.mark.parametrize("price", [0, 10**12 - 1, 2**64 * 10**12])
def test_rate_out_of_range(exchange, owner, oracle, cross_market, create_batch, price):
    oracle.setRound(10, price, exchange.now, sender=owner)
    batch, _index = create_batch(10)
    exchange.refuse(batch, "RateOutOfRange", batch.markets.index(cross_market))


def test_lowest_and_highest_rate(exchange, owner, oracle, maker, taker, order, create_batch):
    for number, rate in ((10, 1), (11, 2**64 - 1)):
        oracle.setRound(number, rate * 10**12, exchange.now, sender=owner)
    exchange.accept(create_batch(10)[0])
    batch, _index = create_batch(11, lots=1)
    taker_account = [account for account, _ in batch.accounts].index(taker.address)
    exchange.refuse(batch, "InsufficientBalance", taker_account)


# ---- limits


@pytest.mark.parametrize(
    ("side", "limit", "accepted"),
    [
        (BUY, RATE, True),
        (BUY, RATE - 1, False),
        (SELL, RATE, True),
        (SELL, RATE + 1, False),
        (BUY, 2**64 - 1, True),
        (SELL, 1, True),
        (SELL, 2**64 - 1, False),
        (BUY, 1, False),
    ],
)
@pytest.mark.parametrize("role", ["maker", "taker"])
def test_rate_within_what_each_side_signed(exchange, maker, taker, order, create_batch, side, limit, accepted, role):
    signer, other = (maker, taker) if role == "maker" else (taker, maker)
    limited = order(signer, side, conversion_limit=limit)
    counter = order(other, BUY if side == SELL else SELL)
    pair = {"make": limited, "take": counter} if role == "maker" else {"make": counter, "take": limited}
    batch, _index = create_batch(**pair)
    if accepted:
        exchange.accept(batch)
    else:
        index = [account for account, _ in batch.accounts].index(signer.address)
        exchange.refuse(batch, "ConversionLimitExceeded", index)


def test_limit_is_required(exchange, taker, order, create_batch):
    batch, index = create_batch(take=order(taker, BUY, conversion_limit=0))
    exchange.refuse(batch, "ConversionLimitMissing", index)


def test_limit_of_zero_is_none(exchange, create_batch):
    batch, index = create_batch()
    batch.limits = [0 if i == index else entry.conversion_limit for i, entry in enumerate(batch.orders)]
    exchange.refuse(batch, "ConversionLimitMissing", index, forms=[PACKED])


def test_limit_is_signed(exchange, create_batch):
    batch, index = create_batch()
    batch.edit_order(index, conversion_limit=2**64 - 2)
    exchange.refuse(batch, "InvalidSignature", batch.orders[index].group)


def test_limits_are_taken_in_the_order_of_orders(exchange, maker, taker, order, create_batch):
    batch, _index = create_batch(make=order(maker, SELL, conversion_limit=RATE - 5), take=order(taker, BUY))
    batch.limits = [entry.conversion_limit for entry in reversed(batch.orders)]
    exchange.refuse(batch, "ConversionLimitExceeded", 0, forms=[PACKED])


def test_limit_that_is_missing_in_the_table(exchange, create_batch):
    batch, _index = create_batch()
    batch.limits = [2**64 - 1][: 1 if batch.orders[0].side == BUY else 0] or [1]
    exchange.refuse(batch, "IndexOutOfRange", 2, 1, forms=[PACKED])
    batch.limits = []
    exchange.refuse(batch, "IndexOutOfRange", 2, 0, forms=[PACKED])


def test_limit_that_is_not_used(exchange, maker, taker, create_batch):
    batch, _index = create_batch()
    batch.limits = [*(entry.conversion_limit for entry in batch.orders), 5]
    exchange.refuse(batch, "LimitNotUsed", 2, forms=[PACKED])
    batch = exchange.batch([(exchange.order(maker, SELL), exchange.order(taker, BUY), 1)])
    batch.limits = [5]
    exchange.refuse(batch, "LimitNotUsed", 0, forms=[PACKED])


def test_reduce_only_is_refused(exchange, taker, order, create_batch):
    batch, index = create_batch(take=order(taker, BUY, reduce_only=True))
    exchange.refuse(batch, "ReduceOnlySpot", index)


def test_forced_order_is_refused_in_a_spot_market(exchange, taker, order, create_batch):
    forced = order(
        taker,
        BUY,
        forced=True,
        reduce_only=True,
        time_in_force=IOC,
        expiry=2**40 - 1,
        nonce=nonce(2**32 - 1, 1),
        conversion_limit=0,
    )
    batch, index = create_batch(take=forced)
    exchange.refuse(batch, "InvalidForced", index)


def test_largest_cross_fill_is_exact(exchange, fund, owner, accounts, maker, taker, order, oracle, create_batch):
    """The highest price at a rate far above any real one."""
    rate = 10**15
    price = 10**10  # the market's highest price per lot
    lots = 10**6
    oracle.setRound(12, rate * 10**12, exchange.now, sender=owner)
    notional = lots * price * rate // 10**12
    fund(accounts[3], eth=lots * ETH_LOT)
    fund(accounts[4], usdc=2 * notional)
    before = exchange.usdc_of(maker)
    pair = {
        "make": order(maker, SELL, price=price, quantity=lots),
        "take": order(taker, BUY, price=price, quantity=lots),
    }
    exchange.settle(create_batch(12, lots=lots, **pair)[0])
    assert exchange.usdc_of(maker) == before + notional - notional * 50 // 10_000
