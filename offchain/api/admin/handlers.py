"""Halts, limits, dead letters, the audit log."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from offchain.api.admin import present
from offchain.api.admin.access import viewer
from offchain.api.admin.settings import Role
from offchain.api.admin.writes import checked_reason, market_of_write, write
from offchain.api.handlers.common import answer, cursor, limit_of, parameters, position_of, read_own_writes
from offchain.api.keys import CATALOGUE, PRESENT, STATE
from offchain.api.problems import ApiCode, ProblemError
from offchain.api.schemas import admin
from offchain.domain.admin import ChangeSettings, HaltAll, LimitQuantity, SetLeverage
from offchain.domain.administration import ACTIONS
from offchain.domain.commands import BatchRetry, Bust, SetStatus
from offchain.domain.core import Core
from offchain.domain.errors import Code
from offchain.domain.events import ExchangeUpdate
from offchain.domain.outbox import MAX_BATCH_FILLS
from offchain.intake import parse_lots, parse_order_id, shown
from offchain.ports import AuditQuery, DeadLetterRow, ItemRow

MAX_DEAD_FILLS = 500
"""fills of one letter that are shown"""

MAX_DIGITS = 15
"""of a letter's number"""

# ---------------------------------------------------------------------------------------------------------------------
# Halts and limits
# ---------------------------------------------------------------------------------------------------------------------


async def halt_all(request: web.Request) -> web.Response:
    """POST /v1/admin/halt"""
    return await write(
        request,
        Role.OPERATOR,
        "haltExchange",
        admin.HaltBody,
        lambda body: HaltAll(True, checked_reason(body.reason, is_required=True)),
    )


async def resume_all(request: web.Request) -> web.Response:
    """POST /v1/admin/resume"""
    return await write(
        request,
        Role.OPERATOR,
        "resumeExchange",
        admin.ResumeBody,
        lambda body: HaltAll(False, checked_reason(body.reason)),
    )


async def halt_market(request: web.Request) -> web.Response:
    """POST /v1/admin/markets/{symbol}/halt"""
    return await write(
        request,
        Role.OPERATOR,
        "haltMarket",
        admin.HaltBody,
        lambda body: SetStatus(market_of_write(request).id, True, checked_reason(body.reason, is_required=True)),
    )


async def resume_market(request: web.Request) -> web.Response:
    """POST /v1/admin/markets/{symbol}/resume"""
    return await write(
        request,
        Role.OPERATOR,
        "resumeMarket",
        admin.ResumeBody,
        lambda body: SetStatus(market_of_write(request).id, False, checked_reason(body.reason)),
    )


async def limit_quantity(request: web.Request) -> web.Response:
    """POST /v1/admin/markets/{symbol}/limit"""

    def make(body: admin.LimitBody) -> LimitQuantity:
        market, text = market_of_write(request), body.quantity_limit
        return LimitQuantity(market.id, None if text is None else parse_lots(text, market, "quantityLimit"))

    return await write(request, Role.MANAGER, "limitQuantity", admin.LimitBody, make)


async def set_leverage(request: web.Request) -> web.Response:
    """POST /v1/admin/markets/{symbol}/leverage"""
    return await write(
        request,
        Role.MANAGER,
        "setLeverage",
        admin.LeverageBody,
        lambda body: SetLeverage(market_of_write(request).id, body.opening_margin_bps),
    )


async def change_settings(request: web.Request) -> web.Response:
    """POST /v1/admin/settings"""
    return await write(
        request,
        Role.MANAGER,
        "changeSettings",
        admin.SettingsBody,
        lambda body: ChangeSettings(body.max_open_orders, body.price_band_bps),
    )


async def get_settings(request: web.Request) -> web.Response:
    """GET /v1/admin/settings: the core's own"""
    await viewer(request)
    parameters(request)
    update = await request.app[STATE].live.read(exchange_update)
    if update is None:
        raise ProblemError(Code.NOT_CONFIGURED, "the exchange is starting; it has no settings yet")
    return answer(present.settings(update))


def exchange_update(core: Core) -> ExchangeUpdate | None:
    return core.exchange_update()


# ---------------------------------------------------------------------------------------------------------------------
# Dead letters
# ---------------------------------------------------------------------------------------------------------------------


async def list_dead_letters(request: web.Request) -> web.Response:
    """GET /v1/admin/dead-letters"""
    await viewer(request)
    query = parameters(request, "cursor", "limit")
    before, limit = position_of(query, "deadLetters"), limit_of(request, query)
    await read_own_writes(request)
    page = await request.app[STATE].views.dead_letters(before, limit)
    letters = [present.dead_letter(row) for row in page.rows]
    return answer(admin.DeadLetterPage(dead_letters=letters, next=cursor("deadLetters", page.next)))


async def get_dead_letter(request: web.Request) -> web.Response:
    """GET /v1/admin/dead-letters/{id}"""
    await viewer(request)
    parameters(request)
    letter = await _letter(request)
    catalogue, presenter = request.app[CATALOGUE], request.app[PRESENT]
    fills = [present.dead_fill(presenter, catalogue, row) for row in await _items(request, letter, MAX_DEAD_FILLS)]
    body = admin.DeadLetterInfo(
        dead_letter=present.dead_letter(letter), fills=[fill for fill in fills if fill is not None]
    )
    return answer(body)


async def retry_dead_letter(request: web.Request) -> web.Response:
    """POST /v1/admin/dead-letters/{id}/retry"""

    async def make(body: admin.RetryBody) -> BatchRetry:
        return BatchRetry((await _open_letter(request)).batch)

    return await write(request, Role.OPERATOR, "retryBatch", admin.RetryBody, make)


async def bust_dead_letter(request: web.Request) -> web.Response:
    """POST /v1/admin/dead-letters/{id}/bust"""

    async def make(body: admin.BustBody) -> Bust:
        reason = checked_reason(body.reason, is_required=True)
        letter = await _open_letter(request)
        if body.fill_ids is not None:
            return Bust([parse_order_id(text, "fillIds") for text in body.fill_ids], reason)
        rows = await _items(request, letter, MAX_BATCH_FILLS)
        named = [row.trade.id for row in rows if row.trade is not None and letter.item in (None, row.item)]
        return Bust(named, reason)

    return await write(request, Role.OPERATOR, "bustFills", admin.BustBody, make)


async def _letter(request: web.Request) -> DeadLetterRow:
    """The letter that the address names. Raises ProblemError if there is none."""
    await read_own_writes(request)
    text = request.match_info["id"]
    letter = None
    if text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS:
        letter = await request.app[STATE].views.dead_letter(int(text))
    if letter is None:
        raise ProblemError(ApiCode.UNKNOWN_DEAD_LETTER, f"there is no dead letter {shown(text)}", "id")
    return letter


async def _open_letter(request: web.Request) -> DeadLetterRow:
    """Raises ProblemError if there is none, or its batch has gone on."""
    letter = await _letter(request)
    if letter.status not in ("parked", "retried"):
        raise ProblemError(Code.INVALID_BATCH, f"dead letter {letter.seq} is {letter.status}", "id")
    return letter


async def _items(request: web.Request, letter: DeadLetterRow, most: int) -> list[ItemRow]:
    count = min(letter.last - letter.first + 1, most)
    rows = await request.app[STATE].views.items(letter.first, count)
    return [row for row in rows if row.item <= letter.last]


# ---------------------------------------------------------------------------------------------------------------------
# Audit log
# ---------------------------------------------------------------------------------------------------------------------


async def list_audit(request: web.Request) -> web.Response:
    """GET /v1/admin/audit"""
    await viewer(request)
    query = parameters(request, "who", "action", "cursor", "limit")
    wanted = AuditQuery(_who(query), _action(query))
    before, limit = position_of(query, "audit"), limit_of(request, query)
    await read_own_writes(request)
    page = await request.app[STATE].views.admin_audit(wanted, before, limit)
    entries = [present.entry(request.app[CATALOGUE], row) for row in page.rows]
    return answer(admin.AuditPage(entries=entries, next=cursor("audit", page.next)))


def _who(query: Mapping[str, str]) -> str | None:
    text = query.get("who")
    if text is not None and not 0 < len(text) <= 255:
        raise ProblemError(ApiCode.INVALID_PARAMETER, "who is a token's sub, 1 to 255 characters", "who")
    return text


def _action(query: Mapping[str, str]) -> str | None:
    text = query.get("action")
    if text is not None and text not in ACTIONS:
        raise ProblemError(ApiCode.INVALID_PARAMETER, f"action must be one of {', '.join(ACTIONS)}", "action")
    return text
