"""The benchmark of the whole service runs, and prints what it promises. How fast anything is, no test says."""

from __future__ import annotations

from tests.unit.test_benchmarks import run

MEASURED = {"per_s", "cpu_us", "p50_ms", "p99_ms"}
SHARES = {"p50_ms", "p95_ms", "p99_ms", "p999_ms"}


def test_order_to_fill() -> None:
    printed = run("order_to_fill.py", "--orders", "200", "--stored", "300", "--sockets", "3", "--plain", "50")
    ways = {"rest", "batch", "websocket", "mass_quote"}
    assert set(printed) == ways | {"plain", "open_loop", "fanout", "stored", "python"}
    assert set(printed["plain"]) == MEASURED
    for way in ways:
        assert set(printed[way]) == MEASURED | {"ratio_to_plain", "cpu_ratio_to_plain"}
        assert printed[way]["per_s"] > 0
        assert printed[way]["p99_ms"] >= printed[way]["p50_ms"] > 0
    open_loop = printed["open_loop"]
    rounds = open_loop.pop("rounds")
    events = {f"fill_event_{share}" for share in SHARES}
    assert set(open_loop) == {"offered_per_s"} | SHARES | events
    assert all(value > 0 for value in open_loop.values())
    assert [set(each) for each in rounds] == 3 * [{"offered_per_s", "p50_ms", "p99_ms", "fill_event_p99_ms"}]
    slowest = [each["p99_ms"] for each in rounds]
    assert slowest == sorted(slowest)
    assert open_loop["p99_ms"] == slowest[1]
    fanout = printed["fanout"]
    assert fanout["sockets"] == 3
    # Every socket is told of every change of the book and of every trade.
    assert fanout["logical"] % 3 == 0
    assert fanout["logical"] >= fanout["frames"] > 0
