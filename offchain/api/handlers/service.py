"""How the service stands: settlement, liveness, readiness."""

from __future__ import annotations

from aiohttp import web

from offchain.api import readiness
from offchain.api.handlers.common import answer, parameters
from offchain.api.keys import CHALLENGES, CREDENTIALS, HUB, IDEMPOTENCY, LIFE, LIMITS, METRICS, PRESENT, STATE
from offchain.api.schemas import http
from offchain.metrics import CONTENT_TYPE

BATCHES = 10


async def get_status(request: web.Request) -> web.Response:
    """GET /v1/status"""
    parameters(request)
    state = request.app[STATE]
    core = await state.live.read(readiness.core_status)
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
        halted=core.halt is not None,
        halt_reason=core.halt or "",
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
    reading = await readiness.read(request.app)
    reasons = reading.reasons
    body = http.Readiness(ready=not reasons, reasons=reasons, notes=reading.notes)
    return answer(body, 503 if reasons else 200)


async def get_metrics(request: web.Request) -> web.Response:
    """GET /metrics: for Prometheus"""
    app = request.app
    metrics, life, hub = app[METRICS], app[LIFE], app[HUB]
    _set_gauges(app, await readiness.read(app))
    metrics.answers.set(len(app[IDEMPOTENCY]))
    metrics.inflight.labels("order").set(life.orders)
    metrics.inflight.labels("cancel").set(life.cancels)
    metrics.sockets.set(len(life.connections))
    metrics.sessions.set(app[CREDENTIALS].sessions)
    metrics.api_keys.set(app[CREDENTIALS].keys)
    metrics.challenges.set(len(app[CHALLENGES]))
    for policy, count in app[LIMITS].keys().items():
        metrics.limited_keys.labels(policy).set(count)
    for kind, count in hub.subscriptions().items():
        metrics.subscriptions.labels(kind).set(count)
    return web.Response(body=metrics.render(), headers={"Content-Type": CONTENT_TYPE})


def _set_gauges(app: web.Application, reading: readiness.Reading) -> None:
    """What is known of the state; a part that does not answer keeps its last value, and `ready` is 0."""
    metrics, state = app[METRICS], app[STATE]
    metrics.ready.set(not reading.reasons)
    metrics.seq.set(state.live.tail())
    metrics.queue.set(state.live.queued)
    if reading.views_lag is not None:
        metrics.views_lag.set(reading.views_lag)
    core, now_ms = reading.core, state.clock.now_ms()
    if core is None:
        return
    oldest_ms = now_ms if core.oldest_fill_ms is None else core.oldest_fill_ms
    metrics.unsettled.set(core.unsettled_fills)
    metrics.releases.set(core.pending_releases)
    metrics.settler_lag.set((now_ms - oldest_ms) / 1000)
    metrics.parked.set(core.parked_batch)
    metrics.diverged.set(bool(core.diverged))
    metrics.halted.set(core.halt is not None)
    if core.head_number >= 0:
        metrics.head.set(core.head_number)
        metrics.head_age.set((now_ms - core.head_seen_ms) / 1000)
