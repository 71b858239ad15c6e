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
from offchain.domain.market import MarketStatus
from offchain.domain.oracle import OraclePrice
from offchain.ports import Unavailable

T = TypeVar("T")

MAX_NAMED = 10
"""markets that one sentence names"""


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


Oracles = list[tuple[str, OraclePrice | None]]
"""Each active market that goes by an oracle, and the newest round of that as it was seen"""


def core_status(core: Core) -> CoreStatus:
    return core.status()


def _look(core: Core) -> tuple[CoreStatus, Oracles]:
    trading = [market for market in core.markets.values() if core.market_state(market.id).status == MarketStatus.ACTIVE]
    return core.status(), [(one.symbol, core.prices.get(one.oracle)) for one in trading if one.oracle]


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
        core, oracles = await _soon(state, state.live.read(_look))
    except TimeoutError:
        reading.reasons.append("the journal does not become durable in time")
    except Unavailable as unavailable:
        reading.reasons.append(f"the core does not answer: {unavailable}")
    else:
        reading.core = core
        reading.reasons += _core_reasons(state, core)
        _read_oracles(state, reading, oracles)
        if core.halt is not None:
            reading.notes.append(f"all markets are halted: {core.halt}")


def _read_oracles(state: ApiState, reading: Reading, oracles: Oracles) -> None:
    """Markets without a usable price take no orders that need it, and the others do. If the worker has looked at none
    for long, it is the worker that is at fault."""
    now_ms, limit_ms = state.clock.now_ms(), state.settings.ready_oracle_age_ms
    unusable = [symbol for symbol, price in oracles if price is None or not price.is_usable(now_ms)]
    if unusable:
        reading.notes.append(f"no fresh price: {', '.join(unusable[:MAX_NAMED])}")
    seen = [price.seen_ms for _, price in oracles if price is not None]
    if seen and 0 < limit_ms < now_ms - max(seen):
        reading.reasons.append(f"no oracle has been looked at for {(now_ms - max(seen)) // 1000} s")


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
