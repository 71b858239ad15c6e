"""A circuit breaker before the core: when it does not answer, orders are refused at once instead of waiting for it."""

from __future__ import annotations

import math
from collections.abc import Callable

from offchain.metrics import CoreMetrics

LONGEST_SECONDS = 30.0


class Breaker:
    """Closed, all pass. After so many failures in a row it opens: none pass for a while, then one, whose success closes
    it and whose failure opens it for twice as long.

    Whoever passes says how it went: `succeeded` or `failed`. What it does not refuse, such as a cancel, may say so too.
    """

    def __init__(
        self, failures: int, seconds: float, monotonic: Callable[[], float], metrics: CoreMetrics | None = None
    ) -> None:
        """`failures` in a row open it, for `seconds` at first; 0: never."""
        self._limit = failures
        self._first_seconds = seconds
        self._seconds = seconds
        self._monotonic = monotonic
        self._metrics = metrics or CoreMetrics()
        self._failures = 0
        self._opened_until: float | None = None
        self._is_trying = False

    @property
    def is_open(self) -> bool:
        return self._opened_until is not None

    @property
    def failures(self) -> int:
        """Failures in a row."""
        return self._failures

    def wait(self) -> int:
        """Seconds until it makes sense to come again; 0: `enter` may let it pass."""
        if self._opened_until is None:
            return 0
        return max(0, math.ceil(self._opened_until - self._monotonic()))

    def enter(self) -> int:
        """As `wait`, but who gets 0 passes and has to say how it went; while it is open that is one at a time."""
        wait = self.wait()
        if wait == 0 and self._opened_until is not None:
            # Should this one never say how it went, the next may try after the same time.
            self._is_trying = True
            self._opened_until = self._monotonic() + self._seconds
        return wait

    def succeeded(self) -> None:
        """The core has answered."""
        self._failures = 0
        if self._opened_until is not None:
            self._opened_until, self._is_trying, self._seconds = None, False, self._first_seconds
            self._metrics.circuit_open.set(0)

    def failed(self) -> None:
        """The core has not answered in time."""
        self._failures += 1
        if not self._limit or self._failures < self._limit:
            return
        if self._opened_until is None:
            self._metrics.circuit_opened.inc()
            self._metrics.circuit_open.set(1)
        elif self._is_trying:
            self._seconds = min(2 * self._seconds, LONGEST_SECONDS)
        else:
            return  # one of those that were under way when it opened
        self._is_trying = False
        self._opened_until = self._monotonic() + self._seconds
