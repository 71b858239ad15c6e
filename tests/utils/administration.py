"""Administrators of the domain tests, and what they ask for."""

from __future__ import annotations

from offchain.domain.actions import OPERATOR, Action, CreateMarket
from offchain.domain.admin import Actor
from offchain.domain.commands import (
    AdminAction,
    Administer,
    RequestAction,
)
from offchain.domain.events import AdminActed
from offchain.domain.results import Administered
from tests.utils.exchange import BTC, LOT, USDC, Exchange

ALICE = Actor("https://id.example", "alice", ["ops"], "6f1c", "192.0.2.1")
BOB = Actor("https://id.example", "bob", ["ops"], "7a2d", "192.0.2.2")


CREATE = CreateMarket("SOL-USDC", 0, BTC, USDC, 100_000_000, LOT, 10**12, 10**6)


def administer(exchange: Exchange, action: AdminAction, key: str = "", actor: Actor = ALICE) -> Administered:
    result = exchange.run(Administer(actor, action, key))
    assert isinstance(result, Administered)
    return result


def asked(action: Action, action_id: bytes = b"\x01" * 32, at_ms: int = 0) -> RequestAction:
    return RequestAction(action_id, OPERATOR, action, at_ms)


def code_of(result: Administered) -> str:
    return result.rejection.code if result.rejection is not None else ""


def entries(exchange: Exchange) -> list[AdminActed]:
    return [event for event in exchange.history if isinstance(event, AdminActed)]
