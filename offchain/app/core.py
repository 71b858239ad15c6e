"""The core process: API, sequencer, feed. It holds no key and loads nothing that talks to a chain."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
from aiohttp import web

from offchain.api.admin.settings import AdminSettings, Role
from offchain.api.app import begin_drain, init_app, takes_no_orders
from offchain.api.server import PromptRunner
from offchain.api.state import ApiSettings, ApiState, Health
from offchain.app.common import read_deployment, refuse_other, wanted_configuration
from offchain.chain.deployment import Deployment
from offchain.config import Config
from offchain.domain.commands import ConnectionLost, Tick
from offchain.domain.core import Core
from offchain.journal.sqlite import SqliteJournal
from offchain.metrics import CoreMetrics
from offchain.ports import CoreStatus, Overloaded, Unavailable
from offchain.process import Life, StartRefused, SystemClock, die
from offchain.replica import Replica, recover
from offchain.sequencer import Sequencer
from offchain.transport.local import LocalFeed, LocalServer
from offchain.views.sqlite import SqliteViews

GC_THRESHOLDS = (20_000, 20, 20)
"""objects that are new until the cyclic collector looks at them, then how often until it looks at the older ones"""

TICK_SECONDS = 0.25
"""pause between two looks whether something is due"""

TICK_TIMEOUT_MS = 2_000

ANNOUNCE_SECONDS = 0.01
"""pause between two announcements of new records: a follower takes what came meanwhile in one transaction"""

SHUTDOWN_SECONDS = 5.0
"""for open HTTP requests to be answered at the end"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CoreProcess:
    config: Config
    sequencer: Sequencer
    journal: SqliteJournal
    feed: LocalFeed
    views: SqliteViews
    server: LocalServer
    web: web.Application
    clock: SystemClock


@asynccontextmanager
async def build_core(config: Config, life: Life) -> AsyncIterator[CoreProcess]:
    """Recover the state and wire the core. Raises what the data folder and the deployment file raise."""
    deployment = read_deployment(config)
    async with AsyncExitStack() as stack:
        journal = SqliteJournal(config.data_dir)
        stack.push_async_callback(journal.close)
        # First the lock, then the state: nobody else can append between the two.
        epoch = await journal.acquire(f"core {os.getpid()}")
        state = await recover(journal)
        stored = state.core.configuration
        if stored is not None:
            refuse_other(stored, wanted_configuration(config, deployment, stored.fee_bps))
        _, prev_hash = await journal.tail()
        log.info("recovered", seq=state.seq, epoch=epoch)
        views = SqliteViews(config.views_path, read_only=True)
        stack.push_async_callback(views.close)
        yield _wire_core(config, deployment, life, state, journal, epoch, prev_hash, views)


def _wire_core(
    config: Config,
    deployment: Deployment,
    life: Life,
    state: Replica,
    journal: SqliteJournal,
    epoch: int,
    prev_hash: bytes,
    views: SqliteViews,
) -> CoreProcess:
    feed, clock, metrics = LocalFeed(), SystemClock(), CoreMetrics()
    sequencer = Sequencer(
        state, journal, epoch, prev_hash, feed, clock, die, queue_limit=config.queue_limit, metrics=metrics
    )

    async def status() -> CoreStatus:
        # What is under way may still match: only then is it true that no more comes.
        return await sequencer.read(lambda core: core_status(core, sequencer.tail(), takes_no_orders(app)))

    server = LocalServer(config.socket_path, sequencer, status)

    async def health() -> Health:
        if server.subscribers == 0:
            return Health(("the worker is not connected",))
        if not server.is_caught_up:
            return Health(("the worker has not caught up with the chain",))
        return Health()

    api = ApiState(
        ingress=sequencer,
        live=sequencer,
        views=views,
        feed=feed,
        clock=clock,
        health=health,
        is_open=lambda: server.was_caught_up,
        settings=_api_settings(config, deployment),
        metrics=metrics,
        admin=admin_settings(config),
    )
    app = init_app(api)
    return CoreProcess(config, sequencer, journal, feed, views, server, app, clock)


def core_status(core: Core, seq: int, draining: bool) -> CoreStatus:
    """How the core is, for the other processes of this machine."""
    states = [(market.symbol, core.market_state(market.id)) for market in core.markets.values()]
    halted = [(symbol, state.reason) for symbol, state in states if state.halted]
    return CoreStatus(seq, core.configuration, draining, core.status(), halted)


def admin_settings(config: Config) -> AdminSettings | None:
    """Who administers over HTTP; None if nobody does."""
    if config.admin_issuer is None or config.admin_audience is None:
        return None
    groups = {
        Role.VIEWER: config.admin_viewer_groups,
        Role.OPERATOR: config.admin_operator_groups,
        Role.MANAGER: config.admin_manager_groups,
    }
    return AdminSettings(
        issuer=config.admin_issuer,
        audience=config.admin_audience,
        jwks_url=config.admin_jwks_url,
        jwks_file=config.admin_jwks_file,
        groups_claim=config.admin_groups_claim,
        groups={role: frozenset(filter(None, map(str.strip, text.split(",")))) for role, text in groups.items()},
        max_lifetime_seconds=config.admin_max_token_seconds,
    )


def _api_settings(config: Config, deployment: Deployment) -> ApiSettings:
    return ApiSettings(
        max_body_bytes=config.max_body_bytes,
        submit_timeout_ms=config.submit_timeout_ms,
        max_inflight=config.max_inflight,
        max_sockets=config.max_sockets,
        max_sockets_per_address=config.max_sockets_per_address,
        public_url=config.public_url or "",
        session_seconds=config.session_seconds,
        challenge_seconds=config.challenge_seconds,
        max_sessions=config.max_sessions,
        limit_window_seconds=config.limit_window_seconds,
        limit_keys=config.limit_keys,
        address_requests_per_second=config.limit_address_requests,
        address_cancels_per_second=config.limit_address_cancels,
        address_sign_ins_per_second=config.limit_address_sign_ins,
        account_orders_per_second=config.limit_account_orders,
        account_cancels_per_second=config.limit_account_cancels,
        account_actions_per_hour=config.limit_account_actions,
        all_actions_per_hour=config.limit_actions,
        socket_messages_per_second=config.limit_socket_messages,
        proxy_hops=config.proxy_hops,
        breaker_failures=config.breaker_failures,
        breaker_seconds=config.breaker_seconds,
        ready_head_age_ms=config.max_head_age_ms_on(deployment.chain_id),
    )


async def run_core(config: Config, life: Life) -> None:
    """Serve until `life` ends. Raises what ends the process otherwise."""
    async with build_core(config, life) as core:
        # What recovery has built lives as long as the process; without this the cyclic collector walks over all of it
        # again and again, which costs several times what the work itself costs. Orders that come later have no cycles
        # either: what has is few connections and failures, for which it need not look so often.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        working = asyncio.create_task(core.sequencer.run())
        try:
            async with asyncio.TaskGroup() as tasks:
                await _end_lost_connections(core)
                helpers = [tasks.create_task(_announce(core)), tasks.create_task(_tick(core))]
                await _serve(core, life)
                for helper in helpers:
                    helper.cancel()
        finally:
            core.sequencer.stop()
            await working


async def _serve(core: CoreProcess, life: Life) -> None:
    runner = PromptRunner(core.web, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await core.server.start()
        site = web.TCPSite(runner, core.config.host, core.config.port)
        try:
            await site.start()
        except OSError as error:
            raise StartRefused(f"port: cannot listen on {core.config.host}:{core.config.port}: {error}") from error
        log.info("listening", url=_url(core.config.host, runner))
        await life.draining.wait()
        begin_drain(core.web)
        log.info("draining: no new orders are taken")
        await life.ending.wait()
    finally:
        await runner.cleanup()
        await core.server.stop()


def _url(host: str, runner: web.AppRunner) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{runner.addresses[0][1]}"


async def _end_lost_connections(core: CoreProcess) -> None:
    """Sockets that were watched when the last core ended, however that came, are lost."""
    for connection in await core.sequencer.read(lambda state: state.watched_connections):
        await core.sequencer.submit(ConnectionLost(connection), TICK_TIMEOUT_MS)


async def _announce(core: CoreProcess) -> None:
    """Tell the other processes how far the journal is: of the first record at once, of those close behind together."""
    told = 0
    async for record in core.feed.subscribe():
        if record.last > told:
            told, _ = await core.journal.tail()
            await core.server.advanced(told)
            await asyncio.sleep(ANNOUNCE_SECONDS)


async def _tick(core: CoreProcess) -> None:
    """Let time pass where it changes something, such as an expired order; an idle exchange writes nothing."""
    while True:
        await asyncio.sleep(TICK_SECONDS)
        if await core.sequencer.read(lambda state: state.is_due(core.clock.now_ms())):
            try:
                await core.sequencer.submit(Tick(), TICK_TIMEOUT_MS)
            except (Overloaded, Unavailable) as error:
                log.warning("tick was not taken, comes again", reason=str(error))
