"""How one leaves the Clearinghouse without anybody's help: exit requests, expiry, closing; see clearinghouse.py."""

from __future__ import annotations

from dataclasses import replace

from offchain.domain.batch import SettlementError
from offchain.domain.clearing import PositionState
from offchain.domain.clearinghouse import DATED, DERIVATIVES, Call, Desk, hand_over, shortage_of
from offchain.domain.exits import leave
from offchain.domain.expiry import close
from offchain.domain.funding import HOUR
from offchain.domain.indices import index_across
from offchain.domain.ledger import FUND, WINDOW, Changes, ClearingStatus, ExitRequest, LedgerState
from offchain.domain.options import payoff, settlement_value
from offchain.domain.order import Address

UNSERVED_AFTER = 24 * HOUR
"""Seconds of the window clock after which an exit request that cannot be served expires its market."""

ABANDONED_AFTER = 48 * HOUR
"""Seconds without a sign of life of the operator after which anyone expires any market."""


# ---------------------------------------------------------------------------------------------------------------------
# Exit
# ---------------------------------------------------------------------------------------------------------------------


def request_exit(state: LedgerState, call: Call, market: int) -> Changes:
    """Ask to leave; a second request starts the window again, and goes on if the first was canceled."""
    desk = Desk(state, call, market)
    desk.check_tradable()
    desk.check_position(call.sender)
    desk.draft.set_exit(desk.key(call.sender), ExitRequest(desk.clock()))
    return desk.changes()


def cancel_exit(state: LedgerState, call: Call, market: int) -> Changes:
    """Let a request end a window from now: until then what was matched on it can settle."""
    desk = Desk(state, call, market)
    request = _request(desk, call.sender)
    if request.ends_at is not None:
        raise SettlementError("NoExitRequest", ())
    desk.draft.set_exit(desk.key(call.sender), replace(request, ends_at=desk.clock() + WINDOW))
    return desk.changes()


def exit_position(state: LedgerState, call: Call, account: Address, market: int) -> Changes:
    """Pay an account out, a window after its request, and let the insurance fund take its position."""
    desk = Desk(state, call, market)
    desk.check_tradable()
    shortage = _try_exit(desk, account, WINDOW)
    if shortage is not None:
        raise shortage
    return desk.changes()


def expire_unserved(state: LedgerState, call: Call, account: Address, market: int) -> Changes:
    """Perform an exit that was requested 24 hours ago, or expire the market if fund or pool fall short."""
    desk = Desk(state, call, market)
    desk.check_tradable()
    if _try_exit(desk, account, UNSERVED_AFTER) is not None:
        _set_expired(desk, desk.index())
    return desk.changes()


def _request(desk: Desk, account: Address) -> ExitRequest:
    request = desk.draft.exit_of(desk.key(account), desk.clock())
    if request is None:
        raise SettlementError("NoExitRequest", ())
    return request


def _try_exit(desk: Desk, account: Address, seconds: int) -> SettlementError | None:
    """Exit if the fund and the pool can bear it; else why not."""
    desk.check_window(_request(desk, account).requested_at, seconds)
    position, index = desk.check_position(account), desk.index()
    done = leave(desk.position(FUND), position, index, desk.rules.exit_penalty_bps, desk.margin_bps)
    shortage = shortage_of(desk, done.takeover, done.payout)
    if shortage is None:
        hand_over(desk, account, position, index, done.payout)
    return shortage


# ---------------------------------------------------------------------------------------------------------------------
# Expiry
# ---------------------------------------------------------------------------------------------------------------------


def expire(state: LedgerState, call: Call, market: int, round_id: int) -> Changes:
    """Fix the settlement price of a dated market by the round that lies across its expiry."""
    desk = Desk(state, call, market)
    desk.check_kind(DATED)
    desk.check_open()
    if call.now < desk.rules.expiry:
        raise SettlementError("BeforeExpiry", (desk.rules.expiry,))
    _set_expired(desk, index_across(state, market, round_id, desk.rules.expiry))
    return desk.changes()


def expire_abandoned(state: LedgerState, call: Call, market: int) -> Changes:
    """Expire any market at the newest index if the operator has given no sign of life for 48 hours; or a dated one that
    nobody could expire by its round for as long."""
    desk = Desk(state, call, market)
    desk.check_kind(DERIVATIVES)
    desk.check_open()
    expiry = desk.rules.expiry
    sign_of_life = max(state.matched_at, state.last_hour * HOUR, state.markets[market].created_at)
    until = (expiry if 0 < expiry <= call.now else sign_of_life) + ABANDONED_AFTER
    if call.now < until:
        raise SettlementError("NotAbandoned", (until,))
    _set_expired(desk, desk.index())
    return desk.changes()


def _set_expired(desk: Desk, index: int) -> None:
    rules = desk.rules
    if desk.state.markets[desk.id].is_option:
        index = payoff(index, rules.strike_per_lot, rules.cap_per_lot, rules.is_put)
    desk.draft.set_market(desk.id, replace(desk.market, settle_per_lot=index, status=ClearingStatus.EXPIRED))


def close_position(state: LedgerState, call: Call, account: Address, market: int) -> Changes:
    """Settle a position of an expired market; again while it has a claim."""
    desk = Desk(state, call, market)
    if desk.market.status != ClearingStatus.EXPIRED:
        raise SettlementError("NotExpired", (market,))
    position = desk.position(account)
    if position.size == 0 and position.quote == 0:
        raise SettlementError("NothingToClose", ())
    if desk.state.markets[market].is_option:
        paid = settlement_value(position.size, desk.market.settle_per_lot, desk.rules.collateral)
        desk.store(account, PositionState(0, 0, position.funding))
        desk.move(account, paid, 0)
        return desk.changes()
    closing = close(position, desk.market.settle_per_lot, desk.market.pool, desk.draft.usdc(FUND))
    desk.store(account, closing.position)
    desk.move(account, closing.paid, -closing.covered)
    return desk.changes()
