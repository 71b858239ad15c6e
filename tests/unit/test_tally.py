"""Our counters and histograms show what prometheus_client's own would show."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from offchain.tally import CountFamily, TallyFamily

BOUNDS = (0.001, 0.01, 0.5, 1.0, 8.0)

values = st.lists(st.sampled_from([*BOUNDS, 0.0, 0.0005, 0.02, 0.75, 3.0, 9.0, 1e9]), max_size=20)


@given(values, values)
def test_histograms_are_shown_alike(first: list[float], second: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    family = TallyFamily("seconds", "Text", ("route",), BOUNDS)
    ours.register(family)
    reference = Histogram("seconds", "Text", ("route",), registry=theirs, buckets=BOUNDS)
    for route, observed in (("a", first), ("b", second)):
        family.labels(route)
        reference.labels(route)
        for value in observed:
            family.labels(route).observe(value)
            reference.labels(route).observe(value)
    assert generate_latest(ours) == generate_latest(theirs)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5)), max_size=20))
def test_counters_are_shown_alike(increments: list[tuple[str, int]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    family = CountFamily("fills_total", "Text", ("kind",))
    ours.register(family)
    reference = Counter("fills_total", "Text", ("kind",), registry=theirs)
    for kind, amount in increments:
        family.labels(kind).inc(amount)
        reference.labels(kind).inc(amount)
    assert generate_latest(ours) == generate_latest(theirs)


def test_without_bounds_it_is_a_summary() -> None:
    registry = CollectorRegistry()
    family = TallyFamily("seconds", "Text", (), ())
    registry.register(family)
    for value in (1.0, 2.5):
        family.labels().observe(value)
    assert registry.get_sample_value("seconds_sum") == 3.5
    assert registry.get_sample_value("seconds_count") == 2
    assert "# TYPE seconds summary" in generate_latest(registry).decode()
