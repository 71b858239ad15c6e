"""Builds the web application over an `ApiState`."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from time import perf_counter

import structlog
from aiohttp import web

from offchain.api.actions import ActionDesk
from offchain.api.admin.jwks import Jwks, loader
from offchain.api.admin.tokens import Verifier
from offchain.api.answers import AnswerStore
from offchain.api.breaker import Breaker
from offchain.api.challenges import Challenges
from offchain.api.closing import CloseCode
from offchain.api.credentials import Credentials
from offchain.api.desk import REFUSALS, Desk, rejection_of
from offchain.api.handlers.common import charge_address
from offchain.api.keys import (
    ACTION_DESK,
    ADMIN,
    BREAKER,
    CATALOGUE,
    CHALLENGES,
    CREDENTIALS,
    DESK,
    HUB,
    IDEMPOTENCY,
    INTAKE,
    LIFE,
    LIMITS,
    METRICS,
    OUTBOX,
    PRESENT,
    RATES,
    READBACK,
    REQUEST_ID,
    STATE,
    USES,
)
from offchain.api.life import Life
from offchain.api.limits import Limits, Use, headers
from offchain.api.outbox import Outbox
from offchain.api.present import Presenter
from offchain.api.problems import RETRY_AFTER, ApiCode, ProblemError, problem_response
from offchain.api.rates import Rates
from offchain.api.readback import Readback
from offchain.api.routes import ROUTES
from offchain.api.state import ApiState
from offchain.api.stream import Hub
from offchain.catalogue import Catalogue
from offchain.domain.errors import Rejection
from offchain.intake import Intake, shown
from offchain.tracing import REQUEST_ID as TRACED

LOSS_SECONDS = 2.0
"""at the end, for the core to hear of lost sockets; of others it hears when it starts again"""

SWEEP_SECONDS = 0.25
"""pause between two looks whether sessions have ended by time"""

REQUEST_ID_HEADER = "X-Request-Id"

_IDS = random.Random(secrets.randbits(128))
"""Names need to be distinct, not secret; the system's own randomness is a call into it."""

log = structlog.get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def init_app(state: ApiState) -> web.Application:
    """The application; it follows the feed from its start to its clean-up."""
    catalogue = Catalogue()
    app = web.Application(middlewares=[_respond], client_max_size=_largest_body(state))
    app[STATE] = state
    app[METRICS] = state.metrics
    app[CATALOGUE] = catalogue
    app[INTAKE] = Intake(catalogue)
    app[PRESENT] = Presenter(catalogue)
    app[READBACK] = Readback(state.views)
    app[CHALLENGES] = Challenges(state.settings.max_challenges, state.settings.max_challenges_per_address)
    app[CREDENTIALS] = Credentials(state.settings.max_sessions, state.settings.max_sessions_per_account)
    app[RATES] = Rates(state.views)
    app[OUTBOX] = Outbox()
    app[HUB] = Hub(state, catalogue, app[READBACK], app[CREDENTIALS], app[RATES], app[OUTBOX])
    app[LIFE] = Life()
    settings = state.settings
    app[BREAKER] = Breaker(settings.breaker_failures, settings.breaker_seconds, state.monotonic, state.metrics)
    app[IDEMPOTENCY] = AnswerStore(settings.idempotency_answers, settings.idempotency_answers_per_account)
    app[LIMITS] = Limits(state.settings)
    app[DESK] = Desk(state, app[LIFE], app[BREAKER], app[LIMITS], catalogue, app[INTAKE], app[PRESENT])
    if state.admin is not None:
        app[ADMIN] = Verifier(state.admin, Jwks(loader(state.admin), state.admin, state.monotonic), state.clock)
    app[ACTION_DESK] = ActionDesk(state, app[BREAKER], catalogue)
    app.add_routes(ROUTES)
    app.cleanup_ctx.append(_follow_feed)
    app.cleanup_ctx.append(_end_sessions)
    app.on_shutdown.append(_close_sockets)
    return app


def _largest_body(state: ApiState) -> int:
    """Bytes of the largest body that any route takes; most take less."""
    return max(state.settings.max_body_bytes, state.settings.max_batch_bytes)


def begin_drain(app: web.Application) -> None:
    """Refuse new orders and sockets from now on; what is under way is answered, cancels are still taken."""
    app[LIFE].draining = True


def takes_no_orders(app: web.Application) -> bool:
    """Whether it drains and every order that was under way is answered: no match can come any more."""
    life = app[LIFE]
    return life.draining and not life.orders


async def _follow_feed(app: web.Application) -> AsyncIterator[None]:
    await app[HUB].start()
    yield
    await app[HUB].stop()


async def _end_sessions(app: web.Application) -> AsyncIterator[None]:
    """Close the sockets of what has ended by time."""

    async def sweep() -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            app[CREDENTIALS].sweep(app[STATE].clock.now_ms())

    sweeping = asyncio.create_task(sweep())
    yield
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)


async def _close_sockets(app: web.Application) -> None:
    begin_drain(app)
    connections = list(app[LIFE].connections)
    for connection in connections:
        connection.close(CloseCode.SHUTTING_DOWN)
    for connection in connections:
        await connection.closed()
    # Their handlers end now; what they leave to be done is done before the core stops.
    await asyncio.sleep(0)
    if app[LIFE].losses:
        await asyncio.wait(app[LIFE].losses, timeout=LOSS_SECONDS)


@web.middleware
async def _respond(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every request an id, and every failure a problem document; count and time them."""
    started = perf_counter()
    request_id = f"{_IDS.getrandbits(64):016x}"
    request[REQUEST_ID] = request_id
    TRACED.set(request_id)
    uses: list[Use] = []
    request[USES] = uses
    response = await _answered(request, request_id, handler)
    if not response.prepared:
        response.headers[REQUEST_ID_HEADER] = request_id
        if uses:
            response.headers.update(headers(uses))
        _count(request, response.status, perf_counter() - started)
    return response


async def _answered(request: web.Request, request_id: str, handler: Handler) -> web.StreamResponse:
    try:
        charge_address(request)
        return await handler(request)
    except ProblemError as refusal:
        wait = {} if refusal.retry_after is None else {RETRY_AFTER: str(refusal.retry_after)}
        return _refused(request, request_id, refusal.rejection, refusal.order_id, wait)
    except REFUSALS as refusal:
        rejection = rejection_of(refusal)
    except web.HTTPException as error:
        return _http_problem(request, request_id, error)
    except Exception:
        log.exception("request failed", request_id=request_id, method=request.method, path=request.path)
        detail = "the service failed on this request and has logged why"
        rejection = Rejection(ApiCode.INTERNAL_ERROR, "", detail)
    return _refused(request, request_id, rejection)


def _refused(
    request: web.Request,
    request_id: str,
    rejection: Rejection,
    order_id: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """The problem document; counted, and logged where it ends an order or a cancel."""
    request.app[METRICS].refusals.labels(rejection.code).inc()
    if request.method != "GET" and rejection.code != ApiCode.RATE_LIMITED:
        order = order_id or _named(request)
        log.info("refused", request_id=request_id, code=rejection.code, param=rejection.param, order=order)
    return problem_response(rejection, request_id, order_id=order_id, headers=headers)


def _named(request: web.Request) -> str:
    """The order that the address names, "" if none."""
    text = request.match_info.get("id", "")
    return text if len(text) <= 66 and text.isascii() else shown(text)


def _count(request: web.Request, status: int, seconds: float) -> None:
    resource = request.match_info.route.resource
    # Only what exists becomes a label: clients could invent addresses and methods without end.
    method, route = (request.method, resource.canonical) if resource is not None else ("other", "unknown")
    request.app[METRICS].answered(method, route, status, seconds)


def _http_problem(request: web.Request, request_id: str, error: web.HTTPException) -> web.StreamResponse:
    """What aiohttp itself refuses."""
    headers = {}
    match error:
        case web.HTTPNotFound():
            rejection = Rejection(ApiCode.UNKNOWN_ROUTE, "", f"there is nothing at {shown(request.path)}")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            detail = f"{request.method} is not allowed here; allowed: {allowed}"
            rejection, headers = Rejection(ApiCode.METHOD_NOT_ALLOWED, "", detail), {"Allow": allowed}
        case web.HTTPRequestEntityTooLarge():
            largest = _largest_body(request.app[STATE])
            rejection = Rejection(ApiCode.BODY_TOO_LARGE, "", f"the body has more than {largest} bytes")
        case _:
            raise error
    return _refused(request, request_id, rejection, headers=headers)
