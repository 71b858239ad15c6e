"""What the settler counts."""

from __future__ import annotations

import pytest

from offchain.metrics import WorkerMetrics
from tests.utils.fakechain import FakeChain
from tests.utils.service import Service
from tests.utils.signing import Trader

from .conftest import CreateSettler
from .play import settle, trade


def value(metrics: WorkerMetrics, name: str) -> float:
    return metrics.registry.get_sample_value(f"crosspoint_{name}") or 0.0


@pytest.fixture
def metrics() -> WorkerMetrics:
    return WorkerMetrics()


async def test_batches_their_fills_and_their_gas(
    service: Service,
    chain: FakeChain,
    create_settler: CreateSettler,
    maker: Trader,
    taker: Trader,
    metrics: WorkerMetrics,
) -> None:
    settler = create_settler(fills=2, ports={"metrics": metrics})
    await trade(service, maker, taker, count=4)
    chain.mine(20)
    await service.sync()
    await settle(settler, service)
    await settler.step()
    assert value(metrics, "batches_sent_total") == value(metrics, "batches_settled_total") == 2
    assert value(metrics, "batch_fills_sum") == value(metrics, "settled_fills_total") == 4
    gas = value(metrics, "settled_gas_total")
    assert gas > 0
    assert value(metrics, "gas_per_fill") == gas / 4
    assert value(metrics, "settle_seconds_count") == 2
    assert 40 <= value(metrics, "settle_seconds_sum") <= 60


async def test_reverts_and_parked_batches(
    service: Service,
    chain: FakeChain,
    create_settler: CreateSettler,
    maker: Trader,
    taker: Trader,
    metrics: WorkerMetrics,
) -> None:
    settler = create_settler(fills=1, max_reverts=3, ports={"metrics": metrics})
    chain.is_reverting = True
    await trade(service, maker, taker)
    await settle(settler, service, rounds=20)
    assert value(metrics, "transactions_reverted_total") == 3
    assert value(metrics, "batches_parked_total") == 1
    assert value(metrics, "batches_settled_total") == value(metrics, "settled_fills_total") == 0
