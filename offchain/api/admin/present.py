"""Administration in the words and units of the wire."""

from __future__ import annotations

from typing import Any

import msgspec

from offchain.api.present import Presenter, hex_of, market_status
from offchain.api.schemas import admin
from offchain.catalogue import Catalogue, Listing
from offchain.domain.actions import Action, ScheduleFee, SetMarketStatus, kind_of
from offchain.domain.admin import Denied, Facts
from offchain.domain.administration import name_of
from offchain.domain.commands import AdminAction, RequestAction
from offchain.domain.events import ExchangeUpdate
from offchain.domain.market import MarketStatus
from offchain.domain.results import Administered
from offchain.domain.units import format_units
from offchain.ports import ActionRow, AuditRow, DeadLetterRow, ItemRow


def acted(catalogue: Catalogue, action: AdminAction, result: Administered) -> admin.Acted:
    if isinstance(action, RequestAction):
        return admin.Requested(
            entry=result.entry,
            action=name_of(action),
            before=_facts(catalogue, action, result.before),
            after=_facts(catalogue, action, result.after),
            action_id=hex_of(action.id),
        )
    return admin.Acted(
        entry=result.entry,
        action=name_of(action),
        before=_facts(catalogue, action, result.before),
        after=_facts(catalogue, action, result.after),
    )


def entry(catalogue: Catalogue, row: AuditRow) -> admin.AuditEntry:
    event = row.event
    actor, action, rejection = event.actor, event.action, event.rejection
    return admin.AuditEntry(
        entry=event.number,
        time=row.time_ms,
        who=admin.Who(
            issuer=actor.issuer,
            subject=actor.subject,
            groups=actor.groups,
            request_id=actor.request_id,
            address=actor.address,
        ),
        action=name_of(action),
        parameters=parameters(catalogue, action),
        before=_facts(catalogue, action, event.before),
        after=_facts(catalogue, action, event.after),
        outcome="done" if rejection is None else rejection.code,
        detail="" if rejection is None else rejection.detail,
    )


def parameters(catalogue: Catalogue, action: AdminAction) -> dict[str, Any]:
    """What an action was asked with, by the names of the API; what was left out is left out."""
    if isinstance(action, Denied):
        return {"request": action.request}
    if isinstance(action, RequestAction):
        return {"actionId": hex_of(action.id), **_terms(catalogue, action.action)}
    given: dict[str, Any] = {}
    for name in action.__struct_fields__:
        value = getattr(action, name)
        if name == "market":
            given["market"] = _symbol(catalogue, value)
        elif name == "halted":
            continue  # the action's name says so
        elif name == "quantity":
            given["quantityLimit"] = _quantity(catalogue, action, value)
        elif value is not None:
            given[_camel(name)] = _plain(value)
    return given


def _terms(catalogue: Catalogue, action: Action) -> dict[str, Any]:
    """What an action on chain is made of, in the registry's integers; the market by its symbol, times in ms."""
    match action:
        case SetMarketStatus():
            status = MarketStatus(action.status).name.lower()
            return {"market": _symbol(catalogue, action.market), "status": status}
        case ScheduleFee():
            return {"feeBps": action.fee_bps, "at": action.at * 1000}
    given: dict[str, Any] = _plain(action)
    return given


def action(catalogue: Catalogue, row: ActionRow) -> admin.AdminActionInfo:
    return admin.AdminActionInfo(
        action_id=hex_of(row.id),
        action=kind_of(row.action),
        parameters=_terms(catalogue, row.action),
        status=row.status,
        reason=row.reason,
        tx_hash=hex_of(row.tx_hash) if row.tx_hash else None,
        target=hex_of(row.target) if row.target else None,
        data=hex_of(row.data) if row.data else None,
        created_at=row.created_ms,
        updated_at=row.updated_ms,
    )


def _facts(catalogue: Catalogue, action: AdminAction, facts: Facts) -> dict[str, Any]:
    shown: dict[str, Any] = dict(facts)
    if "nextFeeAt" in shown:
        shown["nextFeeAt"] *= 1000
    if "quantityLimit" in shown:
        shown["quantityLimit"] = _quantity(catalogue, action, facts["quantityLimit"])
    return shown


def _quantity(catalogue: Catalogue, action: AdminAction, lots: Any) -> str | None:
    """Lots of the action's market in base units."""
    if lots is None:
        return None
    market = catalogue.market(action.market)  # type: ignore[union-attr]
    return format_units(lots * market.lot_size, market.decimals)


def _symbol(catalogue: Catalogue, market: int) -> str:
    try:
        return catalogue.market(market).symbol
    except KeyError:
        return str(market)


def _plain(value: Any) -> Any:
    """As JSON; bytes in hex."""
    if isinstance(value, bytes):
        return hex_of(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, msgspec.Struct):
        return {_camel(name): _plain(getattr(value, name)) for name in value.__struct_fields__}
    return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def dead_letter(row: DeadLetterRow) -> admin.DeadLetter:
    return admin.DeadLetter(
        id=row.seq,
        batch=row.batch,
        status=row.status,
        reason=row.reason,
        item=row.item,
        first_item=row.first,
        last_item=row.last,
        parked_at=row.parked_ms,
        updated_at=row.updated_ms,
    )


def dead_fill(present: Presenter, catalogue: Catalogue, row: ItemRow) -> admin.DeadFill | None:
    """None for what is no fill."""
    trade, maker, taker = row.trade, row.maker, row.taker
    if trade is None or maker is None or taker is None:
        return None
    market = catalogue.market(trade.market)
    return admin.DeadFill(
        trade_id=hex_of(trade.id),
        item=row.item,
        market=market.symbol,
        price=present.price(market, trade.price),
        quantity=present.quantity(market, trade.quantity),
        settlement=trade.settlement,
        maker=present.order(maker),
        taker=present.order(taker),
    )


def settings(update: ExchangeUpdate) -> admin.Settings:
    return admin.Settings(
        halted=update.halted,
        reason=update.reason,
        max_open_orders=update.max_open_orders,
        price_band_bps=update.price_band_bps,
    )


def market_state(present: Presenter, listing: Listing) -> admin.MarketState:
    market, limit = listing.market, listing.quantity_limit
    return admin.MarketState(
        market=market.symbol,
        status=market_status(listing),
        reason=listing.reason,
        quantity_limit=None if limit is None else present.quantity(market, limit),
        opening_margin_bps=listing.opening_margin_bps,
    )
