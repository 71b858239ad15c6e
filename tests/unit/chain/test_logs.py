"""Every event of the contracts that matters becomes a command with its values, and no other does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from eth_abi.abi import encode

from offchain.chain.abi import EVENTS
from offchain.chain.deployment import Deployment
from offchain.chain.logs import LogDecoder, RawLog
from offchain.domain import commands as c
from offchain.domain.derivatives import DerivativeRules
from offchain.domain.market import Market
from offchain.ports import ChainUnavailable
from tests.utils.markets import FUNDING, MARGINS, NO_DERIVATIVE, OPTION, PERP, SPOT, ZERO

ADDRESSES = {
    name: bytes([number] * 20)
    for number, name in enumerate(("Engine", "Vault", "WithdrawalQueue", "MarketRegistry", "OrderControl"), 10)
}
DEPLOYMENT = Deployment(1, *ADDRESSES.values(), first_block=10)
CLEARING = replace(DEPLOYMENT, clearinghouse=b"\x20" * 20)
ADDRESSES["Clearinghouse"] = b"\x20" * 20
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
        ("WithdrawalQueue", "NonceUsed", {"account": text(ACCOUNT), "nonce": 7}, c.WithdrawalNonceUsed(ACCOUNT, 7)),
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
    derivative = None if kind == SPOT else DerivativeRules()
    market = Market(4, "M", kind, 1, 1, quote, 8, 10**5, 10**3, 10**13, 10**9, b"", derivative)
    assert await LogDecoder(DEPLOYMENT, Facts()).decode([log]) == [c.MarketCreated(market)]


async def test_a_batch_takes_its_fills_along() -> None:
    ids = [bytes([number]) * 32 for number in (1, 2)]
    logs = [create_log("Engine", "Fill", {"id": fill_id}, index) for index, fill_id in enumerate(ids)]
    logs.append(create_log("Engine", "BatchSettled", {"number": 7, "matchedAt": 9, "fills": 2}, 2))
    assert await LogDecoder(DEPLOYMENT, Facts()).decode(reversed(logs)) == [
        c.BatchSettled(7, 9, ids, TX_HASH, 123, [], [])
    ]


async def test_the_terms_of_a_derivative_are_per_lot() -> None:
    terms = NO_DERIVATIVE | MARGINS | FUNDING | {"expiry": 99, "strike": 70_000 * 10**6, "cap": 140_000 * 10**6}
    params = ("M", OPTION, 1, 0, 10**5, 10**3, 10**13, 10**9, "0x" + "0a" * 20, tuple(terms.values()))
    log = create_log("MarketRegistry", "MarketCreated", {"id": 4, "instrument": 4, "params": params})
    (created,) = await LogDecoder(DEPLOYMENT, Facts()).decode([log])
    assert isinstance(created, c.MarketCreated)
    assert created.market.oracle == b"\x0a" * 20
    assert created.market.derivative == DerivativeRules(
        1_000, 500, 250, 100, 150, 50_000, 99, 700_000, 1_400_000, False, 28_800
    )


POSITION = {"account": text(ACCOUNT), "market": 5, "size": -3, "quote": -4, "fundingIndex": 2**70}
MOVED = c.ClearedPosition(ACCOUNT, 5, -3, -4, 2**70)


async def test_what_a_batch_cleared_is_its_own() -> None:
    logs = [
        create_log("Clearinghouse", "PositionChanged", POSITION, 0),
        create_log("Clearinghouse", "PoolChanged", {"market": 5, "pool": 9}, 1),
        create_log("Engine", "Fill", {"id": b"\x01" * 32}, 2),
        create_log("Engine", "BatchSettled", {"number": 7, "matchedAt": 9, "fills": 1}, 3),
    ]
    (settled,) = await LogDecoder(CLEARING, Facts()).decode(logs)
    assert settled == c.BatchSettled(7, 9, [b"\x01" * 32], TX_HASH, 123, [MOVED], [(5, 9)])


@pytest.mark.parametrize(
    ("name", "values", "changed"),
    [
        (
            "FundingAccrued",
            {"hour": 8, "rate": -1, "index": 7, "funding": -6},
            {"funding": [c.FundingAccrual(5, 8, -6, -1, 7)]},
        ),
        ("MarketExpired", {"how": 0, "settlePerLot": 7}, {"expired": [(5, 7)]}),
        (
            "Closed",
            {"account": text(ACCOUNT), "equity": 4, "paid": 3, "covered": 2},
            {"payments": [c.ClearingPayment(ACCOUNT, 5, 3, 1)], "fund": -2},
        ),
        ("TakenOver", {"account": text(ACCOUNT), "size": 1, "quote": 2, "topUp": -3}, {"fund": 3}),
        (
            "Exited",
            {"account": text(ACCOUNT), "size": 1, "quote": 2, "paid": 4, "topUp": 3},
            {"payments": [c.ClearingPayment(ACCOUNT, 5, 4, 1)], "fund": -3},
        ),
        (
            "Deleveraged",
            {"loser": text(OTHER), "winner": text(ACCOUNT), "quantity": 1, "credit": 5},
            {"payments": [c.ClearingPayment(ACCOUNT, 5, 5, 1)]},
        ),
    ],
)
async def test_what_others_clear_is_one_command_per_transaction(
    name: str, values: dict[str, Any], changed: dict[str, Any]
) -> None:
    logs = [
        create_log("Clearinghouse", "PositionChanged", POSITION, 0),
        create_log("Clearinghouse", name, {"market": 5} | values, 1),
        replace(create_log("Clearinghouse", "PoolChanged", {"market": 5, "pool": 9}, 2), tx_hash=b"\x78" * 32),
    ]
    first, second = await LogDecoder(CLEARING, Facts()).decode(logs)
    assert first == c.ClearingChanged(TX_HASH, [MOVED], **changed)
    assert second == c.ClearingChanged(b"\x78" * 32, pools=[(5, 9)])


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
