"""Perpetuals, futures and options: every term is checked at both ends and packed into the word that clearing reads."""

import pytest

from tests.utils.isolation import isolated
from tests.utils.markets import DERIVATIVE_WORD, FUTURE, MARGINS, NO_DERIVATIVE, OPTION, PERP, ZERO, unpack
from tests.utils.reverts import reverts

USDC = 10**6
KINDS = {"perp": PERP, "future": FUTURE, "option": OPTION}


@pytest.fixture
def base(create_asset):
    return create_asset()


@pytest.fixture
def create(create_perp, create_future, create_option):
    """Parameters of a market by the name of its kind."""
    makers = {"perp": create_perp, "future": create_future, "option": create_option}
    return lambda kind, **changes: makers[kind](**changes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_derivative_is_its_own_instrument(registry, base, create, list_market, owner, kind):
    params = create(kind)
    receipt = registry.createMarket(params, sender=owner)
    market = receipt.return_value
    assert receipt.events[0].instrument == market == registry.marketId(params["symbol"])
    word = unpack(registry.marketWords([market])[0])
    assert (word["instrument"], word["kind"], word["status"]) == (market, KINDS[kind], 1)
    assert (word["baseDecimals"], word["isCrossQuoted"], word["zero"]) == (8, 0, 0)
    assert tuple(registry.market(market)[0][-1]) == tuple(params["derivative"].values())


@pytest.mark.parametrize(("kind", "put"), [("perp", False), ("future", False), ("option", False), ("option", True)])
def test_word_holds_the_terms(registry, base, create, list_market, oracle, kind, put):
    params = create(kind, **({"isPut": put} if put else {}))
    market = list_market(params)
    words, oracles = registry.derivatives([market])
    terms = params["derivative"]
    expected = {name: terms[name] for name, _, _ in DERIVATIVE_WORD if name in terms}
    expected |= {"strikePerLot": terms["strike"] // 10**5, "capPerLot": terms["cap"] // 10**5, "isPut": int(put)}
    assert unpack(words[0], DERIVATIVE_WORD) == expected
    assert oracles == [oracle] == [registry.oracleOf(market)]


def test_terms_come_in_the_order_asked(registry, base, create, list_market, create_params, oracle):
    spot, perp = list_market(create_params()), list_market(create("perp"))
    words, oracles = registry.derivatives([perp, spot, 99, perp])
    assert [word != 0 for word in words] == [True, False, False, True]
    assert oracles == [oracle, ZERO, ZERO, oracle]
    assert registry.oracleOf(spot) == ZERO


LOWEST = {
    "maintenanceMarginBps": 10,
    "initialMarginBps": 20,
    "bandBps": 9,
    "liquidationFeeBps": 10,
    "exitPenaltyBps": 9,
}
INSIDE = {
    "perp": [
        LOWEST,
        {"maintenanceMarginBps": 5_000, "initialMarginBps": 10_000, "bandBps": 4_999, "exitPenaltyBps": 4_999},
        {"liquidationFeeBps": 500},
        {"liquidationFeeBps": 0, "bandBps": 1, "exitPenaltyBps": 1},
        {"initialMarginBps": 10_000},
        {"bandBps": 499},
        {"exitPenaltyBps": 499},
        {"fundingCap": 1, "fundingPeriod": 3_600},
        {"fundingCap": 50_000, "fundingPeriod": 86_400},
    ],
    "future": [
        LOWEST,
        {"expiry": 2**40 - 1},
    ],
    "option": [
        {"expiry": 2**40 - 1},
        {"strike": 100_000, "cap": 200_000},  # one tick, and one more
        {"isPut": True, "strike": 100_000, "cap": 0},
    ],
}
OUTSIDE = {
    "perp": [
        ("maintenanceMarginBps", {"maintenanceMarginBps": 9, "bandBps": 1, "exitPenaltyBps": 1}),
        ("maintenanceMarginBps", {"maintenanceMarginBps": 5_001, "initialMarginBps": 10_002}),
        ("maintenanceMarginBps", {"maintenanceMarginBps": 0}),
        ("initialMarginBps", {"initialMarginBps": 999}),
        ("initialMarginBps", {"initialMarginBps": 10_001}),
        ("bandBps", {"bandBps": 0}),
        ("bandBps", {"bandBps": 500}),
        ("liquidationFeeBps", {"liquidationFeeBps": 501}),
        ("exitPenaltyBps", {"exitPenaltyBps": 0}),
        ("exitPenaltyBps", {"exitPenaltyBps": 500}),
        ("fundingCap", {"fundingCap": 0}),
        ("fundingCap", {"fundingCap": 50_001}),
        ("fundingPeriod", {"fundingPeriod": 3_599}),
        ("fundingPeriod", {"fundingPeriod": 86_401}),
        ("expiry", {"expiry": 2**40 - 1}),
        ("strike", {"strike": 100_000}),
        ("cap", {"cap": 100_000}),
        ("isPut", {"isPut": True}),
    ],
    "future": [
        ("expiry", {"expiry": 0}),
        ("maintenanceMarginBps", {"maintenanceMarginBps": 0}),
        ("initialMarginBps", {"initialMarginBps": 999}),
        ("bandBps", {"bandBps": 500}),
        ("liquidationFeeBps", {"liquidationFeeBps": 501}),
        ("exitPenaltyBps", {"exitPenaltyBps": 0}),
        ("fundingCap", {"fundingCap": 1}),
        ("fundingPeriod", {"fundingPeriod": 3_600}),
        ("strike", {"strike": 100_000}),
        ("cap", {"cap": 100_000}),
        ("isPut", {"isPut": True}),
    ],
    "option": [
        ("expiry", {"expiry": 0}),
        ("strike", {"strike": 0}),
        ("strike", {"strike": 70_000 * USDC + 1}),  # between two ticks
        ("strike", {"isPut": True, "strike": 0, "cap": 0}),
        ("cap", {"cap": 0}),
        ("cap", {"cap": 70_000 * USDC}),
        ("cap", {"cap": 100_000 * USDC + 1}),
        ("cap", {"isPut": True, "cap": 100_000 * USDC}),
        ("maintenanceMarginBps", {"maintenanceMarginBps": 10}),
        ("initialMarginBps", {"initialMarginBps": 20}),
        ("bandBps", {"bandBps": 1}),
        ("liquidationFeeBps", {"liquidationFeeBps": 1}),
        ("exitPenaltyBps", {"exitPenaltyBps": 1}),
        ("fundingCap", {"fundingCap": 1}),
        ("fundingPeriod", {"fundingPeriod": 3_600}),
    ],
}


@pytest.mark.parametrize(("kind", "changes"), [(kind, changes) for kind, rows in INSIDE.items() for changes in rows])
def test_accepts_terms_at_their_bounds(registry, base, create, list_market, kind, changes):
    assert list_market(create(kind, **changes)) == 2


@pytest.mark.parametrize(("kind", "field", "changes"), [(kind, *row) for kind, rows in OUTSIDE.items() for row in rows])
def test_refuses_terms_beyond_their_bounds(registry, base, create, owner, kind, field, changes):
    with reverts("InvalidParameter", field=field):
        registry.createMarket(create(kind, **changes), sender=owner)


SPOT_TERMS = {"expiry": 2**40 - 1, "strike": 100_000, "cap": 100_000, "isPut": True} | MARGINS
SPOT_TERMS |= {"fundingCap": 1, "fundingPeriod": 3_600}


@pytest.mark.parametrize("field", NO_DERIVATIVE)
def test_a_spot_market_has_no_terms(registry, base, create_params, owner, field):
    with reverts("InvalidParameter", field=field):
        registry.createMarket(create_params(**{field: SPOT_TERMS[field]}), sender=owner)


@pytest.mark.parametrize("kind", ["future", "option"])
def test_expiry_must_be_ahead(registry, chain, base, create, owner, kind):
    now = chain.pending_timestamp + 100
    for expiry, is_ahead in ((now, False), (now - 1, False), (now + 1, True)):
        params = create(kind, expiry=expiry)
        with isolated(chain):
            chain.pending_timestamp = now
            if is_ahead:
                registry.createMarket(params, sender=owner)
            else:
                with reverts("InvalidParameter", field="expiry"):
                    registry.createMarket(params, sender=owner)


@pytest.mark.parametrize("kind", KINDS)
def test_a_derivative_is_quoted_in_usdc(registry, base, create_asset, create, owner, kind):
    quote = create_asset()
    with reverts("InvalidParameter", field="quote"):
        registry.createMarket(create(kind, quote=quote), sender=owner)


@pytest.mark.parametrize("put", [False, True])
def test_strike_and_cap_fit_their_fields(registry, base, create, owner, put):
    """Lots of 10^8 quanta: a price per whole unit is one per lot."""
    field = "strike" if put else "cap"
    wide = {"tickSize": 1, "lotSize": 10**8, "maxPrice": 1, "maxQuantity": 1, "isPut": put}
    with reverts("InvalidParameter", field=field):
        registry.createMarket(create("option", **(wide | {field: 2**56})), sender=owner)
    registry.createMarket(create("option", **(wide | {field: 2**56 - 1})), sender=owner)


@pytest.mark.parametrize("put", [False, True])
def test_collateral_of_an_order_stays_below_2_94(registry, base, create, owner, put):
    field = "strike" if put else "cap"
    wide = {"tickSize": 1, "lotSize": 10**8, "maxPrice": 1, "isPut": put, field: 2**55}
    with reverts("InvalidParameter", field="maxQuantity"):
        registry.createMarket(create("option", **wide, maxQuantity=2**39), sender=owner)
    registry.createMarket(create("option", **wide, maxQuantity=2**39 - 1), sender=owner)


def test_unknown_kinds_do_not_decode(registry, base, create, owner, chain):
    data = bytes(registry.createMarket.encode_input(create("option")))
    kind = 4 + 32 + 32
    assert int.from_bytes(data[kind : kind + 32], "big") == OPTION
    forged = data[:kind] + (4).to_bytes(32, "big") + data[kind + 32 :]
    with pytest.raises(Exception, match="revert"):
        chain.provider.web3.eth.call({"from": owner.address, "to": registry.address, "data": forged})
    chain.provider.web3.eth.call({"from": owner.address, "to": registry.address, "data": data})
