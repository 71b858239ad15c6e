"""What the Clearinghouse does besides settling fills: funding, the insurance fund, deleveraging, exit and expiry.

Each function takes a ledger, which it does not change, and a call, and gives the changes, or raises SettlementError as
the contract reverts: `IClearinghouse` has the order of the checks. Units are those of the ledger; `market` is an id.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from offchain.domain.batch import NOTHING_SIGNED, SettlementError
from offchain.domain.clearing import PositionState, accrue, equity, maintenance_margin_up
from offchain.domain.derivatives import DerivativeRules
from offchain.domain.funding import HOUR, index_step
from offchain.domain.indices import index_at, latest_index
from offchain.domain.ledger import FUND, WINDOW, Changes, ClearingMarket, ClearingStatus, LedgerState, Position
from offchain.domain.liquidation import Takeover, deleverage, is_bankrupt, is_due, is_for_fund, take_over
from offchain.domain.market import Kind
from offchain.domain.order import Address
from offchain.domain.vault import Draft, VaultEntry

MARGINED = (Kind.PERP, Kind.FUTURE)
DATED = (Kind.FUTURE, Kind.OPTION)
DERIVATIVES = (Kind.PERP, Kind.FUTURE, Kind.OPTION)


@dataclass(frozen=True, slots=True)
class Call:
    """Who calls, in a block of which time (Unix seconds)."""

    sender: Address
    now: int
    is_operator: bool = False


class Desk:
    """One call on one market: what is stored, with funding accrued, and what the call changes."""

    def __init__(self, state: LedgerState, call: Call, market: int) -> None:
        self.state = state
        self.call = call
        self.id = market
        self.draft = Draft(state)

    # What is stored ---------------------------------------------------------------------------------------------------

    @property
    def market(self) -> ClearingMarket:
        return self.draft.market(self.id)

    @property
    def rules(self) -> DerivativeRules:
        derivative = self.state.markets[self.id].derivative
        assert derivative is not None  # check_kind has refused other markets
        return derivative

    @property
    def margin_bps(self) -> int:
        return self.rules.maintenance_margin_bps

    def key(self, account: Address) -> Position:
        return account, self.id

    def position(self, account: Address) -> PositionState:
        """With all funding in its quote."""
        return accrue(self.draft.position(self.key(account)), self.market.funding)

    def index(self) -> int:
        return latest_index(self.state, self.id, self.call.now)

    def clock(self) -> int:
        return self.state.clock(self.call.now)

    def margin(self, position: PositionState, index: int) -> tuple[int, int]:
        """(E(I), MM)."""
        return equity(position, index), maintenance_margin_up(position.size, index, self.margin_bps)

    # Checks -----------------------------------------------------------------------------------------------------------

    def check_kind(self, kinds: tuple[Kind, ...]) -> None:
        rules = self.state.markets.get(self.id)
        if rules is None or rules.kind not in kinds:
            raise SettlementError("WrongKind", (self.id,))

    def check_open(self) -> None:
        if self.market.status != ClearingStatus.OPEN:
            raise SettlementError("NotOpen", (self.id,))

    def check_tradable(self) -> None:
        """An open perpetual, or a future before its expiry."""
        self.check_kind(MARGINED)
        self.check_open()
        if 0 < self.rules.expiry <= self.call.now:
            raise SettlementError("PastExpiry", (self.id,))

    def check_position(self, account: Address) -> PositionState:
        position = self.position(account)
        if position.size == 0:
            raise SettlementError("NoPosition", (_text(account), self.id))
        return position

    def check_flag(self, account: Address) -> None:
        """Anyone may act on what was flagged a window ago, but not more than a day before that."""
        flagged_at = self.draft.flag_of(self.key(account), self.clock())
        if flagged_at is None:
            raise SettlementError("NotFlagged", ())
        self.check_window(flagged_at, WINDOW)

    def check_window(self, since: int, seconds: int) -> None:
        if self.clock() < since + seconds:
            raise SettlementError("WindowOpen", (since + seconds,))

    # Changes ----------------------------------------------------------------------------------------------------------

    def store(self, account: Address, position: PositionState) -> None:
        self.draft.set_position(self.key(account), position)
        if position.size == 0:
            self.draft.end_requests(self.key(account))

    def move(self, account: Address, account_delta: int, fund_delta: int) -> None:
        """Pay an account and the fund; the pool and the Clearinghouse's Vault account take the opposite."""
        own = -account_delta - fund_delta
        self.draft.set_market(self.id, replace(self.market, pool=self.market.pool + own))
        self.draft.settle(
            [
                VaultEntry(self.state.clearinghouse, NOTHING_SIGNED, 0, own),
                VaultEntry(FUND, NOTHING_SIGNED, 0, fund_delta),
                VaultEntry(account, NOTHING_SIGNED, 0, account_delta),
            ]
        )

    def changes(self) -> Changes:
        return self.draft.changes()


def _text(account: Address) -> str:
    return "0x" + account.hex()


# ---------------------------------------------------------------------------------------------------------------------
# Funding
# ---------------------------------------------------------------------------------------------------------------------


def accrue_funding(state: LedgerState, call: Call, market: int, hour: int, rate: int, round_id: int) -> Changes:
    """Charge the funding of an hour (Unix time / 3600) of a perpetual; `rate` in 1e-8."""
    desk = Desk(state, call, market)
    if not call.is_operator:
        raise SettlementError("NotOperator", (_text(call.sender),))
    desk.check_kind((Kind.PERP,))
    desk.check_open()
    lowest = max(desk.market.last_hour + 1, (call.now - WINDOW + HOUR - 1) // HOUR)
    highest = call.now // HOUR
    if not lowest <= hour <= highest:
        raise SettlementError("WrongHour", (hour, lowest, highest))
    if abs(rate) > desk.rules.funding_cap:
        raise SettlementError("RateOutOfBounds", (rate, desk.rules.funding_cap))
    step = index_step(rate, index_at(state, market, round_id, hour * HOUR))
    desk.draft.set_market(market, replace(desk.market, funding=desk.market.funding + step, last_hour=hour))
    desk.draft.last_hour = max(desk.draft.last_hour, hour)
    return desk.changes()


# ---------------------------------------------------------------------------------------------------------------------
# The insurance fund and deleveraging
# ---------------------------------------------------------------------------------------------------------------------


def flag(state: LedgerState, call: Call, account: Address, market: int) -> Changes:
    """Record that E(I) < MM: one window later, for a day, anyone may hand the position to the fund."""
    desk = Desk(state, call, market)
    desk.check_tradable()
    flagged_at = desk.draft.flag_of(desk.key(account), desk.clock())
    if flagged_at is not None:
        raise SettlementError("AlreadyFlagged", (flagged_at,))
    position = desk.check_position(account)
    index = desk.index()
    if not is_due(position, index, desk.margin_bps):
        raise SettlementError("Healthy", desk.margin(position, index))
    desk.draft.set_flag(desk.key(account), desk.clock())
    return desk.changes()


def unflag(state: LedgerState, call: Call, account: Address, market: int) -> Changes:
    """Remove the flag of a position with E(I) >= MM."""
    desk = Desk(state, call, market)
    desk.check_tradable()
    if desk.draft.flag_of(desk.key(account), desk.clock()) is None:
        raise SettlementError("NotFlagged", ())
    position, index = desk.check_position(account), desk.index()
    if is_due(position, index, desk.margin_bps):
        raise SettlementError("Unhealthy", desk.margin(position, index))
    desk.draft.set_flag(desk.key(account), None)
    return desk.changes()


def take_over_position(state: LedgerState, call: Call, account: Address, market: int) -> Changes:
    """Move a position to the insurance fund, which tops its own up; the account gets nothing."""
    desk = Desk(state, call, market)
    desk.check_tradable()
    if account == FUND:
        raise SettlementError("FundAccount", ())
    position = desk.check_position(account)
    index = desk.index()
    if not is_due(position, index, desk.margin_bps):
        raise SettlementError("Healthy", desk.margin(position, index))
    if not (call.is_operator and is_for_fund(position, index, desk.margin_bps)):
        desk.check_flag(account)
    hand_over(desk, account, position, index)
    return desk.changes()


def hand_over(desk: Desk, account: Address, position: PositionState, index: int, payout: int = 0) -> None:
    """Pay `payout` of a position's quote to the account and merge the rest into the fund's, topped up to E(I) >= MM."""
    rest = replace(position, quote=position.quote - payout)
    merged = take_over(desk.position(FUND), rest, index, desk.margin_bps)
    if (shortage := shortage_of(desk, merged, payout)) is not None:
        raise shortage
    surplus = 0
    if merged.fund.size == 0:
        # What is left of the quote of a closed position is the fund's, as far as the pool has it.
        surplus = min(merged.fund.quote, desk.market.pool + merged.top_up - payout)
    desk.store(FUND, replace(merged.fund, quote=merged.fund.quote - surplus))
    desk.store(account, PositionState(0, 0, position.funding))
    desk.move(account, payout, surplus - merged.top_up)


def shortage_of(desk: Desk, merged: Takeover, payout: int) -> SettlementError | None:
    """Why the fund cannot take a position over, if it cannot."""
    held = desk.draft.usdc(FUND)
    if merged.top_up > held:
        return SettlementError("FundShort", (merged.top_up, held))
    pool = desk.market.pool + merged.top_up
    if payout > pool:
        return SettlementError("PoolShort", (payout, pool))
    return None


def deleverage_positions(
    state: LedgerState, call: Call, loser: Address, winner: Address, market: int, quantity: int
) -> Changes:
    """Close lots of a bankrupt position, which the fund cannot take, against an opposite one."""
    desk = Desk(state, call, market)
    desk.check_tradable()
    losing = desk.check_position(loser)
    index = desk.index()
    if not is_bankrupt(losing, index):
        raise SettlementError("Solvent", (equity(losing, index),))
    if not call.is_operator:
        desk.check_flag(loser)
    _check_fund_is_short(desk, loser, losing, index)
    winning = desk.position(winner)
    if losing.size * winning.size >= 0:
        raise SettlementError("NotOpposite", ())
    highest = min(abs(losing.size), abs(winning.size))
    if not 0 < quantity <= highest:
        raise SettlementError("InvalidQuantity", (quantity, highest))
    done = deleverage(losing, winning, quantity)
    if done.credit < 0:
        raise SettlementError("CreditNegative", (done.credit,))
    if done.credit > desk.market.pool:
        raise SettlementError("PoolShort", (done.credit, desk.market.pool))
    desk.store(loser, done.loser)
    desk.store(winner, done.winner)
    desk.move(winner, done.credit, 0)
    return desk.changes()


def _check_fund_is_short(desk: Desk, loser: Address, losing: PositionState, index: int) -> None:
    fund = PositionState(0, 0, losing.funding) if loser == FUND else desk.position(FUND)
    top_up = take_over(fund, losing, index, desk.margin_bps).top_up
    held = desk.draft.usdc(FUND)
    if top_up <= held:
        raise SettlementError("FundSuffices", (top_up, held))
