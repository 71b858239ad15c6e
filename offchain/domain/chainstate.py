"""What the commands of the chain share: crediting early, and stopping when the chain contradicts what was matched."""

from __future__ import annotations

from offchain.domain.account import Balance
from offchain.domain.blocks import DepositEntry
from offchain.domain.events import DepositUpdate, Diverged
from offchain.domain.state import State, Turn


def diverge(state: State, turn: Turn, batch: int, detail: str) -> None:
    """Halt everything for good: the state is not guessed, an operator must look. `batch` is 0 if none is concerned."""
    turn.events.append(Diverged(batch, detail))
    if not state.diverged:
        state.diverged = detail
        turn.events.extend(state.market_update(market) for market in state.markets)


def await_credit(turn: Turn, block: int, entry: DepositEntry) -> DepositEntry:
    """Announce a credit, which counts once it is confirmed."""
    place = (entry.tx_hash, entry.log_index, block)
    turn.events.append(DepositUpdate(entry.account, entry.asset, entry.amount, "pending", *place))
    return entry


def credit(state: State, turn: Turn, entry: DepositEntry, block: int) -> None:
    """Let a deposit count."""
    balance = state.balance(entry.account, entry.asset)
    balance.settled += entry.amount
    turn.touched[balance] = None
    entry.credited = True
    turn.events.append(
        DepositUpdate(entry.account, entry.asset, entry.amount, "credited", entry.tx_hash, entry.log_index, block)
    )


def cover(state: State, turn: Turn, balance: Balance) -> None:
    """Credit pending deposits early, oldest first, where the chain has paid out of them already."""
    if balance.settled >= 0 and balance.total >= 0:
        return
    for record in state.chain.records:
        for entry in record.entries:
            if (
                isinstance(entry, DepositEntry)
                and not entry.credited
                and (entry.account, entry.asset) == (balance.address, balance.asset)
            ):
                credit(state, turn, entry, record.number)
                if balance.settled >= 0 and balance.total >= 0:
                    return
    if balance.settled < 0:
        detail = f"account 0x{balance.address.hex()} has {balance.settled} quanta of asset {balance.asset} on chain"
        diverge(state, turn, 0, detail)
