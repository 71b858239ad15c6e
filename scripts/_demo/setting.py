"""The demo's exchange: chain, contracts, funded accounts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ape
from ape.api import TestAccountAPI
from ape.contracts import ContractInstance
from ape.logging import LogLevel, logger

from scripts._lib.deployment import Deployment, deploy_all
from scripts._lib.settings import DeploySettings
from scripts._lib.steps import Echo

MAKERS = 4
TAKERS = 3

USDC_EACH = 50_000_000 * 10**6
"""micro-USDC"""

BASE_EACH = 1_000
"""whole units of each base asset"""


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

    @classmethod
    def of_file(cls, traders: int) -> Cast:
        """So many traders, all as takers, whose ether the node is still to give them beyond its own accounts."""
        accounts = ape.accounts.test_accounts
        container = accounts.containers["test"]
        while len(container) < 3 + traders:
            container.generate_account()
        owner, operator, guardian, *others = (accounts[index] for index in range(3 + traders))
        return cls(owner, operator, guardian, [], others)

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


def fund(deployment: Deployment, traders: Sequence[TestAccountAPI], assets: Sequence[str] = ("WBTC",)) -> None:
    """Give every trader USDC in the Vault and these assets in the Engine, by its own transactions."""
    project = ape.project
    usdc = project.MockUSDC.at(deployment.usdc)
    vault = project.Vault.at(deployment.vault)
    engine = project.Engine.at(deployment.engine)
    for trader in traders:
        usdc.mint(trader, USDC_EACH, sender=trader)
        usdc.approve(vault, USDC_EACH, sender=trader)
        vault.deposit(USDC_EACH, trader, sender=trader)
        for name in assets:
            _fund_base(engine, deployment.assets[name], trader)


def _fund_base(engine: ContractInstance, asset: dict[str, Any], trader: TestAccountAPI) -> None:
    quanta = BASE_EACH * 10 ** asset["decimals"]
    # All mocks have the functions of this one.
    underlying = ape.project.MockWBTC.at(asset["underlying"])
    synth = ape.project.SynthERC20.at(asset["synth"])
    underlying.mint(trader, quanta, sender=trader)
    underlying.approve(synth, quanta, sender=trader)
    synth.depositFor(trader, quanta, sender=trader)
    synth.approve(engine, quanta, sender=trader)
    engine.deposit(asset["id"], quanta, sender=trader)
