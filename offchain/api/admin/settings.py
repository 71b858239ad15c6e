"""Who administrators are, as the service is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Role(StrEnum):
    """What one may do; operators and managers may do all that viewers may, and nothing of each other's."""

    VIEWER = "viewer"
    """read the audit log, dead letters, settings, actions on chain, admin channels"""
    OPERATOR = "operator"
    """halt and resume; retry and bust what is parked"""
    MANAGER = "manager"
    """create and change markets, fee and limits"""


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """The identity provider whose tokens count, and the groups that have the roles."""

    issuer: str
    audience: str
    jwks_url: str | None = None
    """where the provider publishes its keys; this or the file"""
    jwks_file: Path | None = None
    groups_claim: str = "groups"
    groups: Mapping[Role, frozenset[str]] = field(default_factory=dict)
    """any one of them gives the role"""
    leeway_seconds: int = 5
    """by which the provider's clock and ours may differ"""
    max_lifetime_seconds: int = 3_600
    """of a token, from `iat` to `exp`"""
    refresh_seconds: float = 10.0
    """least time between two looks for the provider's keys"""
    max_age_seconds: float = 600.0
    """age beyond which the keys are looked for again"""
    fetch_seconds: float = 5.0
    """time for the provider to answer"""


def roles_of(settings: AdminSettings, groups: frozenset[str]) -> frozenset[Role]:
    """All roles that someone in `groups` has."""
    own = {role for role, members in settings.groups.items() if members & groups}
    return frozenset(own | {Role.VIEWER}) if own else frozenset()
