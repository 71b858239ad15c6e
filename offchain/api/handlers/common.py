"""Parameters, cursors, bodies and answers, alike for every handler."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Collection, Mapping

import msgspec
from aiohttp import web

from offchain.api.keys import CATALOGUE, DESK, LIMITS, READBACK, STATE, USES
from offchain.api.limits import Use
from offchain.api.problems import ApiCode, ProblemError
from offchain.domain.errors import Code
from offchain.domain.market import Market
from offchain.domain.order import Address
from offchain.intake import CLIENT_ORDER_ID, shown

_ENCODER = msgspec.json.Encoder()
_COUNT = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
LATEST_MS = 2**53
"""Beyond all times."""

_CURSOR = re.compile(r"[A-Za-z0-9_\-]{1,64}", re.ASCII)


def answer(body: msgspec.Struct, status: int = 200) -> web.Response:
    return web.Response(status=status, body=_ENCODER.encode(body), content_type="application/json")


async def read_body(request: web.Request, largest: int | None = None) -> bytes:
    """The JSON body's bytes. ProblemError for another type, a slow sender, and more than `largest` bytes, which are
    `max_body_bytes` unless given."""
    if request.content_type != "application/json" or request.charset not in (None, "utf-8", "UTF-8"):
        detail = "send Content-Type: application/json (UTF-8)"
        raise ProblemError(ApiCode.UNSUPPORTED_MEDIA_TYPE, detail, "Content-Type")
    if "Content-Encoding" in request.headers:
        raise ProblemError(ApiCode.UNSUPPORTED_MEDIA_TYPE, "send the body without compression", "Content-Encoding")
    content = request.content
    # Few bodies are larger than a packet: most have arrived with the header.
    has_arrived = content.is_eof() and content.exception() is None
    raw = content.read_nowait() if has_arrived else await _arriving(request)
    largest = largest or request.app[STATE].settings.max_body_bytes
    if len(raw) > largest:
        raise ProblemError(ApiCode.BODY_TOO_LARGE, f"the body has more than {largest} bytes")
    return raw


async def _arriving(request: web.Request) -> bytes:
    """A body that is still under way."""
    timeout_ms = request.app[STATE].settings.body_timeout_ms
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            return await request.read()
    except TimeoutError:
        raise ProblemError(ApiCode.TIMEOUT, f"the body did not arrive within {timeout_ms} ms") from None
    except (ConnectionError, web.RequestPayloadError) as error:
        raise ProblemError(ApiCode.TIMEOUT, f"the body did not arrive: {error}") from None


# ---------------------------------------------------------------------------------------------------------------------
# Query parameters
# ---------------------------------------------------------------------------------------------------------------------


def parameters(request: web.Request, *known: str) -> Mapping[str, str]:
    """The query, each parameter at most once and none unknown."""
    query = request.query
    for name in query:
        if name not in known:
            expected = ", ".join(known) or "none"
            detail = f"{shown(name)} is not a parameter here; there are: {expected}"
            raise ProblemError(ApiCode.UNKNOWN_PARAMETER, detail, shown(name))
    if len(query) != len(set(query)):
        name = next(name for name in query if len(query.getall(name)) > 1)
        raise ProblemError(ApiCode.INVALID_PARAMETER, f"{name} is given more than once", name)
    return query


def market_of(request: web.Request, symbol: str, param: str) -> Market:
    market = request.app[CATALOGUE].find(symbol)
    if market is None:
        detail = f"there is no market {shown(symbol)!r}; GET /v1/markets lists them"
        raise ProblemError(Code.UNKNOWN_MARKET, detail, param)
    return market


def count_of(query: Mapping[str, str], name: str, default: int, largest: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if _COUNT.fullmatch(text) is None or int(text) > largest:
        raise ProblemError(ApiCode.INVALID_PARAMETER, f"{name} must be a number from 1 to {largest}", name)
    return int(text)


def time_of(query: Mapping[str, str], name: str) -> int | None:
    """Unix milliseconds; None if the parameter is absent."""
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 16) or int(text) >= LATEST_MS:
        raise ProblemError(ApiCode.INVALID_PARAMETER, f"{name} must be a time in Unix milliseconds", name)
    return int(text)


def limit_of(request: web.Request, query: Mapping[str, str]) -> int:
    settings = request.app[STATE].settings
    return count_of(query, "limit", settings.default_page, settings.max_page)


def choices_of(query: Mapping[str, str], name: str, options: Collection[str]) -> tuple[str, ...]:
    """A comma-separated list; empty if the parameter is absent."""
    text = query.get(name)
    if text is None:
        return ()
    chosen = tuple(text.split(","))
    if not set(chosen) <= set(options):
        detail = f"{name} must be one or more of {', '.join(options)}, separated by commas"
        raise ProblemError(ApiCode.INVALID_PARAMETER, detail, name)
    return chosen


def client_order_id_of(query: Mapping[str, str]) -> str | None:
    text = query.get("clientOrderId")
    if text is not None and CLIENT_ORDER_ID.fullmatch(text) is None:
        detail = "a clientOrderId is 1 to 64 letters, digits, dots, hyphens or underscores"
        raise ProblemError(ApiCode.INVALID_PARAMETER, detail, "clientOrderId")
    return text


# ---------------------------------------------------------------------------------------------------------------------
# Cursors
# ---------------------------------------------------------------------------------------------------------------------


def cursor(kind: str, position: int | None) -> str | None:
    """An opaque cursor of one kind of list; None at its end."""
    if position is None:
        return None
    return base64.urlsafe_b64encode(f"{kind}:{position}".encode()).decode().rstrip("=")


def position_of(query: Mapping[str, str], kind: str) -> int | None:
    """What `cursor` was given; ProblemError for anything else."""
    text = query.get("cursor")
    if text is None:
        return None
    invalid = ProblemError(ApiCode.INVALID_CURSOR, "pass a cursor as the previous page returned it, or none", "cursor")
    if _CURSOR.fullmatch(text) is None:
        raise invalid
    try:
        found, _, number = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise invalid from None
    if found != kind or not number.isascii() or not number.isdecimal() or len(number) > 18:
        raise invalid
    return int(number)


# ---------------------------------------------------------------------------------------------------------------------
# Budgets
# ---------------------------------------------------------------------------------------------------------------------

UNLIMITED = frozenset({"/livez", "/readyz", "/metrics"})
"""what the operator's own tools ask"""


def charge_address(request: web.Request) -> None:
    """Charge the address that the request comes from. ProblemError if its budget is used up."""
    if request.path not in UNLIMITED:
        app = request.app
        _charge(request, app[LIMITS].use_address(request, app[STATE].monotonic()), "this address")


def charge_sign_in(request: web.Request) -> None:
    """Charge the address for a challenge, a sign-in or an API key. ProblemError if its budget is used up."""
    app = request.app
    _charge(request, app[LIMITS].use_sign_in(request, app[STATE].monotonic()), "this address")


def charge_account(request: web.Request, budget: str, account: Address, cost: int = 1) -> None:
    """Charge an account whose signature was verified. ProblemError if its budget is used up."""
    _charge(request, request.app[DESK].charge(budget, account, cost), "this account")


def charge_all(request: web.Request, budget: str) -> None:
    """Charge a budget that all accounts share. ProblemError if it is used up."""
    app = request.app
    _charge(request, app[LIMITS].use_all(budget, app[STATE].monotonic()), "all accounts together")


def _charge(request: web.Request, use: Use | None, whose: str) -> None:
    if use is not None:
        request[USES].append(use)
    request.app[DESK].check(use, whose)


async def read_own_writes(request: web.Request) -> None:
    """Let the views catch up with what was executed when the request arrived, for a bounded time."""
    state = request.app[STATE]
    await request.app[READBACK].reach(state.live.tail(), state.settings.read_own_writes_ms)
