"""Actions of administrators that end in a transaction: markets, their status on chain, the fee.

The worker sends it with the operator's key. Where that has not the right, the action ends as `needsOwner`, with the
call that the owner is to make.
"""

from __future__ import annotations

import hashlib

from aiohttp import web

from offchain.actionintake import parse_action_id
from offchain.api.admin import present
from offchain.api.admin.access import viewer
from offchain.api.admin.settings import Role
from offchain.api.admin.writes import actor_of_write, market_of_write, write
from offchain.api.handlers.common import answer, cursor, limit_of, parameters, position_of, read_own_writes
from offchain.api.idempotency import key_of
from offchain.api.keys import CATALOGUE, STATE
from offchain.api.present import RATE_DECIMALS, hex_of
from offchain.api.problems import ProblemError
from offchain.api.schemas import admin
from offchain.catalogue import Catalogue
from offchain.domain.actions import OPERATOR, Action, CreateMarket, DerivativeTerms, ScheduleFee, SetMarketStatus
from offchain.domain.commands import RequestAction
from offchain.domain.errors import Code
from offchain.domain.market import CROSS_PRICE_DECIMALS, USDC, USDC_DECIMALS, Asset, Kind, MarketStatus
from offchain.intake import IntakeCode, IntakeError, bounded, parse_address, parse_number, shown

KINDS = {kind.name.lower(): kind for kind in Kind}
MAX_U16, MAX_U32 = 2**16 - 1, 2**32 - 1

STATUSES = {status.name.lower(): status for status in MarketStatus if status is not MarketStatus.NONE}


async def create_market(request: web.Request) -> web.Response:
    """POST /v1/admin/markets"""

    def make(body: admin.CreateMarketBody) -> RequestAction:
        return _ask(request, listed(request.app[CATALOGUE], body))

    return await write(request, Role.MANAGER, "createMarket", admin.CreateMarketBody, make, 202)


async def set_status(request: web.Request) -> web.Response:
    """POST /v1/admin/markets/{symbol}/status"""

    def make(body: admin.StatusBody) -> RequestAction:
        status = STATUSES.get(body.status)
        if status is None:
            raise IntakeError(IntakeCode.INVALID_VALUE, "status", f"status must be one of {', '.join(STATUSES)}")
        return _ask(request, SetMarketStatus(market_of_write(request).id, status))

    return await write(request, Role.MANAGER, "setMarketStatus", admin.StatusBody, make, 202)


async def schedule_fee(request: web.Request) -> web.Response:
    """POST /v1/admin/fee"""

    def make(body: admin.FeeBody) -> RequestAction:
        return _ask(request, ScheduleFee(bounded(body.fee_bps, MAX_U16, "feeBps"), _seconds(body.at, "at")))

    return await write(request, Role.MANAGER, "scheduleFee", admin.FeeBody, make, 202)


def _ask(request: web.Request, action: Action) -> RequestAction:
    """The same request under the same key asks for the same action."""
    actor = actor_of_write(request)
    name = f"{actor.issuer}\n{actor.subject}\n{key_of(request, is_required=True)}"
    action_id = hashlib.sha256(name.encode("utf-8", "backslashreplace")).digest()
    return RequestAction(action_id, OPERATOR, action, request.app[STATE].clock.now_ms())


# ---------------------------------------------------------------------------------------------------------------------
# Progress
# ---------------------------------------------------------------------------------------------------------------------


async def list_actions(request: web.Request) -> web.Response:
    """GET /v1/admin/actions"""
    await viewer(request)
    query = parameters(request, "cursor", "limit")
    before, limit = position_of(query, "adminActions"), limit_of(request, query)
    await read_own_writes(request)
    page = await request.app[STATE].views.actions(OPERATOR, before, limit)
    rows = [present.action(request.app[CATALOGUE], row) for row in page.rows]
    return answer(admin.AdminActionPage(actions=rows, next=cursor("adminActions", page.next)))


async def get_action(request: web.Request) -> web.Response:
    """GET /v1/admin/actions/{id}"""
    await viewer(request)
    parameters(request)
    action_id = parse_action_id(request.match_info["id"])
    await read_own_writes(request)
    row = await request.app[STATE].views.action(action_id)
    if row is None or row.account != OPERATOR:
        raise ProblemError(Code.UNKNOWN_ACTION, f"no action has the id {hex_of(action_id)}", "id")
    return answer(present.action(request.app[CATALOGUE], row))


# ---------------------------------------------------------------------------------------------------------------------
# A market in the units of the registry
# ---------------------------------------------------------------------------------------------------------------------


def listed(catalogue: Catalogue, body: admin.CreateMarketBody) -> CreateMarket:
    """What the registry is to list. Raises IntakeError naming the field; its bounds are the core's to check."""
    kind = KINDS.get(body.kind)
    if kind is None:
        raise IntakeError(IntakeCode.INVALID_VALUE, "kind", f"kind must be one of {', '.join(KINDS)}")
    base = _asset(catalogue, body.base, "base")
    quote = USDC if body.quote == "USDC" else _asset(catalogue, body.quote, "quote").id
    decimals = USDC_DECIMALS if quote == USDC else CROSS_PRICE_DECIMALS
    lot_size = parse_number(body.lot_size, base.decimals, "lotSize")
    quantity = parse_number(body.max_quantity, base.decimals, "maxQuantity")
    if not lot_size or quantity % lot_size:
        raise IntakeError(IntakeCode.INVALID_NUMBER, "maxQuantity", "maxQuantity must be a multiple of lotSize")
    return CreateMarket(
        symbol=body.symbol,
        kind=kind,
        base=base.id,
        quote=quote,
        tick_size=parse_number(body.tick_size, decimals, "tickSize"),
        lot_size=lot_size,
        max_price=parse_number(body.max_price, decimals, "maxPrice"),
        max_quantity=quantity // lot_size,
        oracle=b"" if body.oracle is None else parse_address(body.oracle, "oracle"),
        terms=_terms(body),
    )


def _terms(body: admin.CreateMarketBody) -> DerivativeTerms:
    return DerivativeTerms(
        expiry=0 if body.expiry is None else _seconds(body.expiry, "expiry"),
        strike=0 if body.strike is None else parse_number(body.strike, USDC_DECIMALS, "strike"),
        cap=0 if body.cap is None else parse_number(body.cap, USDC_DECIMALS, "cap"),
        is_put=body.is_put,
        initial_margin_bps=bounded(body.initial_margin_bps, MAX_U16, "initialMarginBps"),
        maintenance_margin_bps=bounded(body.maintenance_margin_bps, MAX_U16, "maintenanceMarginBps"),
        band_bps=bounded(body.band_bps, MAX_U16, "bandBps"),
        liquidation_fee_bps=bounded(body.liquidation_fee_bps, MAX_U16, "liquidationFeeBps"),
        exit_penalty_bps=bounded(body.exit_penalty_bps, MAX_U16, "exitPenaltyBps"),
        funding_cap=0 if body.funding_cap is None else parse_number(body.funding_cap, RATE_DECIMALS, "fundingCap"),
        funding_period=bounded(body.funding_period, MAX_U32, "fundingPeriod"),
    )


def _asset(catalogue: Catalogue, symbol: str, param: str) -> Asset:
    for asset in catalogue.assets:
        if asset.symbol == symbol:
            return asset
    detail = f"{param} {shown(symbol)!r} is no registered asset; GET /v1/markets lists them"
    raise IntakeError(Code.UNKNOWN_ASSET, param, detail)


def _seconds(milliseconds: int, param: str) -> int:
    """Whole seconds, as the chain counts them."""
    if not 0 < milliseconds < 2**40 * 1000 or milliseconds % 1000:
        raise IntakeError(IntakeCode.INVALID_NUMBER, param, f"{param} must be whole seconds, in Unix milliseconds")
    return milliseconds // 1000
