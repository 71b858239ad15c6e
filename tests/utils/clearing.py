"""Random calls of the Clearinghouse besides settlement, most of which may succeed: for the model and the contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from offchain.chain.abi import encode_call
from offchain.domain import clearinghouse, clearinghouse_exit
from offchain.domain.clearinghouse import Call
from offchain.domain.ledger import FUND, Changes, LedgerState
from offchain.domain.market import Kind
from offchain.domain.order import Address

MODEL: dict[str, Callable[..., Changes]] = {
    "accrueFunding(uint32,uint32,int64,uint80)": clearinghouse.accrue_funding,
    "flag(address,uint32)": clearinghouse.flag,
    "unflag(address,uint32)": clearinghouse.unflag,
    "takeOver(address,uint32)": clearinghouse.take_over_position,
    "deleverage(address,address,uint32,uint256)": clearinghouse.deleverage_positions,
    "requestExit(uint32)": clearinghouse_exit.request_exit,
    "cancelExit(uint32)": clearinghouse_exit.cancel_exit,
    "exit(address,uint32)": clearinghouse_exit.exit_position,
    "expireUnserved(address,uint32)": clearinghouse_exit.expire_unserved,
    "expire(uint32,uint80)": clearinghouse_exit.expire,
    "expireAbandoned(uint32)": clearinghouse_exit.expire_abandoned,
    "close(address,uint32)": clearinghouse_exit.close_position,
}
"""The model's function of each of the contract's."""

ACCRUE, FLAG, UNFLAG, TAKE_OVER, DELEVERAGE, REQUEST, CANCEL, EXIT, UNSERVED, EXPIRE, ABANDON, CLOSE = MODEL


AFTER_EXPIRY = (EXPIRE, ABANDON, CLOSE, CLOSE, CLOSE)


@dataclass(frozen=True)
class Action:
    signature: str
    sender: Address
    arguments: tuple[Any, ...]

    @property
    def calldata(self) -> bytes:
        return encode_call(self.signature, *self.arguments)

    def apply(self, state: LedgerState, now: int, operator: Address) -> Changes:
        """What the model does; `state` is not changed. Raises SettlementError."""
        return MODEL[self.signature](state, Call(self.sender, now, self.sender == operator), *self.arguments)


@dataclass
class ActionFactory:
    state: LedgerState
    traders: Sequence[Address]
    operator: Address
    random: Random

    def create(self, now: int, signatures: Sequence[str] = tuple(MODEL)) -> Action:
        """A call of one of these functions."""
        signature = self.random.choice(signatures)
        return Action(signature, self._sender(signature), self._arguments(signature, now))

    def _sender(self, signature: str) -> Address:
        usual = 0.8 if signature in (ACCRUE, TAKE_OVER, DELEVERAGE) else 0.1
        return self.operator if self.random.random() < usual else self.random.choice(list(self.traders))

    def _arguments(self, signature: str, now: int) -> tuple[Any, ...]:
        is_margined = signature not in (EXPIRE, ABANDON, CLOSE) and self.random.random() < 0.95
        market = self._market(Kind.PERP, Kind.FUTURE) if is_margined else self._market()
        if signature in (REQUEST, CANCEL, ABANDON):
            return (market,)
        if signature == ACCRUE:
            market = self._market(Kind.PERP)
            hour = now // 3600 - self.random.choice((0, 0, 0, 1, 2, -1))
            rate = self.random.choice((1, -1)) * self.random.choice((0, 1, 12_345, 50_000, 50_001))
            return (market, hour, rate, self._round(market, hour * 3600))
        if signature == EXPIRE:
            derivative = self.state.markets[market].derivative
            assert derivative is not None
            return (market, self._round(market, derivative.expiry))
        if signature == DELEVERAGE:
            return self._pair(market)
        if signature in (EXIT, UNSERVED) and self.random.random() < 0.8:
            wanting = [key for key, time in sorted(self.state.exits.items()) if time is not None]
            if wanting:
                return self.random.choice(wanting)
        return (self._holder(market), market)

    def _market(self, *kinds: Kind) -> int:
        fitting = [
            market
            for market, rules in sorted(self.state.markets.items())
            if (rules.kind in kinds if kinds else rules.kind != Kind.SPOT)
        ]
        return self.random.choice(fitting)

    def _holder(self, market: int) -> Address:
        """Mostly one with a position, or one who has asked for something."""
        held = [key[0] for key, each in sorted(self.state.positions.items()) if key[1] == market and each.size]
        return self.random.choice([*held, *held, *held, FUND, *self.traders])

    def _pair(self, market: int) -> tuple[Address, Address, int, int]:
        loser, winner = self._holder(market), self._holder(market)
        sizes = [abs(each.size) for (_, held), each in self.state.positions.items() if held == market and each.size]
        return loser, winner, market, self.random.randint(0 if not sizes else 1, max(sizes, default=1))

    def _round(self, market: int, time: int) -> int:
        """Mostly the latest round at a time, sometimes a neighbour."""
        rounds = self.state.feeds[market].rounds
        before = [index for index, each in enumerate(rounds) if each.updated_at <= time]
        index = before[-1] if before else 0
        return rounds[max(0, min(len(rounds) - 1, index + self.random.choice((0, 0, 0, 0, 1, -1))))].id
