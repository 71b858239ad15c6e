"""A pytest plugin that keeps Ape from drawing the calls of each transaction that reverts and from reading its console.

Nobody sees the drawings of a revert that a test expects, and with a probe at each statement they take most of the time.
"""

from __future__ import annotations

from ape.api import ReceiptAPI
from ape_ethereum.trace import Trace


def pytest_configure() -> None:
    Trace.show = lambda self, *_, **__: None
    ReceiptAPI.show_debug_logs = lambda self: None
