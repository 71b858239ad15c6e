"""A market's oracle is there, answers, and speaks of prices that the market can hold."""

import pytest

from tests.utils.markets import ZERO, unpack
from tests.utils.reverts import reverts

KINDS = ("perp", "future", "option")


@pytest.fixture
def base(create_asset):
    return create_asset()


@pytest.fixture
def create(create_perp, create_future, create_option):
    makers = {"perp": create_perp, "future": create_future, "option": create_option}
    return lambda kind, **changes: makers[kind](**changes)


@pytest.fixture
def create_cross(create_asset, create_params, oracle):
    """ETH-BTC: ticks of 0.00001 BTC, lots of 0.0001 ETH; the oracle prices BTC."""

    def build(**changes):
        names = {"symbol": "ETH-BTC", "base": create_asset(18), "quote": 1, "oracle": oracle.address}
        numbers = {"tickSize": 10**7, "lotSize": 10**14, "maxPrice": 10**12, "maxQuantity": 10**7}
        return create_params(**(names | numbers | changes))

    return build


@pytest.mark.parametrize("kind", KINDS)
def test_a_derivative_needs_an_oracle_that_answers(registry, base, create, owner, maker, aggregator, kind):
    for wrong in (ZERO, maker.address, registry.address, aggregator.address):
        with reverts("InvalidParameter", field="oracle"):
            registry.createMarket(create(kind, oracle=wrong), sender=owner)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stale_oracle_is_refused(registry, chain, base, create, owner, aggregator, kind):
    chain.mine(deltatime=86_500)
    with reverts("InvalidParameter", field="oracle"):
        registry.createMarket(create(kind), sender=owner)
    aggregator.push(65_000 * 10**8, sender=owner)
    registry.createMarket(create(kind), sender=owner)


@pytest.mark.parametrize("kind", KINDS)
def test_index_of_nothing_per_lot_is_refused(registry, base, create, owner, aggregator, kind):
    """A lot of 10^3 quanta needs 0.1 USD per whole unit to be worth a micro-USDC."""
    aggregator.push(10**7 - 1, sender=owner)
    with reverts("InvalidParameter", field="oracle"):
        registry.createMarket(create(kind), sender=owner)
    aggregator.push(10**7, sender=owner)
    registry.createMarket(create(kind), sender=owner)


@pytest.mark.parametrize("kind", ["perp", "future"])
def test_index_above_the_highest_price_is_refused(registry, base, create, owner, kind):
    """65,000 USD per whole unit are 650,000 micro-USDC per lot."""
    with reverts("InvalidParameter", field="oracle"):
        registry.createMarket(create(kind, maxPrice=649_999 * 10**5), sender=owner)
    registry.createMarket(create(kind, maxPrice=650_000 * 10**5), sender=owner)


def test_index_above_the_highest_premium_is_fine(registry, base, create, owner):
    registry.createMarket(create("option", maxPrice=100_000), sender=owner)


@pytest.mark.parametrize("kind", KINDS)
def test_index_beyond_56_bits_is_refused(registry, base, create, owner, aggregator, kind):
    wide = {"tickSize": 1, "lotSize": 10**8, "maxPrice": 2**56 - 1, "maxQuantity": 1}
    aggregator.push(2**56 * 100, sender=owner)
    with reverts("InvalidParameter", field="oracle"):
        registry.createMarket(create(kind, **wide), sender=owner)
    aggregator.push(2**56 * 100 - 1, sender=owner)
    registry.createMarket(create(kind, **wide), sender=owner)


def test_spot_in_usdc_has_no_oracle(registry, base, create_params, owner, oracle):
    with reverts("InvalidParameter", field="oracle"):
        registry.createMarket(create_params(oracle=oracle.address), sender=owner)


def test_cross_quoted_spot_has_the_oracle_of_its_quote(registry, base, create_cross, list_market, oracle):
    params = create_cross()
    market = list_market(params)
    word = unpack(registry.marketWords([market])[0])
    assert (word["instrument"], word["kind"], word["isCrossQuoted"]) == (params["base"], 0, 1)
    assert (word["tickPerLot"], word["maxPricePerLot"], word["baseDecimals"]) == (1_000, 10**8, 18)
    words, oracles = registry.derivatives([market])
    assert (words, oracles) == ([0], [oracle])


def test_cross_quoted_spot_needs_an_oracle_that_answers(registry, base, create_cross, owner, maker):
    params = create_cross()
    for wrong in (ZERO, maker.address, registry.address):
        with reverts("InvalidParameter", field="oracle"):
            registry.createMarket(params | {"oracle": wrong}, sender=owner)


def test_rate_of_nothing_is_refused(project, registry, base, create_cross, owner):
    """The rate is in micro-USDC per whole quote unit."""
    feed = owner.deploy(project.MockAggregator, 18, 10**12 - 1)
    oracle = owner.deploy(project.ChainlinkOracle, feed, 86_400, 1, 2**128 - 1, ZERO, 0)
    params = create_cross(oracle=oracle.address)
    with reverts("InvalidParameter", field="oracle"):
        registry.createMarket(params, sender=owner)
    feed.push(10**12, sender=owner)
    registry.createMarket(params, sender=owner)


def test_rate_beyond_64_bits_is_refused(project, registry, base, create_cross, owner):
    feed = owner.deploy(project.MockAggregator, 18, 2**64 * 10**12)
    oracle = owner.deploy(project.ChainlinkOracle, feed, 86_400, 1, 2**128 - 1, ZERO, 0)
    params = create_cross(oracle=oracle.address)
    with reverts("InvalidParameter", field="oracle"):
        registry.createMarket(params, sender=owner)
    feed.push(2**64 * 10**12 - 1, sender=owner)
    registry.createMarket(params, sender=owner)


def test_quote_is_another_registered_asset(registry, base, create_cross, create_params, list_market, owner):
    params = create_cross()
    with reverts("InvalidParameter", field="quote"):
        registry.createMarket(params | {"quote": params["base"]}, sender=owner)
    spot = list_market(create_params())
    for unknown in (spot, 99, 2**32 - 1):
        with reverts("UnknownAsset", id=unknown):
            registry.createMarket(params | {"quote": unknown}, sender=owner)


@pytest.mark.parametrize("kind", KINDS)
def test_a_price_beyond_128_bits_is_refused(project, registry, base, create, owner, kind):
    oracle = owner.deploy(project.MockOracle)
    for price in (2**128, 2**256 - 1):
        oracle.push(price, sender=owner)
        with reverts("InvalidParameter", field="oracle"):
            registry.createMarket(create(kind, oracle=oracle.address), sender=owner)
