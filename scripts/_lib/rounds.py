"""Find the oracle round that a contract asks for: the one held at a time, or the one that lies across it."""

from __future__ import annotations

from .desk import Desk
from .fields import DeploymentError

MOST_STEPS = 500
"""Rounds that are looked at, newest first."""

HELD, ACROSS = "priceAt", "priceAcross"


def find_round(desk: Desk, market: int, time: int, rule: str) -> int:
    """Return the round by which `rule` answers for `time`.

    Raises:
        DeploymentError: if there is none yet or any more.
    """
    oracle = str(desk.at("MarketRegistry").oracleOf(market))
    newest = _newest(desk, oracle)
    for round_id in range(newest, max(newest - MOST_STEPS, 0), -1):
        if _answers(desk, oracle, rule, round_id, time):
            return round_id
        if round_id & (1 << 64) - 1 <= 1:
            break
    raise DeploymentError(
        f"oracle: no round of {oracle} was found for {time}; it may be yet to come, or else lie in an earlier phase "
        "of the feed: pass --round"
    )


def _newest(desk: Desk, oracle: str) -> int:
    """Return the newest round's id, fresh or not: the Chainlink feed's behind the oracle, or the Pyth oracle's own."""
    feed = desk.node.view(oracle, "aggregator()")
    if feed is not None:
        answer = desk.node.view("0x" + feed[12:32].hex(), "latestRoundData()")
    else:
        answer = desk.node.view(oracle, "lastRound()")
    if answer is None:
        raise DeploymentError(f"oracle: {oracle} has no round")
    return int.from_bytes(answer[:32], "big")


def _answers(desk: Desk, oracle: str, rule: str, round_id: int, time: int) -> bool:
    return desk.node.view(oracle, f"{rule}(uint80,uint40)", round_id, time) is not None
