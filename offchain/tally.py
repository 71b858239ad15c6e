"""Counters and histograms for the path of an order.

Those of prometheus_client take a lock for every number, which one event loop does not need and which costs several
times what the counting costs. These are plain numbers, read when somebody asks; a registry takes them like any other
collector.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, SummaryMetricFamily
from prometheus_client.registry import Collector


class Count:
    """A number that grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def inc(self, amount: int = 1) -> None:
        self.value += amount


class Tally:
    """How often what was observed fell between bounds, and its sum. Without bounds: only how often, and the sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` ascending; a value that equals one counts below it."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> Iterator[tuple[str, int]]:
        """(upper bound, how many were not above it), as Prometheus wants them."""
        count = 0
        for bound, more in zip((*map(str, map(float, self.bounds)), "+Inf"), self.counts, strict=True):
            count += more
            yield bound, count


ChildT = TypeVar("ChildT", Count, Tally)


class Family(Collector, ABC, Generic[ChildT]):
    """All series of one name, by the values of their labels."""

    def __init__(self, name: str, text: str, names: Sequence[str]) -> None:
        self._name = name
        self._text = text
        self._names = names
        self._children: dict[tuple[object, ...], ChildT] = {}

    def labels(self, *values: object) -> ChildT:
        """The series with these values, which begins at 0."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self._new()
        return child

    @abstractmethod
    def _new(self) -> ChildT:
        """A series that begins at 0."""

    def _series(self) -> Iterable[tuple[list[str], ChildT]]:
        return [([str(value) for value in values], child) for values, child in self._children.items()]


class CountFamily(Family[Count]):
    """Counters; the name ends with `_total`."""

    def _new(self) -> Count:
        return Count()

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(self._name, self._text, labels=self._names)
        for values, child in self._series():
            family.add_metric(values, child.value)
        yield family


class TallyFamily(Family[Tally]):
    """Histograms; summaries if there are no bounds."""

    def __init__(self, name: str, text: str, names: Sequence[str], bounds: Sequence[float]) -> None:
        super().__init__(name, text, names)
        self._bounds = bounds

    def _new(self) -> Tally:
        return Tally(self._bounds)

    def collect(self) -> Iterator[Metric]:
        if not self._bounds:
            summary = SummaryMetricFamily(self._name, self._text, labels=self._names)
            for values, child in self._series():
                summary.add_metric(values, count_value=sum(child.counts), sum_value=child.total)
            yield summary
            return
        histogram = HistogramMetricFamily(self._name, self._text, labels=self._names)
        for values, child in self._series():
            histogram.add_metric(values, buckets=list(child.cumulative()), sum_value=child.total)
        yield histogram
