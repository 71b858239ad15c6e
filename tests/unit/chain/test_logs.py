"""Logs of markets that the service does not trade are not passed on, whatever happens to them."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode

from offchain.chain.abi import EVENTS
from offchain.chain.deployment import Deployment
from offchain.chain.logs import LogDecoder, RawLog
from offchain.domain.commands import MarketCreated, MarketStatusChanged
from tests.utils.markets import FUTURE, NO_DERIVATIVE, OPTION, PERP, SPOT, ZERO

REGISTRY = b"\x0c" * 20
DEPLOYMENT = Deployment(1, b"\x0e" * 20, b"\x0a" * 20, b"\x0b" * 20, REGISTRY, first_block=10)
TOPICS = {event.name: topic for (_, topic), event in EVENTS.items()}
TERMS = "(uint40,uint64,uint64,bool,uint16,uint16,uint16,uint16,uint16,uint16,uint32)"
PARAMS = f"(string,uint8,uint32,uint32,uint64,uint128,uint64,uint64,address,{TERMS})"


class Facts:
    """Market 5 is not traded."""

    async def decimals(self, asset: int) -> int:
        return 8

    async def gas_used(self, tx_hash: bytes) -> int:
        raise AssertionError("no batch is settled here")

    async def is_traded(self, market: int) -> bool:
        return market != 5


def create_log(name: str, market: int, data: bytes, *more_topics: bytes) -> RawLog:
    topics = (TOPICS[name], market.to_bytes(32, "big"), *more_topics)
    return RawLog(REGISTRY, topics, data, b"\x77" * 32, 0, 12, b"\x88" * 32)


def created(market: int, kind: int, quote: int) -> RawLog:
    values = ("M", kind, 1, quote, 10**5, 10**3, 10**13, 10**9, ZERO, tuple(NO_DERIVATIVE.values()))
    return create_log("MarketCreated", market, encode([PARAMS], [values]), bytes(31) + b"\1")


def status_changed(market: int) -> RawLog:
    return create_log("StatusChanged", market, encode(["uint8", "uint40"], [2, 1_700_000_000]))


async def test_spot_in_usdc_is_passed_on() -> None:
    decoder = LogDecoder(DEPLOYMENT, Facts())
    (market,) = await decoder.decode([created(4, SPOT, 0)])
    assert isinstance(market, MarketCreated)
    assert (market.market.id, market.market.symbol, market.market.max_quantity) == (4, "M", 10**9)
    assert await decoder.decode([status_changed(4)]) == [MarketStatusChanged(4, 2, 1_700_000_000)]


@pytest.mark.parametrize(("kind", "quote"), [(PERP, 0), (FUTURE, 0), (OPTION, 0), (SPOT, 2)])
async def test_other_markets_are_not(kind: int, quote: int) -> None:
    assert await LogDecoder(DEPLOYMENT, Facts()).decode([created(5, kind, quote), status_changed(5)]) == []
