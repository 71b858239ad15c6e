"""Whether traffic should come: what /readyz answers and what the gauges of /metrics show.

Everything is asked with a time limit: a disk that hangs must show as a reason, not as a readiness probe that hangs too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import web

from offchain.api.keys import BREAKER, HUB, LIFE, STATE
from offchain.api.state import ApiState
from offchain.domain.core import Core
from offchain.domain.core import Status as CoreStatus
from offchain.ports import Unavailable

T = TypeVar("T")


@dataclass(slots=True)
class Reading:
    """How the service stands at one moment, as far as its parts answered."""

    core: CoreStatus | None = None
    views_lag: int | None = None
    """events that are journaled and not in the views"""
    reasons: list[str] = field(default_factory=list)
    """why no traffic should come, one sentence each"""
    notes: list[str] = field(default_factory=list)
    """what keeps no traffic away: cancels and reads work"""


def core_status(core: Core) -> CoreStatus:
    return core.status()


async def read(app: web.Application) -> Reading:
    """Ask the core, the databases and the rest of the service; never raises for what they answer."""
    state, reading = app[STATE], Reading()
    if app[LIFE].draining:
        reading.reasons.append("shutting down")
    if app[BREAKER].is_open:
        reading.reasons.append(f"the core has not answered {app[BREAKER].failures} times in a row")
    if app[HUB].failure:
        reading.reasons.append(app[HUB].failure)
    await _read_core(state, reading)
    await _read_views(state, reading)
    reading.reasons += (await state.health()).reasons
    return reading


async def _read_core(state: ApiState, reading: Reading) -> None:
    """The core answers once what it shows is durable, so this asks the journal as well."""
    try:
        reading.core = await _soon(state, state.live.read(core_status))
    except TimeoutError:
        reading.reasons.append("the journal does not become durable in time")
    except Unavailable as unavailable:
        reading.reasons.append(f"the core does not answer: {unavailable}")
    else:
        reading.reasons += _core_reasons(state, reading.core)
        if reading.core.halt is not None:
            reading.notes.append(f"all markets are halted: {reading.core.halt}")


async def _read_views(state: ApiState, reading: Reading) -> None:
    try:
        applied = await _soon(state, state.views.applied())
    except TimeoutError:
        reading.reasons.append("the views do not answer in time")
    except Exception as error:
        # Whatever the adapter's database raises: it is the reason.
        reading.reasons.append(f"the views cannot be read: {error}")
    else:
        reading.views_lag = max(0, state.live.tail() - applied)
        if reading.views_lag > state.settings.ready_backlog_events:
            reading.reasons.append(f"the views are {reading.views_lag} events behind")


async def _soon(state: ApiState, answer: Awaitable[T]) -> T:
    async with asyncio.timeout(state.settings.ready_timeout_ms / 1000):
        return await answer


def _core_reasons(state: ApiState, core: CoreStatus) -> list[str]:
    settings, now_ms = state.settings, state.clock.now_ms()
    reasons = []
    if core.diverged:
        reasons.append(f"the chain diverged: {core.diverged}")
    if core.parked_batch:
        reasons.append(f"batch {core.parked_batch} is parked: {core.batch_reason}")
    if core.oldest_fill_ms is not None and now_ms - core.oldest_fill_ms > settings.ready_item_age_ms:
        reasons.append(f"the oldest unsettled fill is {(now_ms - core.oldest_fill_ms) // 1000} s old")
    if core.head_number < 0:
        reasons.append("no block has been seen yet")
    elif 0 < settings.ready_head_age_ms < now_ms - core.head_seen_ms:
        reasons.append(f"the newest block was seen {(now_ms - core.head_seen_ms) // 1000} s ago")
    return reasons
