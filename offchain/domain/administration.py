"""What administrators do, with its entry in the audit log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offchain.domain import batches, bust, control
from offchain.domain.admin import ChangeSettings, Denied, Facts, HaltAll, LimitQuantity
from offchain.domain.commands import AdminAction, Administer, BatchRetry, Bust, SetStatus
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import AdminActed, Administered, CommandRefused, Done
from offchain.domain.state import State, Turn


def name_of(action: AdminAction) -> str:
    """What the audit log calls an action."""
    match action:
        case SetStatus():
            return "haltMarket" if action.halted else "resumeMarket"
        case HaltAll():
            return "haltExchange" if action.halted else "resumeExchange"
        case Denied():
            return action.action
    return _NAMES[type(action)]


def administer(state: State, turn: Turn, command: Administer) -> Administered:
    """Do what an administrator asks for, once, and note who, what, before and after, also if it is refused."""
    known = state.administration.find(command, turn.now_ms)
    if known is not None:
        return _again(turn, command, known.action, known.answer)
    before = facts(state, command.action)
    result = _ACTS[type(command.action)](state, turn, command.action)
    after = facts(state, command.action)
    rejection = result if isinstance(result, Rejection) else None
    number = state.administration.take_number()
    turn.events.append(AdminActed(number, command.actor, command.action, before, after, rejection))
    answer = Administered(number, before, after, rejection)
    if type(command.action) is not Denied:
        state.administration.keep(command, turn.now_ms, answer)
    return answer


def _again(turn: Turn, command: Administer, action: AdminAction, answer: Administered) -> Administered:
    """The answer of last time, or a refusal if another request came under the key."""
    if action == command.action:
        detail = f"the request was executed before: entry {answer.entry} of the audit log"
        turn.events.append(CommandRefused(Rejection(Code.REPEATED, "Idempotency-Key", detail)))
        return Administered(answer.entry, answer.before, answer.after, answer.rejection, repeated=True)
    detail = f"the key belongs to another request: entry {answer.entry} of the audit log"
    rejection = Rejection(Code.IDEMPOTENCY_KEY_REUSED, "Idempotency-Key", detail)
    turn.events.append(CommandRefused(rejection))
    return Administered(answer.entry, {}, {}, rejection)


def facts(state: State, action: AdminAction) -> Facts:
    """How things stand that `action` concerns; empty where it names what does not exist."""
    configuration = state.configuration
    assert configuration is not None, "commands before Configure are refused"
    match action:
        case SetStatus():
            venue = state.markets.get(action.market)
            return {} if venue is None else _halt(venue.operator_halt)
        case HaltAll():
            return _halt(state.exchange_halt)
        case ChangeSettings():
            settings: Facts = {}
            if action.max_open_orders is not None:
                settings["maxOpenOrders"] = configuration.max_open_orders
            if action.price_band_bps is not None:
                settings["priceBandBps"] = configuration.price_band_bps
            return settings
        case LimitQuantity():
            venue = state.markets.get(action.market)
            return {} if venue is None else {"quantityLimit": venue.quantity_limit}
        case BatchRetry() | Bust():
            batch = state.outbox.batch
            status = "" if batch is None else batch.status
            return {"batch": 0 if batch is None else batch.number, "status": status, "fills": len(state.outbox.fills)}
    return {}


def _halt(reason: str | None) -> Facts:
    return {"halted": reason is not None, "reason": reason or ""}


def _deny(state: State, turn: Turn, action: Denied) -> Rejection:
    return action.rejection


_ACTS: dict[type, Callable[[State, Turn, Any], Done | Rejection]] = {
    SetStatus: control.set_status,
    HaltAll: control.halt_all,
    ChangeSettings: control.change_settings,
    LimitQuantity: control.limit_quantity,
    BatchRetry: batches.retry,
    Bust: bust.bust,
    Denied: _deny,
}

_NAMES: dict[type, str] = {
    ChangeSettings: "changeSettings",
    LimitQuantity: "limitQuantity",
    BatchRetry: "retryBatch",
    Bust: "bustFills",
}
"""Names of actions that have one."""

ACTIONS = ("haltMarket", "resumeMarket", "haltExchange", "resumeExchange", *_NAMES.values())
"""What may stand in the audit log."""
