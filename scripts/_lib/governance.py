"""Governance by holders of CXPT: the steps that deploy it, and what must be true of it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eth_utils.crypto import keccak

from .listing import ZERO_ADDRESS
from .node import Node
from .record import DeploymentFile
from .settings import DeploySettings, GovernanceSettings
from .steps import Walk

ADMIN = bytes(32)
PROPOSER, EXECUTOR, CANCELLER = (keccak(text=f"{name}_ROLE") for name in ("PROPOSER", "EXECUTOR", "CANCELLER"))
ROLES = {"admin": ADMIN, "proposer": PROPOSER, "executor": EXECUTOR, "canceller": CANCELLER}

MIN_DELAY = 24 * 3600
"""of the timelock, in seconds"""


def create_cxpt(walk: Walk, vault: str, registry: str) -> str:
    """Deploy CXPT and name it to Vault and registry. Return its address."""
    cxpt = walk.create("CXPT", "CXPT", vault)
    for name, address in (("Vault", vault), ("MarketRegistry", registry)):
        _set_cxpt(walk, name, address, cxpt)
    return cxpt


def _set_cxpt(walk: Walk, name: str, address: str, cxpt: str) -> None:
    walk.call(
        f"setCxpt({name})",
        name,
        address,
        "setCxpt",
        arguments=lambda: (cxpt,),
        done=lambda: walk.node.at(name, address).cxpt() == cxpt,
    )


def create_governance(walk: Walk, settings: GovernanceSettings, guardian: str, cxpt: str) -> str:
    """Deploy timelock and governor; the deployer then gives up its part. Return the timelock's address."""
    deployer = walk.node.address
    timelock = walk.create("Timelock", "CrosspointTimelock", guardian, deployer)
    governor = walk.create(
        "Governor", "CrosspointGovernor", cxpt, timelock, settings.proposal_threshold, settings.quorum_floor
    )
    for name, role in (("PROPOSER", PROPOSER), ("EXECUTOR", EXECUTOR)):
        _grant(walk, timelock, name, role, governor)
    walk.call(
        "renounceRole(ADMIN)",
        "CrosspointTimelock",
        timelock,
        "renounceRole",
        arguments=lambda: (ADMIN, deployer),
        done=lambda: not walk.node.at("CrosspointTimelock", timelock).hasRole(ADMIN, deployer),
    )
    return timelock


def _grant(walk: Walk, timelock: str, name: str, role: bytes, account: str) -> None:
    walk.call(
        f"grantRole({name})",
        "CrosspointTimelock",
        timelock,
        "grantRole",
        arguments=lambda: (role, account),
        done=lambda: walk.node.at("CrosspointTimelock", timelock).hasRole(role, account),
    )


def check_governance(node: Node, file: DeploymentFile, settings: DeploySettings) -> Iterator[tuple[str, Any, Any]]:
    """Yield what was looked at, what it must be, what it is."""
    if settings.governance is None:
        return
    addresses = {name: file.contracts[name].address for name in ("CXPT", "Timelock", "Governor", "Vault", "Engine")}
    cxpt, vault = node.at("CXPT", addresses["CXPT"]), node.at("Vault", addresses["Vault"])
    yield "CXPT.vault", vault.address, cxpt.vault()
    yield "CXPT.engine", addresses["Engine"], cxpt.engine()
    yield "CXPT.queue", file.contracts["WithdrawalQueue"].address, cxpt.queue()
    yield "Vault.cxpt", cxpt.address, vault.cxpt()
    registry = node.at("MarketRegistry", file.contracts["MarketRegistry"].address)
    yield "MarketRegistry.cxpt", cxpt.address, registry.cxpt()

    governor = node.at("CrosspointGovernor", addresses["Governor"])
    yield "Governor.token", cxpt.address, governor.token()
    yield "Governor.timelock", addresses["Timelock"], governor.timelock()
    yield "Governor.quorumFloor", settings.governance.quorum_floor, governor.quorumFloor()
    yield from _roles(node, addresses, settings)


def _roles(node: Node, addresses: dict[str, str], settings: DeploySettings) -> Iterator[tuple[str, Any, Any]]:
    """Who may do what in the timelock. Nobody else was ever given a role: the deployer's last act was to renounce."""
    timelock = node.at("CrosspointTimelock", addresses["Timelock"])
    holders = {
        "timelock": (addresses["Timelock"], {"admin"}),
        "governor": (addresses["Governor"], {"proposer", "executor"}),
        "guardian": (str(settings.guardian), {"canceller"}),
        "deployer": (node.address, set()),
        "anybody": (ZERO_ADDRESS, set()),
    }
    for holder, (account, expected) in holders.items():
        has = {name for name, role in ROLES.items() if timelock.hasRole(role, account)}
        yield f"roles of the {holder} in the Timelock", sorted(expected), sorted(has)
    yield "Timelock.getMinDelay", MIN_DELAY, int(timelock.getMinDelay())
