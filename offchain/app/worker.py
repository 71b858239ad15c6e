"""The worker process: projector, indexer, settler. The only one with the operator's key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import structlog
from eth_account.signers.local import LocalAccount

from offchain.app.common import read_deployment, refuse_other, wanted_configuration
from offchain.app.exposition import serve_metrics
from offchain.batching import BatchLimits
from offchain.catalogue import Catalogue, listing_of
from offchain.chain.deployment import Deployment
from offchain.chain.gateway import Gateway, GatewaySettings, WrongChain
from offchain.chain.sender import GWEI, TRANSACTION_GAS_CAP, FeePolicy, OperatorKeyError, load_operator
from offchain.config import Config, OperatorSecrets
from offchain.domain.core import Core
from offchain.indexer import Indexer
from offchain.jobs.oracle import OracleFollower, OracleSettings
from offchain.jobs.payouts import Payouts, PayoutSettings
from offchain.jobs.relay import Relay, RelaySettings
from offchain.journal.sqlite import SqliteJournal
from offchain.lane import Lane
from offchain.metrics import WorkerMetrics
from offchain.ports import BlockRef, ChainUnavailable, Overloaded, Unavailable
from offchain.process import Life, StartRefused, SystemClock, Unsettled
from offchain.projector import Projector
from offchain.settler import Settler, SettlerSettings
from offchain.transport.local import LocalIngress
from offchain.views.sqlite import SqliteViews

T = TypeVar("T")

KNOWN_BLOCKS = 1_000
"""blocks that the indexer is told of, among which a reorganisation's ancestor is looked for"""

ASK_TIMEOUT_MS = 2_000
RETRY_SECONDS = 0.25
LONGEST_RETRY_SECONDS = 10.0
DRAIN_POLL_SECONDS = 0.05

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    config: Config
    deployment: Deployment
    views: SqliteViews
    ingress: LocalIngress
    projector: Projector
    gateway: Gateway
    settler: Settler
    metrics: WorkerMetrics
    oracles: OracleFollower
    relay: Relay
    payouts: Payouts


@asynccontextmanager
async def build_worker(config: Config, secrets: OperatorSecrets) -> AsyncIterator[WorkerProcess]:
    """Wire the worker. Raises what the data folder, the deployment file and the operator's key raise."""
    deployment = read_deployment(config)
    operator = _operator(config, secrets)
    async with AsyncExitStack() as stack:
        journal = SqliteJournal(config.data_dir, read_only=True)
        stack.push_async_callback(journal.close)
        views = SqliteViews(config.views_path)
        stack.push_async_callback(views.close)
        ingress = LocalIngress(config.socket_path)
        await ingress.start()
        stack.push_async_callback(ingress.close)
        metrics = WorkerMetrics()
        gateway = Gateway(config.rpc_url, deployment, operator, _gateway_settings(config), metrics=metrics)
        stack.push_async_callback(gateway.close)
        projector = await Projector.open(journal, views, snapshot_events=config.snapshot_events, metrics=metrics)
        catalogue = _catalogue(projector.core)
        projector.observe = catalogue.apply
        lane = Lane(SystemClock())
        settler = Settler(gateway, views, ingress, catalogue, SystemClock(), _settler_settings(config), metrics, lane)
        relay = Relay(
            gateway,
            ingress,
            lambda: projector.core.due_actions(),
            lane,
            SystemClock(),
            _relay_settings(config, deployment.chain_id),
            metrics,
        )
        oracles = OracleFollower(
            gateway,
            ingress,
            lambda: catalogue.oracles,
            SystemClock(),
            OracleSettings(config.oracle_poll_ms / 1000, submit_timeout_ms=config.submit_timeout_ms),
        )
        payouts = Payouts(
            gateway,
            views,
            ingress,
            SystemClock(),
            PayoutSettings(config.payout_poll_seconds, submit_timeout_ms=config.submit_timeout_ms),
        )
        yield WorkerProcess(
            config, deployment, views, ingress, projector, gateway, settler, metrics, oracles, relay, payouts
        )


def _operator(config: Config, secrets: OperatorSecrets) -> LocalAccount:
    key, passphrase = secrets.operator_key, secrets.operator_passphrase
    if key is None and config.operator_keyfile is None:
        raise StartRefused("operator_key: set CROSSPOINT_OPERATOR_KEY, or --operator-keyfile and its passphrase")
    try:
        return load_operator(
            key.get_secret_value() if key else None,
            config.operator_keyfile,
            passphrase.get_secret_value() if passphrase else None,
        )
    except OperatorKeyError as error:
        raise StartRefused(f"operator_key: {error}") from None


def _catalogue(core: Core) -> Catalogue:
    catalogue = Catalogue()
    configuration = core.configuration
    if configuration is not None:
        catalogue.configure(configuration.chain_id, configuration.engine, core.fee_bps)
        catalogue.set_fee(core.fee_bps, core.fees)
    for delegate in core.all_delegates():
        catalogue.set_delegate(delegate)
    for asset in core.assets.values():
        catalogue.list_asset(asset)
    for market in core.markets.values():
        catalogue.list_market(listing_of(core, market))
    return catalogue


def _gateway_settings(config: Config) -> GatewaySettings:
    return GatewaySettings(
        call_timeout=config.rpc_timeout_ms / 1000,
        poll_interval=config.head_poll_ms / 1000,
        fees=FeePolicy(max_fee_cap=config.max_fee_gwei * GWEI),
    )


def _settler_settings(config: Config) -> SettlerSettings:
    return SettlerSettings(
        limits=BatchLimits(config.batch_fills, TRANSACTION_GAS_CAP * config.gas_percent // 100),
        batch_seconds=config.batch_seconds,
        poll_seconds=config.settle_poll_ms / 1000,
        resend_seconds=config.stuck_seconds,
        submit_timeout_ms=config.submit_timeout_ms,
    )


def _relay_settings(config: Config, chain_id: int) -> RelaySettings:
    return RelaySettings(
        confirmations=config.confirmations_on(chain_id),
        poll_seconds=config.settle_poll_ms / 1000,
        resend_seconds=config.stuck_seconds,
        submit_timeout_ms=config.submit_timeout_ms,
    )


async def run_worker(config: Config, secrets: OperatorSecrets, life: Life) -> None:
    """Project, follow the chain and settle until `life` ends.

    Raises Unsettled if the time to drain did not suffice, and what ends the process otherwise.
    """
    is_settled = False
    async with (
        build_worker(config, secrets) as worker,
        serve_metrics(worker.metrics, config.worker_metrics_host, config.worker_metrics_port),
        asyncio.TaskGroup() as tasks,
    ):
        log.info("worker started", operator="0x" + worker.gateway.operator.hex())
        settling = asyncio.Event()
        working = [
            tasks.create_task(worker.projector.run(worker.ingress.wait_advanced)),
            tasks.create_task(_follow_and_settle(worker, settling)),
        ]
        await life.draining.wait()
        is_settled = await _drain(worker, life, settling)
        for task in working:
            task.cancel()
    if not is_settled:
        raise Unsettled("stopped before everything was on chain; it goes on at the next start")


async def _follow_and_settle(worker: WorkerProcess, settling: asyncio.Event) -> None:
    try:
        await _patiently(worker.gateway.connect)
    except WrongChain as error:
        raise StartRefused(f"rpc_url: {error}") from error
    start = await _patiently(lambda: _configure(worker))
    head = await _patiently(worker.gateway.head_number)
    indexer = Indexer(worker.gateway, worker.ingress, start, metrics=worker.metrics)
    settling.set()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(indexer.run())
        tasks.create_task(worker.settler.run())
        tasks.create_task(worker.oracles.run())
        tasks.create_task(worker.relay.run())
        tasks.create_task(worker.payouts.run())
        await indexer.reached(head)
        log.info("caught up with the chain", block=head)
        worker.ingress.caught_up()


async def _patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """The result of `attempt`, tried with growing pauses until the node and the core are there."""
    pause = RETRY_SECONDS
    while True:
        try:
            return await attempt()
        except (ChainUnavailable, Overloaded, Unavailable) as error:
            log.warning("start waits", reason=f"{type(error).__name__}: {error}", again_in=pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_RETRY_SECONDS)


async def _configure(worker: WorkerProcess) -> list[BlockRef]:
    """Configure an empty exchange, refuse one that was configured otherwise; the newest blocks that the core knows.

    Raises StartRefused, Unavailable.
    """
    status = await worker.ingress.status(ASK_TIMEOUT_MS)
    known = status.configuration
    fee_bps = known.fee_bps if known is not None else await worker.gateway.fee_bps()
    wanted = wanted_configuration(worker.config, worker.deployment, fee_bps)
    if known is None:
        await worker.ingress.submit(wanted, ASK_TIMEOUT_MS)
        status = await worker.ingress.status(ASK_TIMEOUT_MS)
    if status.configuration is None:
        raise Unavailable("the core is not configured yet")
    refuse_other(status.configuration, wanted)
    await worker.projector.reached(status.seq)
    if status.last_block is None:
        return []
    newest = status.last_block
    return [*(block for block in await worker.views.blocks(KNOWN_BLOCKS) if block.number < newest.number), newest]


async def _drain(worker: WorkerProcess, life: Life, settling: asyncio.Event) -> bool:
    """Settle what is pending, for a bounded time, or until the process has to end; whether all of it is on chain."""
    draining = asyncio.create_task(_settle_all(worker, life, settling))
    # Under a supervisor the end may come before, if that was killed.
    ending = asyncio.create_task(life.ending.wait())
    waiting = (draining, ending) if life.supervised else (draining,)
    await asyncio.wait(waiting, timeout=worker.config.drain_seconds, return_when=asyncio.FIRST_COMPLETED)
    is_settled = draining.done() and draining.result()
    log.info("drained", everything_settled=is_settled)
    draining.cancel()
    ending.cancel()
    return is_settled


async def _settle_all(worker: WorkerProcess, life: Life, settling: asyncio.Event) -> bool:
    """Settle all that the core has matched; whether everything is on chain."""
    status = await _patiently(lambda: worker.ingress.status(ASK_TIMEOUT_MS))
    while life.supervised and not status.draining:
        # The core was told to take no more orders; until it has heard, more may come.
        await asyncio.sleep(DRAIN_POLL_SECONDS)
        status = await _patiently(lambda: worker.ingress.status(ASK_TIMEOUT_MS))
    if not (status.settlement.unsettled_fills or status.settlement.pending_releases):
        return True
    await settling.wait()
    await worker.projector.reached(status.seq)
    return await worker.settler.drain(worker.config.drain_seconds)
