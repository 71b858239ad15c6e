"""Hypothesis settings and strategies that tests share.

Profiles: `default` for every run, derandomized so that a failure is the same for everyone; `long` for a search, chosen
by HYPOTHESIS_PROFILE=long.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from offchain.domain.order import SelfTrade, TimeInForce

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

DEFAULT = settings(
    max_examples=150,
    stateful_step_count=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=_SLOW,
)
LONG = settings(DEFAULT, max_examples=4_000, stateful_step_count=120, derandomize=False)

PROFILE = LONG if os.environ.get("HYPOTHESIS_PROFILE") == "long" else DEFAULT
"""For state machines and for tests that take as long."""

_times_in_force = [TimeInForce.GTC] * 6 + [TimeInForce.GTD] * 2 + [TimeInForce.IOC, TimeInForce.FOK]


@dataclass(frozen=True)
class Intent:
    """An order that somebody may want to place, before it has a nonce and a time."""

    account: int
    """number of the trader, from 0"""
    side: int
    price: int
    """ticks: few different ones, so that orders meet"""
    quantity: int
    """lots"""
    time_in_force: TimeInForce
    key: int
    step: int
    """from the latest sequence of the key to this one"""
    life: int
    """seconds until it expires, where it does"""
    self_trade: SelfTrade
    is_post_only: bool
    expect_filled: int | None


intents = st.builds(
    Intent,
    account=st.integers(0, 2),
    side=st.integers(0, 1),
    price=st.integers(96, 104),
    quantity=st.one_of(st.integers(1, 12), st.integers(1, 400)),
    time_in_force=st.sampled_from(_times_in_force),
    key=st.integers(0, 15),
    step=st.sampled_from([1] * 12 + [2, 0, -1]),
    life=st.integers(1, 60),
    self_trade=st.sampled_from(list(SelfTrade)),
    is_post_only=st.sampled_from([False] * 5 + [True]),
    expect_filled=st.sampled_from([None] * 12 + [0, 0, 1]),
)
