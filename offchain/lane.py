"""Who may have the operator's one transaction under way: settlement, or the relay of what others have signed.

Two transactions at a time would replace each other, see `chain/sender.py`. Settlement comes first: it waits for a
transaction of the relay only so long, then replaces it. But what others wait for is not put off without end either.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from offchain.ports import Clock


class Party(StrEnum):
    SETTLEMENT = "settlement"
    RELAY = "relay"


@dataclass(frozen=True, slots=True)
class LaneSettings:
    hold_seconds: float = 30.0
    """so long settlement waits for a transaction of the relay, then it is replaced"""
    patience_seconds: float = 60.0
    """what has waited so long goes before the next batch"""
    claim_seconds: float = 2.0
    """so long the other party is waited for; longer than its pause between two looks"""


class Lane:
    """Shared by the settler and the relay of one process."""

    def __init__(self, clock: Clock, settings: LaneSettings | None = None) -> None:
        self._clock = clock
        self._settings = settings or LaneSettings()
        self._holder: Party | None = None
        self._entered_ms = 0
        self._claims: dict[Party, int] = {}
        """until when the lane is kept free for a party that has found it taken"""

    def holds(self, party: Party) -> bool:
        return self._holder == party

    def enter(self, party: Party, waited_ms: int = 0) -> bool:
        """Whether `party` may send now; it holds the lane until it leaves. `waited_ms`: for how long it has waited."""
        now_ms = self._clock.now_ms()
        if self._holder == party:
            return True
        if self._is_free_for(party, now_ms):
            self._holder, self._entered_ms = party, now_ms
            self._claims.pop(party, None)
            return True
        if party == Party.SETTLEMENT or waited_ms >= self._settings.patience_seconds * 1000:
            self._claims[party] = now_ms + int(self._settings.claim_seconds * 1000)
        return False

    def _is_free_for(self, party: Party, now_ms: int) -> bool:
        if self._holder is not None:
            held_ms = now_ms - self._entered_ms
            return party == Party.SETTLEMENT and held_ms >= self._settings.hold_seconds * 1000
        mine, other = (
            self._claims.get(party, 0),
            max((at for who, at in self._claims.items() if who != party), default=0),
        )
        # Where both have claims, the relay has waited for long.
        return other <= now_ms or (party == Party.RELAY and mine > now_ms)

    def leave(self, party: Party) -> None:
        """Nothing of `party` is under way any more."""
        if self._holder == party:
            self._holder = None
