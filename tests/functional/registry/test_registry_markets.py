"""Markets: every field is checked once and packed into the word that settlement reads."""

import pytest

from tests.utils.markets import unpack
from tests.utils.reverts import reverts


def test_creates_an_active_market(registry, chain, create_asset, create_params, owner):
    base = create_asset()
    params = create_params(base=base)
    receipt = registry.createMarket(params, sender=owner)
    assert receipt.return_value == 2  # assets and markets share the counter
    assert [event.event_name for event in receipt.events] == ["MarketCreated", "StatusChanged"]
    created = receipt.events[0]
    values = [*list(params.values())[:-1], tuple(params["derivative"].values())]
    assert (created.id, created.instrument, created.params) == (2, base, values)

    stored, status, status_at = registry.market(2)
    assert stored == tuple(values)
    assert (status, status_at, registry.createdAt(2)) == (1, receipt.timestamp, receipt.timestamp)
    assert (registry.marketId("BTC-USDC"), registry.lastId()) == (2, 2)


@pytest.mark.parametrize(
    ("decimals", "tick", "lot", "max_price", "max_quantity", "expected"),
    [
        (8, 100_000, 1_000, 10**13, 10**9, (10**8, 1, 1, 3)),
        (6, 1_000_000, 1, 10**12, 10**12, (10**6, 1, 1, 0)),
        (18, 10_000, 10**15, 10**11, 10**9, (10**8, 10, 1, 15)),
        (18, 1_000, 123_456 * 10**16, 10**7, 10**9, (12_345_600_000, 1_234_560, 123_456, 16)),
        (0, 1, 16_777_215, 5, 1, (83_886_075, 16_777_215, 16_777_215, 0)),
    ],
)
def test_word_holds_the_market_in_lots(registry, create_market, decimals, tick, lot, max_price, max_quantity, expected):
    market = create_market(decimals, tickSize=tick, lotSize=lot, maxPrice=max_price, maxQuantity=max_quantity)
    word = unpack(registry.marketWords([market])[0])
    names = ("maxPricePerLot", "tickPerLot", "lotMantissa", "lotExponent")
    assert tuple(word[name] for name in names) == expected
    assert word["lotMantissa"] * 10 ** word["lotExponent"] == lot
    assert word["maxPricePerLot"] * 10**decimals == max_price * lot
    assert (word["maxQuantity"], word["instrument"], word["kind"]) == (max_quantity, 1, 0)
    assert (word["status"], word["statusAt"], word["zero"]) == (1, registry.market(market).statusAt, 0)
    assert (word["baseDecimals"], word["isCrossQuoted"]) == (decimals, 0)


def test_words_come_in_the_order_asked(registry, create_market):
    market = create_market()
    words = registry.marketWords([0, market, 1, market, 99])
    assert [word != 0 for word in words] == [False, True, False, True, False]
    assert registry.marketWords([]) == []


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("symbol", {"symbol": ""}),
        ("symbol", {"symbol": "A" * 32}),
        ("symbol", {"symbol": "btc-USDC"}),
        ("symbol", {"symbol": "BTC USDC"}),
        ("symbol", {"symbol": "BTC-\u00dcSDC"}),
        ("lotSize", {"lotSize": 0}),
        ("lotSize", {"lotSize": 2**24 + 1}),
        ("lotSize", {"lotSize": (2**24 + 1) * 1000}),
        ("tickSize", {"tickSize": 0}),
        ("tickSize", {"tickSize": 100_001, "maxPrice": 100_001}),  # not a whole number per lot
        ("tickSize", {"tickSize": 50_000}),  # half a micro-USDC per lot
        ("tickSize", {"tickSize": 2**32 * 100_000, "maxPrice": 2**32 * 100_000}),
        ("maxPrice", {"maxPrice": 0}),
        ("maxPrice", {"maxPrice": 10**13 + 1}),
        ("maxPrice", {"maxPrice": 99_999}),
        ("maxPrice", {"lotSize": 10**12, "maxPrice": 7_205_759_403_800_000}),  # 2^56 per lot and above
        ("maxQuantity", {"maxQuantity": 0}),
        ("maxQuantity", {"maxQuantity": 2**40}),
        ("maxQuantity", {"lotSize": 10**11, "maxPrice": 2**56 // 1000 // 10**5 * 10**5, "maxQuantity": 2**39}),
        ("maxQuantity", {"lotSize": 10**30, "tickSize": 1, "maxPrice": 1, "maxQuantity": 2**30}),
    ],
)
def test_refuses_what_is_out_of_range(registry, create_asset, create_params, owner, field, changes):
    params = create_params(base=create_asset(), **changes)
    if changes.get("lotSize") == 10**30:
        params |= {"base": create_asset(24)}  # per lot 10^6 micro-USDC, within bounds; the quanta are not
    with reverts("InvalidParameter", field=field):
        registry.createMarket(params, sender=owner)


@pytest.mark.parametrize(
    "changes",
    [
        {"symbol": "A" * 31},
        {"symbol": "BTC-20261225-100000-C"},
        {"lotSize": (2**24 - 1) * 1000},
        {"tickSize": (2**32 - 1) * 100_000, "maxPrice": (2**32 - 1) * 100_000},
        {"maxQuantity": 2**40 - 1},
        {"lotSize": 10**8, "tickSize": 1, "maxPrice": 2**56 - 1, "maxQuantity": 2**38},  # just below 2^94
    ],
)
def test_accepts_the_bounds(registry, create_market, changes):
    assert create_market(**changes) == 2


def test_accepts_no_notional_of_94_bits(registry, create_market, create_params, owner):
    create_market()
    params = create_params(symbol="NEXT", base=1, lotSize=10**8, tickSize=1, maxPrice=2**55, maxQuantity=2**39)
    with reverts("InvalidParameter", field="maxQuantity"):
        registry.createMarket(params, sender=owner)
    registry.createMarket(params | {"maxQuantity": 2**39 - 1}, sender=owner)


@pytest.mark.parametrize(("lot_exponent", "accepted"), [(29, True), (30, False)])
def test_accepts_no_quanta_of_127_bits(registry, create_asset, create_params, owner, lot_exponent, accepted):
    params = create_params(base=create_asset(24), tickSize=1, lotSize=10**lot_exponent, maxPrice=1, maxQuantity=2**30)
    assert (2**30 * 10**lot_exponent < 2**127) == accepted
    if accepted:
        registry.createMarket(params, sender=owner)
    else:
        with reverts("InvalidParameter", field="maxQuantity"):
            registry.createMarket(params, sender=owner)


def test_symbols_are_unique_for_ever(registry, create_market, create_params, owner):
    market = create_market()
    registry.setStatus(market, 3, sender=owner)
    with reverts("InvalidParameter", field="symbol"):
        registry.createMarket(create_params(), sender=owner)


def test_base_must_be_an_asset(registry, create_market, create_params, owner):
    market = create_market()
    for base in (0, market, market + 1):
        with reverts("UnknownAsset", id=base):
            registry.createMarket(create_params(symbol="NEXT", base=base), sender=owner)


def test_only_the_owner_creates(registry, create_asset, create_params, guardian, maker):
    params = create_params(base=create_asset())
    for caller in (guardian, maker):
        with reverts("OwnableUnauthorizedAccount", account=caller.address):
            registry.createMarket(params, sender=caller)
