"""Builds the web application over an `ApiState`."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog
from aiohttp import WSCloseCode, web

from offchain.api.keys import CATALOGUE, HUB, INTAKE, LIFE, PRESENT, READBACK, REQUEST_ID, STATE, Life
from offchain.api.present import Presenter
from offchain.api.problems import ApiCode, ProblemError, problem_response
from offchain.api.readback import Readback
from offchain.api.routes import ROUTES
from offchain.api.state import ApiState
from offchain.api.stream import Hub
from offchain.catalogue import Catalogue
from offchain.domain.errors import Rejection
from offchain.intake import Intake, IntakeError, shown
from offchain.ports import Overloaded, Unavailable

REQUEST_ID_HEADER = "X-Request-Id"

log = structlog.get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def init_app(state: ApiState) -> web.Application:
    """The application; it follows the feed from its start to its clean-up."""
    catalogue = Catalogue()
    app = web.Application(middlewares=[_respond], client_max_size=state.settings.max_body_bytes)
    app[STATE] = state
    app[CATALOGUE] = catalogue
    app[INTAKE] = Intake(catalogue)
    app[PRESENT] = Presenter(catalogue)
    app[READBACK] = Readback(state.views)
    app[HUB] = Hub(state, catalogue, app[READBACK])
    app[LIFE] = Life()
    app.add_routes(ROUTES)
    app.cleanup_ctx.append(_follow_feed)
    app.on_shutdown.append(_close_sockets)
    return app


def begin_drain(app: web.Application) -> None:
    """Refuse new orders and sockets from now on; what is under way is answered."""
    app[LIFE].draining = True


async def _follow_feed(app: web.Application) -> AsyncIterator[None]:
    await app[HUB].start()
    yield
    await app[HUB].stop()


async def _close_sockets(app: web.Application) -> None:
    begin_drain(app)
    connections = list(app[LIFE].connections)
    for connection in connections:
        connection.close(WSCloseCode.GOING_AWAY, "shutting down")
    for connection in connections:
        await connection.closed()


@web.middleware
async def _respond(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every request an id, and every failure a problem document."""
    request_id = secrets.token_hex(8)
    request[REQUEST_ID] = request_id
    try:
        response = await handler(request)
    except (IntakeError, ProblemError) as refusal:
        order_id = refusal.order_id if isinstance(refusal, ProblemError) else None
        response = problem_response(refusal.rejection, request_id, order_id=order_id)
    except Overloaded as error:
        response = _problem(request_id, ApiCode.OVERLOADED, f"{error}; nothing was taken, send it again later")
    except Unavailable as error:
        response = _problem(request_id, ApiCode.UNAVAILABLE, f"{error}; send the same again")
    except web.HTTPException as error:
        response = _http_problem(request, request_id, error)
    except Exception:
        log.exception("request failed", request_id=request_id, method=request.method, path=request.path)
        response = _problem(request_id, ApiCode.INTERNAL_ERROR, "the service failed on this request and has logged why")
    if not response.prepared:
        response.headers[REQUEST_ID_HEADER] = request_id
    return response


def _problem(request_id: str, code: ApiCode, detail: str, param: str = "") -> web.Response:
    return problem_response(Rejection(code, param, detail), request_id)


def _http_problem(request: web.Request, request_id: str, error: web.HTTPException) -> web.StreamResponse:
    """What aiohttp itself refuses."""
    match error:
        case web.HTTPNotFound():
            return _problem(request_id, ApiCode.UNKNOWN_ROUTE, f"there is nothing at {shown(request.path)}")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            detail = f"{request.method} is not allowed here; allowed: {allowed}"
            rejection = Rejection(ApiCode.METHOD_NOT_ALLOWED, "", detail)
            return problem_response(rejection, request_id, headers={"Allow": allowed})
        case web.HTTPRequestEntityTooLarge():
            largest = request.app[STATE].settings.max_body_bytes
            return _problem(request_id, ApiCode.BODY_TOO_LARGE, f"the body has more than {largest} bytes")
    raise error
