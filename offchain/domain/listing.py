"""Whether the registry would take a market: the bounds of `IMarketRegistry.MarketParams`, field by field.

What only the chain can tell, such as what the oracle answers, is left to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from offchain.domain.actions import CreateMarket, DerivativeTerms
from offchain.domain.errors import Code, Rejection
from offchain.domain.market import USDC, Kind
from offchain.domain.state import State

MAX_SYMBOL = 31
MAX_LOT_MANTISSA = 2**24 - 1
MAX_TICK_PER_LOT = 2**32 - 1
MAX_PRICE_PER_LOT = 2**56 - 1
MAX_QUANTITY = 2**40 - 1
NOTIONAL_LIMIT = 2**94
QUANTA_LIMIT = 2**127
MIN_MAINTENANCE_BPS, MAX_MAINTENANCE_BPS = 10, 5_000
MAX_INITIAL_BPS = 10_000
MAX_FUNDING_CAP = 50_000
MIN_FUNDING_PERIOD, MAX_FUNDING_PERIOD = 3_600, 86_400

_SYMBOL = re.compile(rf"[A-Z0-9-]{{1,{MAX_SYMBOL}}}", re.ASCII)

Problem = tuple[str, str]
"""(field as in the API, what it must be)"""


def unlisted(state: State, action: CreateMarket, now: int) -> Rejection | None:
    """Why the registry would refuse the market at `now`, Unix seconds; None if nothing speaks against it."""
    for field, wanted in _problems(state, action, now):
        return Rejection(Code.INVALID_MARKET, field, f"{field} {wanted}")
    return None


def _problems(state: State, action: CreateMarket, now: int) -> Iterator[Problem]:
    """In the order in which the registry looks at them."""
    if action.kind not in tuple(Kind):
        yield "kind", "must be spot, perp, future or option"
    if action.base not in state.assets:
        yield "base", "must be a registered asset"
        return
    if action.quote != USDC and (action.kind != Kind.SPOT or action.quote == action.base):
        yield "quote", "must be USDC, or in a spot market another asset than the base"
    if action.quote != USDC and action.quote not in state.assets:
        yield "quote", "must be USDC or a registered asset"
    if _SYMBOL.fullmatch(action.symbol) is None:
        yield "symbol", f"must be 1 to {MAX_SYMBOL} of A-Z, 0-9 and -"
    if any(venue.market.symbol == action.symbol for venue in state.markets.values()):
        yield "symbol", f"{action.symbol} is another market's, and is never used twice"
    unit = 10 ** state.assets[action.base].decimals
    yield from _sizes(action, unit)
    yield from _terms(action, unit, now)
    needs_oracle = action.kind != Kind.SPOT or action.quote != USDC
    if needs_oracle != (len(action.oracle) == 20 and any(action.oracle)):
        yield "oracle", "must be a contract's address" if needs_oracle else "belongs to other markets than this"


def _sizes(action: CreateMarket, unit: int) -> Iterator[Problem]:
    tick, lot, quantity = action.tick_size, action.lot_size, action.max_quantity
    if not lot > 0 or _mantissa(lot) > MAX_LOT_MANTISSA or lot >= QUANTA_LIMIT:
        yield "lotSize", f"must be positive, at most {MAX_LOT_MANTISSA} times a power of ten of the smallest unit"
        return
    if not 0 < tick < 2**64 or tick * lot % unit or not 0 < tick * lot // unit <= MAX_TICK_PER_LOT:
        yield "tickSize", "times lotSize must be a whole number of the smallest unit of the price, 1 to 2^32 - 1"
        return
    highest = action.max_price * lot // unit
    if not 0 < action.max_price < 2**64 or action.max_price % tick or highest > MAX_PRICE_PER_LOT:
        yield "maxPrice", "must be a positive multiple of tickSize, and per lot below 2^56"
    if not 0 < quantity <= MAX_QUANTITY or quantity * highest >= NOTIONAL_LIMIT or quantity * lot >= QUANTA_LIMIT:
        yield "maxQuantity", "must be positive, below 2^40 lots, and times maxPrice below 2^94"


def _mantissa(lot: int) -> int:
    while lot and lot % 10 == 0:
        lot //= 10
    return lot


def _terms(action: CreateMarket, unit: int, now: int) -> Iterator[Problem]:
    terms, kind = action.terms, action.kind
    is_dated = kind in (Kind.FUTURE, Kind.OPTION)
    if not (now < terms.expiry < 2**40 if is_dated else terms.expiry == 0):
        yield "expiry", "must be in the future" if is_dated else "belongs to futures and options"
    yield from _margins(kind in (Kind.PERP, Kind.FUTURE), terms)
    if kind == Kind.PERP:
        if not 0 < terms.funding_cap <= MAX_FUNDING_CAP:
            yield "fundingCap", f"must be positive, at most {MAX_FUNDING_CAP} * 10^-8 per hour"
        if not MIN_FUNDING_PERIOD <= terms.funding_period <= MAX_FUNDING_PERIOD:
            yield "fundingPeriod", f"must be from {MIN_FUNDING_PERIOD} to {MAX_FUNDING_PERIOD} seconds"
    elif terms.funding_cap or terms.funding_period:
        yield "fundingCap" if terms.funding_cap else "fundingPeriod", "belongs to perpetuals"
    yield from _strike(action, unit)


def _margins(is_margined: bool, terms: DerivativeTerms) -> Iterator[Problem]:
    maintenance = terms.maintenance_margin_bps
    if is_margined:
        bounds = {
            "maintenanceMarginBps": (maintenance, MIN_MAINTENANCE_BPS, MAX_MAINTENANCE_BPS),
            "initialMarginBps": (terms.initial_margin_bps, 2 * maintenance, MAX_INITIAL_BPS),
            "bandBps": (terms.band_bps, 1, maintenance - 1),
            "liquidationFeeBps": (terms.liquidation_fee_bps, 0, maintenance),
            "exitPenaltyBps": (terms.exit_penalty_bps, 1, maintenance - 1),
        }
        wanted = "must be from {} to {}"
    else:
        given = (
            ("maintenanceMarginBps", maintenance),
            ("initialMarginBps", terms.initial_margin_bps),
            ("bandBps", terms.band_bps),
            ("liquidationFeeBps", terms.liquidation_fee_bps),
            ("exitPenaltyBps", terms.exit_penalty_bps),
        )
        bounds = {name: (value, 0, 0) for name, value in given}
        wanted = "belongs to perpetuals and futures"
    for name, (value, lowest, highest) in bounds.items():
        if not lowest <= value <= highest:
            yield name, wanted.format(lowest, highest)


def _strike(action: CreateMarket, unit: int) -> Iterator[Problem]:
    terms = action.terms
    is_option = action.kind == Kind.OPTION
    is_call = is_option and not terms.is_put
    if terms.is_put and not is_option:
        yield "isPut", "belongs to options"
    if (terms.strike > 0) != is_option or terms.strike < 0:
        yield "strike", "must be positive" if is_option else "belongs to options"
    if not (terms.cap > terms.strike if is_call else terms.cap == 0):
        yield "cap", "must be above the strike" if is_call else "belongs to calls"
    if not action.tick_size or not action.lot_size:
        return
    for name, price in (("strike", terms.strike), ("cap", terms.cap)):
        per_lot = price * action.lot_size // unit
        if price % action.tick_size or per_lot > MAX_PRICE_PER_LOT:
            yield name, "must be a multiple of tickSize, and per lot below 2^56"
        if action.max_quantity * per_lot >= NOTIONAL_LIMIT:
            yield "maxQuantity", f"times {name} must be below 2^94"
