"""The worker's GET /metrics, and what its parts count."""

from __future__ import annotations

import socket

import aiohttp
import pytest

from offchain.app.exposition import serve_metrics
from offchain.metrics import WorkerMetrics
from offchain.process import StartRefused


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_the_worker_serves_its_metrics_and_nothing_else() -> None:
    metrics = WorkerMetrics()
    metrics.mined(fills=4, gas_used=200_000, seconds=31.0)
    async with serve_metrics(metrics, "127.0.0.1", 0) as url:
        status, text = await get(f"{url}/metrics")
        assert status == 200
        assert "crosspoint_gas_per_fill 50000.0" in text
        assert "crosspoint_settled_fills_total 4.0" in text
        assert 'crosspoint_settle_seconds_bucket{le="30.0"} 0.0' in text
        assert 'crosspoint_settle_seconds_bucket{le="45.0"} 1.0' in text
        assert "process_cpu_seconds_total" in text
        assert (await get(f"{url}/"))[0] == 404


async def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartRefused, match=f"worker_metrics_port: cannot listen on 127.0.0.1:{port}"):
            async with serve_metrics(WorkerMetrics(), "127.0.0.1", port):
                pass
