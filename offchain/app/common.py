"""What the processes and the operator's commands share."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from offchain.chain.deployment import Deployment, DeploymentError, load_deployment
from offchain.config import Config
from offchain.domain.commands import Configure
from offchain.domain.control import CHANGEABLE
from offchain.journal.sqlite import SqliteJournal
from offchain.process import StartRefused, lock
from offchain.recorder import Choice, Recorded, record
from offchain.replica import recover
from offchain.transport.local import LocalIngress
from offchain.verify import Verification, verify
from offchain.views.sqlite import SqliteViews

log = structlog.get_logger(__name__)


def read_deployment(config: Config) -> Deployment:
    """Raises StartRefused if the file is missing, malformed or another chain's."""
    try:
        deployment = load_deployment(config.deployments_path)
    except DeploymentError as error:
        raise StartRefused(f"deployments_file: {error}") from error
    if deployment.chain_id != config.chain_id:
        reason = f"{config.chain_id} is configured, {config.deployments_path} is of chain {deployment.chain_id}"
        raise StartRefused(f"chain_id: {reason}")
    return deployment


def wanted_configuration(config: Config, deployment: Deployment, fee_bps: int) -> Configure:
    """The first command of the journal, as configuration, deployment and chain say.

    `fee_bps` is the chain's when the journal begins; later changes of it are events of the chain.
    """
    return Configure(
        chain_id=deployment.chain_id,
        engine=deployment.engine,
        fee_bps=fee_bps,
        confirmations=config.confirmations_on(deployment.chain_id),
        max_head_age_ms=config.max_head_age_ms_on(deployment.chain_id),
        max_open_orders=config.max_open_orders,
        price_band_bps=100 * config.price_band_percent,
    )


def refuse_other(stored: Configure, wanted: Configure) -> None:
    """Raises StartRefused naming each setting that differs from the one with which the journal began.

    What administrators may change is theirs: the start neither undoes it nor is refused for it, and says so.
    """
    differing = [name for name in Configure.__struct_fields__ if getattr(stored, name) != getattr(wanted, name)]
    fixed = [
        f"{name}: the journal began with {_shown(getattr(stored, name))}, now it is {_shown(getattr(wanted, name))}"
        for name in differing
        if name not in CHANGEABLE
    ]
    if fixed:
        raise StartRefused("; ".join(fixed))
    for name in differing:
        holds, given = getattr(stored, name), getattr(wanted, name)
        log.warning("setting of the start is not used: the exchange's own holds", name=name, holds=holds, given=given)


def _shown(value: int | bytes) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


async def audit(config: Config) -> Verification:
    """Verify a data folder. Raises StartRefused if there is none, JournalCorrupt, ReplayMismatch."""
    _require_journal(config)
    async with AsyncExitStack() as stack:
        journal = SqliteJournal(config.data_dir, read_only=True)
        stack.push_async_callback(journal.close)
        views = SqliteViews(config.views_path, read_only=True)
        stack.push_async_callback(views.close)
        return await verify(journal, views)


async def snapshot_at_end(config: Config) -> int:
    """Save the state at the journal's end, while neither core nor worker run; the number of its last event.

    Raises StartRefused if there is no journal or it is in use, JournalCorrupt, ReplayMismatch.
    """
    _require_journal(config)
    with lock(config.data_dir, "core"), lock(config.data_dir, "worker"):
        journal = SqliteJournal(config.data_dir, read_only=True)
        try:
            replica = await recover(journal)
            if replica.seq:
                await journal.save_snapshot(replica.seq, replica.core.snapshot())
            return replica.seq
        finally:
            await journal.close()


async def record_flow(config: Config, choice: Choice, path: Path) -> Recorded:
    """Record the order flow of a data folder. Raises StartRefused if there is none, and as `record`."""
    _require_journal(config)
    journal = SqliteJournal(config.data_dir, read_only=True)
    try:
        return await record(journal, choice, path)
    finally:
        await journal.close()


def _require_journal(config: Config) -> None:
    if not (config.data_dir / "journal.db").is_file():
        raise StartRefused(f"data_dir: {config.data_dir} holds no journal")


def open_views(config: Config) -> SqliteViews:
    """The views for reading, beside a running service."""
    return SqliteViews(config.views_path, read_only=True)


def open_ingress(config: Config) -> LocalIngress:
    """A way to the running core; `start` it."""
    return LocalIngress(config.socket_path)
