"""What administrators do, with its entry in the audit log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offchain.domain import batches, bust, control, relay
from offchain.domain.actions import OPERATOR, CreateMarket, ScheduleFee, SetMarketStatus, kind_of
from offchain.domain.admin import ChangeSettings, Denied, Facts, HaltAll, LimitQuantity, SetLeverage
from offchain.domain.commands import AdminAction, Administer, BatchRetry, Bust, RequestAction, SetStatus
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import AdminActed, CommandRefused
from offchain.domain.listing import unlisted
from offchain.domain.market import MarketStatus
from offchain.domain.requests import is_same
from offchain.domain.results import ActionResult, Administered, Done
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
        case RequestAction():
            return kind_of(action.action)
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
    if is_same(action, command.action):
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
        case SetLeverage():
            venue = state.markets.get(action.market)
            return {} if venue is None else {"openingMarginBps": venue.opening_margin_bps}
        case BatchRetry() | Bust():
            batch = state.outbox.batch
            status = "" if batch is None else batch.status
            return {"batch": 0 if batch is None else batch.number, "status": status, "fills": len(state.outbox.fills)}
        case RequestAction():
            return _asked(state, action)
    return {}


def _asked(state: State, request: RequestAction) -> Facts:
    """How an action on chain stands, and what it is about."""
    pending = state.actions.pending.get(request.id)
    facts: Facts = {"actionStatus": "" if pending is None else pending.status.value}
    match request.action:
        case SetMarketStatus(market=market) if market in state.markets:
            venue = state.markets[market]
            return facts | {"statusOnChain": MarketStatus(venue.status).name.lower()} | _halt(venue.operator_halt)
        case ScheduleFee():
            return facts | {"feeBps": state.fee_bps, "nextFeeBps": state.fees.next, "nextFeeAt": state.fees.at}
    return facts


def _halt(reason: str | None) -> Facts:
    return {"halted": reason is not None, "reason": reason or ""}


def _request(state: State, turn: Turn, command: RequestAction) -> ActionResult | Rejection:
    """Have the worker send a transaction of the operator's.

    A market that is to stop on chain stops here at once: what would match until the chain says so could not settle.
    """
    action = command.action
    rejection = _unfit(state, command, turn.now_ms // 1000)
    if rejection is not None:
        return rejection
    result = relay.request(state, turn, command)
    is_taken = isinstance(result, ActionResult) and not result.repeated
    if is_taken and isinstance(action, SetMarketStatus) and action.status != MarketStatus.ACTIVE:
        venue = state.markets[action.market]
        if venue.operator_halt is None:
            venue.operator_halt = f"its status on chain becomes {MarketStatus(action.status).name.lower()}"
            turn.events.append(state.market_update(action.market))
    return result


def _unfit(state: State, command: RequestAction, now: int) -> Rejection | None:
    """Why the contracts would refuse the action, as far as can be told here; `now` in Unix seconds."""
    action = command.action
    if command.account != OPERATOR:
        return Rejection(Code.NOT_OWNER, "account", "administrators ask for actions of the operator's only")
    match action:
        case CreateMarket():
            return unlisted(state, action, now)
        case SetMarketStatus():
            venue = state.markets.get(action.market)
            if venue is None:
                return Rejection(Code.UNKNOWN_MARKET, "market", f"there is no market {action.market}")
            if action.status not in (MarketStatus.ACTIVE, MarketStatus.PAUSED, MarketStatus.CLOSED):
                return Rejection(Code.INVALID_SETTING, "status", "status is active, paused or closed")
            if venue.status == MarketStatus.CLOSED or venue.status == action.status:
                is_now = MarketStatus(venue.status).name.lower()
                return Rejection(Code.REPEATED, "status", f"market {venue.market.symbol} is {is_now} on chain")
        case ScheduleFee():
            return _unfit_fee(state, action, now)
    return None


def _unfit_fee(state: State, action: ScheduleFee, now: int) -> Rejection | None:
    assert state.configuration is not None, "commands before Configure are refused"
    if not 0 <= action.fee_bps <= control.MAX_FEE_BPS:
        return Rejection(Code.INVALID_SETTING, "feeBps", f"feeBps is from 0 to {control.MAX_FEE_BPS}")
    earliest = now + state.configuration.window
    if not earliest <= action.at < 2**40:
        return Rejection(Code.INVALID_SETTING, "at", f"at leaves no settlement window: {earliest} is the earliest")
    return None


def _deny(state: State, turn: Turn, action: Denied) -> Rejection:
    return action.rejection


_ACTS: dict[type, Callable[[State, Turn, Any], ActionResult | Done | Rejection]] = {
    SetStatus: control.set_status,
    HaltAll: control.halt_all,
    ChangeSettings: control.change_settings,
    LimitQuantity: control.limit_quantity,
    SetLeverage: control.set_leverage,
    BatchRetry: batches.retry,
    Bust: bust.bust,
    RequestAction: _request,
    Denied: _deny,
}

_NAMES: dict[type, str] = {
    ChangeSettings: "changeSettings",
    LimitQuantity: "limitQuantity",
    SetLeverage: "setLeverage",
    BatchRetry: "retryBatch",
    Bust: "bustFills",
}
"""Names of actions that have one."""

ON_CHAIN = ("createMarket", "setMarketStatus", "scheduleFee")
"""Actions that end in a transaction."""

ACTIONS = ("haltMarket", "resumeMarket", "haltExchange", "resumeExchange", *_NAMES.values(), *ON_CHAIN)
"""What may stand in the audit log."""
