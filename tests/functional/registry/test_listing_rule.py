"""The rule by which the service judges a market before it asks the registry: it says what the registry says."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi import decode
from eth_utils import keccak
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from web3.exceptions import ContractCustomError

from offchain.domain.actions import CreateMarket, DerivativeTerms
from offchain.domain.listing import unlisted
from offchain.domain.market import Asset
from offchain.domain.state import State
from tests.functional.registry.test_registry_derivatives import INSIDE, OUTSIDE
from tests.utils.markets import FUTURE, MARGINS, NO_DERIVATIVE, OPTION, PERP, SPOT, ZERO

INVALID_PARAMETER, UNKNOWN_ASSET = (
    "0x" + keccak(text=signature)[:4].hex() for signature in ("InvalidParameter(string)", "UnknownAsset(uint32)")
)
PROFILE = settings.get_profile(settings._current_profile)


@pytest.fixture
def state(create_asset):
    """As the service sees the registry's two assets."""
    known = State()
    for decimals in (8, 18):
        asset = create_asset(decimals)
        known.assets[asset] = Asset(asset, f"A{asset}", b"\x01" * 20, b"\x02" * 20, decimals)
    return known


def action_of(params: dict[str, Any]) -> CreateMarket:
    terms = DerivativeTerms(*params["derivative"].values())
    oracle = b"" if params["oracle"] == ZERO else bytes.fromhex(params["oracle"][2:])
    return CreateMarket(*list(params.values())[:-2], oracle, terms)


def field_of(data: str, params: dict[str, Any]) -> str:
    """The field that the registry's error names."""
    selector, arguments = data[:10], bytes.fromhex(data[10:])
    if selector == INVALID_PARAMETER:
        return decode(["string"], arguments)[0]
    assert selector == UNKNOWN_ASSET, data
    return "base" if decode(["uint32"], arguments)[0] == params["base"] else "quote"


@pytest.fixture
def assert_alike(registry, chain, owner, state):
    def check(params: dict[str, Any]) -> str:
        """Both take the market, or refuse it for the same field, which is returned."""
        refusal = unlisted(state, action_of(params), chain.pending_timestamp)
        ours = "" if refusal is None else refusal.param
        data = registry.createMarket.encode_input(params)
        call = {"from": owner.address, "to": registry.address, "data": data}
        try:
            chain.provider.web3.eth.call(call)
            theirs = ""
        except ContractCustomError as failure:
            theirs = field_of(str(failure.data), params)
        assert ours == theirs, refusal
        return ours

    return check


@pytest.fixture
def create(create_perp, create_future, create_option):
    makers = {"perp": create_perp, "future": create_future, "option": create_option}
    return lambda kind, **changes: makers[kind](**changes)


@pytest.mark.parametrize("kind", INSIDE)
def test_terms_at_their_bounds(assert_alike, create, kind):
    for changes in INSIDE[kind]:
        assert assert_alike(create(kind, **changes)) == ""


@pytest.mark.parametrize("kind", OUTSIDE)
def test_terms_beyond_their_bounds(assert_alike, create, kind):
    for field, changes in OUTSIDE[kind]:
        assert assert_alike(create(kind, **changes)) == field


def near(*values: int, largest: int = 2**64 - 1) -> st.SearchStrategy[int]:
    """At a bound, or beside it."""
    beside = {value + step for value in (0, *values) for step in (-1, 0, 1)}
    return st.sampled_from(sorted(value for value in beside if 0 <= value <= largest))


@st.composite
def parameters(draw) -> dict[str, Any]:
    """A market whose fields are what such a market has, or at the bounds of something."""

    def some(usual: Any, *bounds: int, largest: int = 2**64 - 1) -> Any:
        return draw(near(*bounds, largest=largest)) if draw(st.integers(0, 9)) == 0 else usual

    kind = draw(st.sampled_from([SPOT, PERP, FUTURE, OPTION]))
    is_margined, is_put = kind in (PERP, FUTURE), draw(st.booleans())
    margins = MARGINS if is_margined else dict.fromkeys(MARGINS, 0)
    usual = {
        "expiry": 2**39 if kind in (FUTURE, OPTION) else 0,
        "strike": 7 * 10**10 if kind == OPTION else 0,
        "cap": 10**11 if kind == OPTION and not is_put else 0,
        "isPut": is_put and kind == OPTION,
        **margins,
        "fundingCap": 50_000 if kind == PERP else 0,
        "fundingPeriod": 28_800 if kind == PERP else 0,
    }
    terms = {name: some(usual[name], 500, 1_000, 10_000, largest=65_535) for name in NO_DERIVATIVE if name != "isPut"}
    terms["isPut"] = usual["isPut"]
    return {
        "symbol": draw(st.sampled_from(["NEW-USDC"] * 8 + ["", "new", "A" * 31, "A" * 32])),
        "kind": kind,
        "base": draw(st.sampled_from([1] * 8 + [2, 0, 9])),
        "quote": draw(st.sampled_from([0] * 8 + [1, 2, 9])),
        "tickSize": some(100_000, 1, 50_000, 100_000, 2**32 * 100_000),
        "lotSize": some(1_000, 10**8, 2**24, (2**24 - 1) * 1_000, largest=2**127 - 1),
        "maxPrice": some(10**13, 100_000, 2**56),
        "maxQuantity": some(10**9, 2**39, 2**40),
        "derivative": {name: terms[name] for name in NO_DERIVATIVE},
    }


@settings(
    PROFILE,
    max_examples=200,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(params=parameters(), has_oracle=st.integers(0, 9))
def test_any_market(assert_alike, oracle, params, has_oracle):
    needs = params["kind"] != SPOT or params["quote"] != 0
    address = oracle.address if needs == (has_oracle > 0) else ZERO
    before = {name: params[name] for name in params if name != "derivative"}
    assert_alike({**before, "oracle": address, "derivative": params["derivative"]})
