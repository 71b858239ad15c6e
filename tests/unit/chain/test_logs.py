"""Every event of the contracts that matters becomes a command with its values, and no other does."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode

from offchain.chain.abi import EVENTS
from offchain.chain.deployment import Deployment
from offchain.chain.logs import LogDecoder, RawLog
from offchain.domain import commands as c
from offchain.domain.market import Market
from offchain.ports import ChainUnavailable
from tests.utils.markets import NO_DERIVATIVE, OPTION, PERP, SPOT, ZERO

ADDRESSES = {
    name: bytes([number] * 20)
    for number, name in enumerate(("Engine", "Vault", "WithdrawalQueue", "MarketRegistry", "OrderControl"), 10)
}
DEPLOYMENT = Deployment(1, *ADDRESSES.values(), first_block=10)
TX_HASH = b"\x77" * 32
ACCOUNT, OTHER = b"\xa1" * 20, b"\xa2" * 20


class Facts:
    async def decimals(self, asset: int) -> int:
        return 8

    async def gas_used(self, tx_hash: bytes) -> int:
        return 123


def create_log(contract: str, name: str, values: dict[str, Any], index: int = 0) -> RawLog:
    """The log of an event, as the node has it."""
    event = next(event for event in EVENTS.values() if (event.contract, event.name) == (contract, name))
    topics = [encode([kind], [values[field]]) for field, kind in event.indexed]
    data = encode([kind for _, kind in event.plain], [values[field] for field, _ in event.plain])
    return RawLog(ADDRESSES[contract], (event.topic, *topics), data, TX_HASH, index, 12, b"\x88" * 32)


def text(address: bytes) -> str:
    return "0x" + address.hex()


REQUEST = {"account": text(ACCOUNT), "kind": 1, "instrument": 0}


@pytest.mark.parametrize(
    ("contract", "name", "values", "command"),
    [
        (
            "Vault",
            "Deposited",
            {"sender": text(OTHER), "account": text(ACCOUNT), "assets": 5},
            c.Deposited(ACCOUNT, 0, 5, TX_HASH, 0),
        ),
        (
            "Engine",
            "Deposited",
            {"account": text(ACCOUNT), "instrument": 3, "amount": 5},
            c.Deposited(ACCOUNT, 3, 5, TX_HASH, 0),
        ),
        ("Engine", "FeesCollected", {"recipient": text(ACCOUNT), "amount": 5}, c.FeesCollected(ACCOUNT, 5)),
        ("Engine", "FeeScheduled", {"feeBps": 30, "at": 99}, c.FeeScheduled(30, 99)),
        (
            "Vault",
            "RebateClaimed",
            {"account": text(ACCOUNT), "fees": 9, "rebate": 4},
            c.RebateClaimed(ACCOUNT, 4, TX_HASH, 0),
        ),
        ("Vault", "EpochBumpRequested", {"account": text(ACCOUNT), "readyAt": 9}, c.EpochBumpRequested(ACCOUNT)),
        ("Vault", "EpochBumped", {"account": text(ACCOUNT), "epoch": 2}, c.EpochBumped(ACCOUNT, 2)),
        (
            "OrderControl",
            "CancelRequested",
            {"account": text(ACCOUNT), "instrument": 3, "key": 4, "sequence": 5, "requestedAt": 6},
            c.CancelRequested(ACCOUNT, 3, 4, 5),
        ),
        (
            "OrderControl",
            "CancelApplied",
            {"account": text(ACCOUNT), "instrument": 3, "key": 4, "sequence": 5},
            c.CancelApplied(ACCOUNT, 3, 4, 5),
        ),
        (
            "OrderControl",
            "DelegateSet",
            {"account": text(ACCOUNT), "delegate": text(OTHER), "validUntil": 2**64 - 1},
            c.DelegateSet(ACCOUNT, OTHER, 2**64 - 1),
        ),
        (
            "WithdrawalQueue",
            "WithdrawalRequested",
            REQUEST | {"amount": 5, "requestedAt": 6},
            c.WithdrawalRequested(ACCOUNT, 1, 0, 5, 6, TX_HASH, 0),
        ),
        ("WithdrawalQueue", "WithdrawalCanceled", REQUEST, c.WithdrawalCanceled(ACCOUNT, 1, 0, TX_HASH, 0)),
        (
            "WithdrawalQueue",
            "WithdrawalSettled",
            REQUEST | {"requested": 5, "paid": 4, "released": True},
            c.WithdrawalSettled(ACCOUNT, 1, 0, 5, 4, True, TX_HASH, 0),
        ),
        ("MarketRegistry", "StatusChanged", {"id": 4, "status": 2, "statusAt": 9}, c.MarketStatusChanged(4, 2, 9)),
    ],
)
async def test_an_event_becomes_a_command(
    contract: str, name: str, values: dict[str, Any], command: c.ChainLog
) -> None:
    assert await LogDecoder(DEPLOYMENT, Facts()).decode([create_log(contract, name, values)]) == [command]


@pytest.mark.parametrize(("kind", "quote"), [(SPOT, 0), (SPOT, 2), (PERP, 0), (OPTION, 0)])
async def test_markets_of_every_kind_are_created(kind: int, quote: int) -> None:
    params = ("M", kind, 1, quote, 10**5, 10**3, 10**13, 10**9, ZERO, tuple(NO_DERIVATIVE.values()))
    log = create_log("MarketRegistry", "MarketCreated", {"id": 4, "instrument": 1, "params": params})
    market = Market(4, "M", kind, 1, 1, quote, 8, 10**5, 10**3, 10**13, 10**9)
    assert await LogDecoder(DEPLOYMENT, Facts()).decode([log]) == [c.MarketCreated(market)]


async def test_a_batch_takes_its_fills_along() -> None:
    ids = [bytes([number]) * 32 for number in (1, 2)]
    logs = [create_log("Engine", "Fill", {"id": fill_id}, index) for index, fill_id in enumerate(ids)]
    logs.append(create_log("Engine", "BatchSettled", {"number": 7, "matchedAt": 9, "fills": 2}, 2))
    assert await LogDecoder(DEPLOYMENT, Facts()).decode(reversed(logs)) == [c.BatchSettled(7, 9, ids, TX_HASH, 123)]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("WithdrawalRequested", {"amount": 5, "requestedAt": 6}),
        ("WithdrawalCanceled", {}),
        ("WithdrawalSettled", {"requested": 5, "paid": 5, "released": False}),
    ],
)
async def test_a_redemption_of_cxpt_concerns_no_balance(name: str, values: dict[str, Any]) -> None:
    log = create_log("WithdrawalQueue", name, REQUEST | {"kind": 3} | values)
    assert await LogDecoder(DEPLOYMENT, Facts()).decode([log]) == []


async def test_the_same_event_of_another_contract_is_not_ours() -> None:
    log = create_log("Engine", "FeeScheduled", {"feeBps": 30, "at": 99})
    for address in (b"\x01" * 20, ADDRESSES["Vault"]):
        foreign = RawLog(address, log.topics, log.data, log.tx_hash, 0, 12, log.block_hash)
        assert await LogDecoder(DEPLOYMENT, Facts()).decode([foreign]) == []


async def test_a_log_of_another_shape_is_the_nodes_fault() -> None:
    log = create_log("Engine", "FeeScheduled", {"feeBps": 30, "at": 99})
    other = RawLog(log.address, (*log.topics, bytes(32)), log.data, log.tx_hash, 0, 12, log.block_hash)
    with pytest.raises(ChainUnavailable, match="malformed log"):
        await LogDecoder(DEPLOYMENT, Facts()).decode([other])
