"""What a deployment is asked for: roles, fee, governance, and what to list."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .fields import DeploymentError, parse_address
from .listing import CXPT_DECIMALS, LOCAL_MARKETS, ROOT, Listing

DEV_CHAINS = frozenset({31337, 1337})
"""Chain ids of throw-away nodes: mocks are deployed there and a stale deployments file is started over."""

KNOWN_USDC = {1: "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"}
MAX_FEE_BPS = 50


@dataclass(frozen=True)
class GovernanceSettings:
    """What a proposal needs, in quanta of CXPT."""

    proposal_threshold: int = 10_000 * 10**CXPT_DECIMALS
    """votes of the proposer"""
    quorum_floor: int = 100_000 * 10**CXPT_DECIMALS
    """votes for or abstaining, however small the supply is"""

    def __post_init__(self) -> None:
        if not 0 < self.proposal_threshold <= self.quorum_floor:
            raise DeploymentError("proposal-threshold: must be above 0 and no more than quorum-floor")


@dataclass(frozen=True)
class DeploySettings:
    """One deployment. Addresses left out default to the deployer; amounts are basis points and blocks."""

    owner: str | None = None
    operator: str | None = None
    guardian: str | None = None
    usdc: str | None = None
    fee_bps: int = MAX_FEE_BPS
    listing: Listing = field(default_factory=lambda: Listing.load(LOCAL_MARKETS))
    governance: GovernanceSettings | None = None
    """who owns the contracts in the end: holders of CXPT, or `owner` if None"""
    chain_id: int | None = None
    mocks: bool = False
    confirmations: int | None = None
    folder: Path = ROOT / "deployments"

    def __post_init__(self) -> None:
        for name in ("owner", "operator", "guardian", "usdc"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, parse_address(name, value))
        if not 0 <= self.fee_bps <= MAX_FEE_BPS:
            raise DeploymentError(f"fee-bps: {self.fee_bps} is not between 0 and {MAX_FEE_BPS}")
        if self.confirmations is not None and self.confirmations < 0:
            raise DeploymentError(f"confirmations: {self.confirmations} is negative")
        if self.governance is None:
            object.__setattr__(self, "listing", self.listing.without_cxpt())
        elif self.owner is not None:
            raise DeploymentError("owner: with governance, the timelock is the owner")
        elif not any(market.is_cxpt for market in self.listing.markets):
            raise DeploymentError("markets: governance needs a market with base CXPT")

    def check_roles(self, deployer: str) -> None:
        """Refuse to leave a role with the deployer under governance.

        Raises:
            DeploymentError: naming the role.
        """
        if self.governance is None:
            return
        for name, account in (("operator", self.operator), ("guardian", self.guardian)):
            if account is None or account == deployer:
                raise DeploymentError(f"{name}: governance leaves no role with the deployer; name another account")

    def usdc_on(self, chain_id: int) -> str | None:
        """Return the USDC to use on this chain, or None if a mock is to be deployed.

        Raises:
            DeploymentError: if neither is allowed, or the listing needs mocks where they are not allowed.
        """
        may_mock = self.mocks or chain_id in DEV_CHAINS
        if self.listing.needs_mocks and not may_mock:
            names = ", ".join(self.listing.needs_mocks)
            raise DeploymentError(f"markets: {names}: only for test networks; chain {chain_id} is one by --mocks")
        if self.usdc is not None:
            return self.usdc
        if may_mock:
            return None
        if chain_id in KNOWN_USDC:
            return KNOWN_USDC[chain_id]
        raise DeploymentError(
            f"usdc: no USDC is known for chain {chain_id}; pass --usdc ADDRESS, or --mocks for a mock"
        )
