"""Actions on chain that accounts of the domain tests ask for."""

from __future__ import annotations

from offchain.domain.actions import (
    Action,
    ActionStatus,
    SignedWithdrawal,
)
from offchain.domain.commands import (
    ActionEnded,
    RequestAction,
)
from offchain.domain.errors import Rejection
from offchain.domain.order import Address, Order
from offchain.domain.results import Result
from tests.utils.exchange import MAKER, START_MS, USDC, Exchange, digest

LATER = START_MS // 1000 + 3_600
STRANGER = b"\xd4" * 20
SIGNATURE = bytes(64)


def withdrawal(nonce: int = 0, amount: int = 10**9, kind: int = 0, asset: int = USDC, expiry: int = LATER) -> Action:
    return SignedWithdrawal(kind, asset, amount, nonce, expiry, SIGNATURE)


def request(exchange: Exchange, action: Action, account: Address = MAKER, name: object = None) -> Result:
    return exchange.run(RequestAction(id_of(action, account, name), account, action, exchange.now_ms))


def id_of(action: Action, account: Address = MAKER, name: object = None) -> bytes:
    return digest(account, action, name)


def end(exchange: Exchange, action: Action, status: str, account: Address = MAKER) -> Result:
    return exchange.run(ActionEnded(id_of(action, account), ActionStatus(status)))


def code_of(result: Result) -> str:
    if isinstance(result, Rejection):
        return result.code
    rejection = getattr(result, "rejection", None)
    return rejection.code if rejection is not None else ""


def ready(exchange: Exchange) -> list[bool]:
    return [due.is_ready for due in exchange.core.due_actions()]


def placed(exchange: Exchange, account: Address, side: int, price: int, quantity: int) -> Order:
    exchange.place(account, side, price, quantity)
    return exchange.core.open_orders(account)[-1].order
