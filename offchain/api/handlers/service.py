"""How the service stands: settlement, liveness, readiness."""

from __future__ import annotations

from aiohttp import web

from offchain.api.handlers.common import answer, parameters
from offchain.api.keys import HUB, LIFE, PRESENT, STATE
from offchain.api.schemas import http
from offchain.api.state import ApiState
from offchain.domain.core import Core
from offchain.domain.core import Status as CoreStatus
from offchain.ports import Unavailable

BATCHES = 10


def _core_status(core: Core) -> CoreStatus:
    return core.status()


async def get_status(request: web.Request) -> web.Response:
    """GET /v1/status"""
    parameters(request)
    state = request.app[STATE]
    core = await state.live.read(_core_status)
    batches = await state.views.batches(BATCHES)
    body = http.Status(
        seq=state.live.tail(),
        views_seq=await state.views.applied(),
        queued_fills=core.unsettled_fills,
        queued_releases=core.pending_releases,
        oldest_fill_at=core.oldest_fill_ms,
        parked_batch=core.parked_batch or None,
        parked_reason=core.batch_reason if core.parked_batch else "",
        diverged=core.diverged,
        block=core.head_number if core.head_number >= 0 else None,
        block_seen_at=core.head_seen_ms if core.head_number >= 0 else None,
        batches=[request.app[PRESENT].batch(row) for row in batches],
    )
    return answer(body)


async def live(request: web.Request) -> web.Response:
    """GET /livez: the process answers"""
    return web.Response(text="ok\n")


async def ready(request: web.Request) -> web.Response:
    """GET /readyz: whether traffic should come, and why not"""
    state, life = request.app[STATE], request.app[LIFE]
    reasons = ["shutting down"] if life.draining else []
    if request.app[HUB].failure:
        reasons.append(request.app[HUB].failure)
    try:
        core = await state.live.read(_core_status)
    except Unavailable as unavailable:
        reasons.append(f"the core does not answer: {unavailable}")
    else:
        reasons += _core_reasons(state, core)
    backlog = state.live.tail() - await state.views.applied()
    if backlog > state.settings.ready_backlog_events:
        reasons.append(f"the views are {backlog} events behind")
    reasons += (await state.health()).reasons
    return answer(http.Readiness(ready=not reasons, reasons=reasons), 503 if reasons else 200)


def _core_reasons(state: ApiState, core: CoreStatus) -> list[str]:
    settings, now_ms = state.settings, state.clock.now_ms()
    reasons = []
    if core.diverged:
        reasons.append(f"the chain diverged: {core.diverged}")
    if core.parked_batch:
        reasons.append(f"batch {core.parked_batch} is parked: {core.batch_reason}")
    if core.oldest_fill_ms is not None and now_ms - core.oldest_fill_ms > settings.ready_item_age_ms:
        reasons.append(f"the oldest unsettled fill is {(now_ms - core.oldest_fill_ms) // 1000} s old")
    if core.head_number < 0:
        reasons.append("no block has been seen yet")
    elif 0 < settings.ready_head_age_ms < now_ms - core.head_seen_ms:
        reasons.append(f"the newest block was seen {(now_ms - core.head_seen_ms) // 1000} s ago")
    return reasons
