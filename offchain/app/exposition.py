"""The worker's own small web server: `GET /metrics` and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from offchain.metrics import CONTENT_TYPE, WorkerMetrics
from offchain.process import StartRefused

METRICS = web.AppKey("metrics", WorkerMetrics)

log = structlog.get_logger(__name__)


async def _get_metrics(request: web.Request) -> web.Response:
    """GET /metrics: for Prometheus"""
    return web.Response(body=request.app[METRICS].render(), headers={"Content-Type": CONTENT_TYPE})


@asynccontextmanager
async def serve_metrics(metrics: WorkerMetrics, host: str, port: int) -> AsyncIterator[str]:
    """Serve until the block ends; the address. Raises StartRefused if the port cannot be had."""
    app = web.Application()
    app[METRICS] = metrics
    app.router.add_get("/metrics", _get_metrics, allow_head=False)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise StartRefused(f"worker_metrics_port: cannot listen on {host}:{port}: {error}") from error
        url = f"http://{f'[{host}]' if ':' in host else host}:{runner.addresses[0][1]}"
        log.info("metrics served", url=f"{url}/metrics")
        yield url
    finally:
        await runner.cleanup()
