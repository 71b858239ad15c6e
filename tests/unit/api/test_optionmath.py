"""Values, greeks and implied volatilities against QuantLib's, over everything that is traded."""

from __future__ import annotations

import pytest
import QuantLib as ql  # noqa: N813
from hypothesis import assume, given
from hypothesis import strategies as st

from offchain.api.optionmath import MAX_VOLATILITY, Terms, greeks, implied_volatility, value

volatilities = st.floats(0.02, 5)


@st.composite
def options(draw: st.DrawFn) -> Terms:
    forward = draw(st.floats(0.01, 1e6))
    strike = forward * draw(st.floats(0.2, 5))
    is_put = draw(st.booleans())
    cap = None if is_put else strike * draw(st.floats(1.05, 4))
    return Terms(forward, strike, cap, is_put, draw(st.floats(1 / 365, 2)))


def quantlib(terms: Terms, volatility: float) -> dict[str, float]:
    """In our units: a call less a call at the cap."""
    found: dict[str, float] = {}
    kind = ql.Option.Put if terms.is_put else ql.Option.Call
    for strike, sign in ((terms.strike, 1), (terms.cap, -1)):
        if strike is None:
            continue
        one = ql.BlackCalculator(ql.PlainVanillaPayoff(kind, strike), terms.forward, volatility * terms.years**0.5, 1.0)
        figures = {
            "value": one.value(),
            "delta": one.deltaForward(),
            "gamma": one.gammaForward(),
            "vega": one.vega(terms.years) / 100,
            "theta": one.theta(terms.forward, terms.years) / 365,
            "rho": one.rho(terms.years) / 100,
        }
        for name, figure in figures.items():
            found[name] = found.get(name, 0.0) + sign * figure
    return found


@given(options(), volatilities)
def test_value_and_greeks_are_quantlibs(terms: Terms, volatility: float) -> None:
    expected = quantlib(terms, volatility)
    found = greeks(terms, volatility)
    near = {"rel": 1e-7, "abs": 1e-9 * max(1, terms.forward)}
    assert value(terms, volatility) == pytest.approx(expected["value"], **near)
    for name in ("delta", "vega", "theta", "rho"):
        assert getattr(found, name) == pytest.approx(expected[name], **near), name
    assert found.gamma == pytest.approx(expected["gamma"], rel=1e-6, abs=1e-9 / terms.forward)


@given(options(), volatilities)
def test_an_implied_volatility_explains_its_price(terms: Terms, volatility: float) -> None:
    price = value(terms, volatility)
    found = implied_volatility(terms, price)
    if found is None:
        # It is at the bounds of the branch that begins without volatility, or beyond.
        highest = [terms.intrinsic]
        rises = terms.cap is None or terms.forward**2 < terms.strike * terms.cap
        while (step := len(highest)) <= 1_000 and (value(terms, step / 100) > highest[-1]) == rises:
            highest.append(value(terms, step / 100))
        bounds, margin = (min(highest), max(highest)), 1e-9 * terms.forward + 1e-4 * abs(highest[-1] - highest[0])
        assert not bounds[0] + margin < price < bounds[1] - margin
        return
    assert 0 < found <= MAX_VOLATILITY
    assert value(terms, found) == pytest.approx(price, rel=1e-6, abs=1e-8 * terms.forward)


@given(options(), volatilities)
def test_it_is_the_volatility_that_made_the_price(terms: Terms, volatility: float) -> None:
    """Where the price depends on it at all, and of a capped call below the turning point, it is found again."""
    if terms.cap is not None:
        assume(terms.forward**2 >= terms.strike * terms.cap or greeks(terms, volatility).vega > 0)
    assume(abs(greeks(terms, volatility).vega) > 1e-4 * terms.forward)
    found = implied_volatility(terms, value(terms, volatility))
    assert found == pytest.approx(volatility, rel=1e-5)


def test_of_two_volatilities_the_lower_one() -> None:
    call = Terms(64_000, 70_000, 140_000, False, 30 / 365)
    assert value(call, 1) > value(call, 9)  # it has turned
    found = implied_volatility(call, value(call, 9))
    assert found == pytest.approx(0.99631, rel=1e-5)
    assert value(call, found) == pytest.approx(value(call, 9))


@pytest.mark.parametrize(
    ("terms", "price"),
    [
        (Terms(100, 120, None, True, 0.1), 20),  # a put at its intrinsic value
        (Terms(100, 120, None, True, 0.1), 19.99),
        (Terms(100, 120, None, True, 0.1), 120),  # at the most that it can pay
        (Terms(100, 80, 160, False, 0.1), 20),
        (Terms(100, 80, 160, False, 0.1), 79),  # above the highest value that it ever has
        (Terms(150, 80, 160, False, 0.1), 70.1),  # beyond the turning point it is worth less than intrinsic
        (Terms(100, 120, None, True, 0.1), 0),
    ],
)
def test_beyond_the_bounds_of_arbitrage_there_is_none(terms: Terms, price: float) -> None:
    assert implied_volatility(terms, price) is None


def test_a_call_near_its_cap_has_one_below_its_intrinsic_value() -> None:
    call = Terms(150, 80, 160, False, 0.1)
    found = implied_volatility(call, 60.0)
    assert found is not None
    assert value(call, found) == pytest.approx(60)
