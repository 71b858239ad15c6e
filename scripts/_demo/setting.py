"""The demo's exchange: chain, contracts, funded accounts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ape
from ape.api import TestAccountAPI
from ape.logging import LogLevel, logger

from scripts._lib.deployment import Deployment, deploy_all
from scripts._lib.settings import DeploySettings
from scripts._lib.steps import Echo

MAKERS = 4
TAKERS = 3

USDC_EACH = 50_000_000 * 10**6
"""micro-USDC"""

BASE_EACH = 1_000 * 10**8
"""quanta of the base asset, 8 decimals"""


@dataclass(frozen=True)
class Cast:
    """Who plays whom, from the node's funded accounts."""

    owner: TestAccountAPI
    operator: TestAccountAPI
    guardian: TestAccountAPI
    makers: Sequence[TestAccountAPI]
    takers: Sequence[TestAccountAPI]

    @classmethod
    def assign(cls) -> Cast:
        accounts = ape.accounts.test_accounts
        owner, operator, guardian = (accounts[index] for index in range(3))
        makers = [accounts[index] for index in range(3, 3 + MAKERS)]
        takers = [accounts[index] for index in range(3 + MAKERS, 3 + MAKERS + TAKERS)]
        return cls(owner, operator, guardian, makers, takers)

    @property
    def traders(self) -> list[TestAccountAPI]:
        return [*self.makers, *self.takers]


@contextmanager
def connected(url: str) -> Iterator[None]:
    """Let Ape use the node at `url`."""
    network = ape.networks.ethereum.local
    # Ape reports every transaction; the demo shows its own progress.
    logger.set_level(LogLevel.WARNING)
    with network.use_provider("foundry", provider_settings={"host": url, "manage_process": False}):
        yield


def deploy(cast: Cast, folder: Path, *, echo: Echo = print) -> Deployment:
    """The same deployment as `ape run deploy`, with its record in `folder`."""
    settings = DeploySettings(
        owner=str(cast.owner.address),
        operator=str(cast.operator.address),
        guardian=str(cast.guardian.address),
        folder=folder,
    )
    return deploy_all(cast.owner, settings, echo=echo)


def fund(deployment: Deployment, traders: Sequence[TestAccountAPI]) -> None:
    """Give every trader USDC in the Vault and the base asset in the Engine, by its own transactions."""
    project = ape.project
    usdc = project.MockUSDC.at(deployment.usdc)
    vault = project.Vault.at(deployment.vault)
    engine = project.Engine.at(deployment.engine)
    base = deployment.assets["WBTC"]
    underlying = project.MockWBTC.at(base["underlying"])
    synth = project.SynthERC20.at(base["synth"])
    for trader in traders:
        usdc.mint(trader, USDC_EACH, sender=trader)
        usdc.approve(vault, USDC_EACH, sender=trader)
        vault.deposit(USDC_EACH, trader, sender=trader)
        underlying.mint(trader, BASE_EACH, sender=trader)
        underlying.approve(synth, BASE_EACH, sender=trader)
        synth.depositFor(trader, BASE_EACH, sender=trader)
        synth.approve(engine, BASE_EACH, sender=trader)
        engine.deposit(base["id"], BASE_EACH, sender=trader)
