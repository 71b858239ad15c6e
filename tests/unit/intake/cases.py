"""Intake over a catalogue of two markets, and how it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from offchain.catalogue import Catalogue, Listing
from offchain.domain.market import Market, MarketStatus
from offchain.intake import Intake, IntakeError
from tests.unit.api.exchange import BTC, BTC_USDC, CHAIN_ID, ENGINE, ETH, ETH_USDC, FEE_BPS, MAKER, NOW_MS, create_body

CROSS = Market(
    id=5,
    symbol="ETH-BTC",
    kind=0,
    instrument=ETH.id,
    base=ETH.id,
    quote=BTC.id,
    decimals=18,
    tick_size=10**7,
    lot_size=10**15,
    max_price=10**13,
    max_quantity=10**8,
    oracle=b"\x0a" * 20,
)

LATER = NOW_MS // 1000 + 60
ORDER_OF_CURVE = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


def create_intake() -> Intake:
    catalogue = Catalogue()
    catalogue.configure(CHAIN_ID, ENGINE, FEE_BPS)
    for asset, market in ((BTC, BTC_USDC), (ETH, ETH_USDC), (ETH, CROSS)):
        catalogue.list_asset(asset)
        catalogue.list_market(Listing(market, MarketStatus.ACTIVE, False, ""))
    return Intake(catalogue)


INTAKE = create_intake()


def refusal(raw: bytes) -> tuple[str, str]:
    with pytest.raises(IntakeError) as caught:
        INTAKE.place(raw, NOW_MS)
    rejection = caught.value.rejection
    assert rejection.detail
    return rejection.code, rejection.param


def refusal_of(**changes: Any) -> tuple[str, str]:
    return refusal(json.dumps(create_body(MAKER) | changes).encode())
