from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.utils.exchange import BTC, BTC_USDC, ETH, ETH_USDC, MAKER, OTHER, TAKER, USDC, Exchange


@pytest.fixture
def create_exchange() -> Callable[..., Exchange]:
    """An exchange with two markets and three funded accounts: 10,000 USDC and 1 of each base asset each."""

    def create(**configuration: Any) -> Exchange:
        exchange = Exchange(**configuration)
        exchange.list_markets(BTC_USDC, ETH_USDC)
        deposits = [
            exchange.deposited(account, asset, amount)
            for account in (MAKER, TAKER, OTHER)
            for asset, amount in ((USDC, 10**10), (BTC, 10**8), (ETH, 10**8))
        ]
        exchange.mine(*deposits)
        for _ in range(exchange.core.configuration.confirmations - 1):
            exchange.mine()
        return exchange

    return create


@pytest.fixture
def exchange(create_exchange: Callable[..., Exchange]) -> Exchange:
    return create_exchange()
