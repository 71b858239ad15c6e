"""GET /metrics of the running core and worker."""

from __future__ import annotations

import json
import re
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.exchange import PRICE, SYMBOL, eventually


def scrape(url: str) -> dict[str, float]:
    """Samples, those of one name added up."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as response:
        text = response.read().decode()
    samples: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[sample.name] = samples.get(sample.name, 0.0) + sample.value
    return samples


async def test_both_processes_say_what_became_of_an_order(create_exchange):
    exchange = create_exchange(LOG_FORMAT="json", LOG_LEVEL="debug")
    with exchange.running() as service:
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            resting = await maker.place_limit(SYMBOL, "sell", PRICE, 1)
            await taker.place_market(SYMBOL, "buy", "0.3", PRICE)
            await exchange.until_settled(taker)
        core = scrape(exchange.url)
        served = re.search(r"(http://127\.0\.0\.1:\d+)/metrics", service.log.read_text())
        assert served is not None
        url = served.group(1)

        async def scraped() -> dict[str, float]:
            return scrape(url)

        # The indexer may see the batch before the settler sees the receipt.
        worker = await eventually(scraped, lambda samples: samples["crosspoint_settled_fills_total"] > 0)
    assert core["crosspoint_fills_total"] == 1
    assert (core["crosspoint_ready"], core["crosspoint_unsettled_fills"]) == (1, 0)
    assert core["crosspoint_commit_seconds_count"] > 0
    assert worker["crosspoint_settled_fills_total"] == worker["crosspoint_batches_settled_total"] == 1
    assert worker["crosspoint_gas_per_fill"] > 21_000
    for name in ("projected_events_total", "indexed_blocks_total", "node_call_seconds_count"):
        assert worker[f"crosspoint_{name}"] > 0, name
    assert "crosspoint_fills_total" not in worker

    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
    stages = {line["event"]: line["role"] for line in lines if resting.order_id in json.dumps(line)}
    assert stages == {"accepted": "core", "committed": "core", "batch holds": "worker"}
