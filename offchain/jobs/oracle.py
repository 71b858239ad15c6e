"""Brings the oracles' prices into the core: each new round, and again while there is none.

A price counts in the core only for a while after it was seen, so that nothing is matched at a round which the chain may
have replaced: if the node or the oracle falls silent, markets that need it stop by themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from offchain.domain.commands import Price
from offchain.domain.errors import Code, Rejection
from offchain.domain.oracle import SEEN_FOR_MS
from offchain.domain.order import Address
from offchain.ports import Chain, ChainUnavailable, Clock, Ingress, Overloaded, RoundSeen, Unavailable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OracleSettings:
    poll_seconds: float = 1.0
    """between two looks at the oracles"""
    repeat_seconds: float = 10.0
    """an unchanged price is told again after so long; well below the time for which the core believes it"""
    submit_timeout_ms: int = 5_000

    def __post_init__(self) -> None:
        if not 0 < self.repeat_seconds * 1000 <= SEEN_FOR_MS // 2:
            raise ValueError(f"repeat_seconds: {self.repeat_seconds} is not in 0..{SEEN_FOR_MS // 2000}")


class OracleFollower:
    """Run by the worker: `run` until its task is canceled."""

    def __init__(
        self,
        chain: Chain,
        ingress: Ingress,
        oracles: Callable[[], Sequence[Address]],
        clock: Clock,
        settings: OracleSettings | None = None,
    ) -> None:
        """`oracles`: addresses of those by which markets go."""
        self._chain = chain
        self._ingress = ingress
        self._oracles = oracles
        self._clock = clock
        self._settings = settings or OracleSettings()
        self._told: dict[Address, tuple[RoundSeen, int]] = {}
        self._reported: dict[Address, str] = {}

    async def run(self) -> None:
        """Follow the oracles forever. What a retry may cure is logged once and tried again."""
        while True:
            await self.step()
            await asyncio.sleep(self._settings.poll_seconds)

    async def step(self) -> None:
        """Look at every oracle once."""
        for oracle in self._oracles():
            try:
                trouble = await self._look(oracle)
            except (ChainUnavailable, Overloaded, Unavailable) as error:
                trouble = f"{type(error).__name__}: {error}"
            self._report(oracle, trouble)

    async def _look(self, oracle: Address) -> str:
        """Tell the core an oracle's newest round if that is due; why not, where that is not as it should be."""
        # Before the chain is asked: what is seen may not count for longer than it is true.
        now_ms = self._clock.now_ms()
        seen = await self._chain.latest_round(oracle)
        if seen is None:
            return "the oracle has no price that it answers for now"
        told, told_ms = self._told.get(oracle, (None, 0))
        if seen == told and now_ms - told_ms < self._settings.repeat_seconds * 1000:
            return ""
        command = Price(oracle, seen.round, seen.price, seen.updated_at, seen.updated_at + seen.max_age)
        result = await self._ingress.submit(command, self._settings.submit_timeout_ms)
        if not isinstance(result, Rejection):
            self._told[oracle] = (seen, now_ms)
            return ""
        # The node lags behind, or the chain's clock is ahead of ours: either passes.
        return f"{result.code} {result.param}" if result.code != Code.REPEATED else ""

    def _report(self, oracle: Address, trouble: str) -> None:
        """Log a cause once, not at every look."""
        if self._reported.get(oracle, "") != trouble:
            self._reported[oracle] = trouble
            if trouble:
                log.warning("no price from oracle", oracle="0x" + oracle.hex(), reason=trouble)
            else:
                log.info("prices from oracle again", oracle="0x" + oracle.hex())
