"""Signatures bind every field to one account, chain and contract."""

from __future__ import annotations

import json
from typing import Any

import pytest

from offchain.catalogue import Catalogue
from offchain.chain import eip712
from offchain.domain.events import AssetListed, DelegateUpdate, MarketUpdate
from offchain.intake import Intake, IntakeError
from tests.unit.api.exchange import BTC, BTC_USDC, CHAIN_ID, ENGINE, MAKER, NOW_MS, TAKER, create_body, create_order
from tests.unit.intake.cases import INTAKE, LATER, ORDER_OF_CURVE, refusal_of


def high_s(signature: str) -> str:
    """The other signature of the same digest, which every chain but ours would take."""
    compact = bytes.fromhex(signature[2:])
    s = int.from_bytes(compact[32:], "big")
    parity, s = s >> 255, s & ~(1 << 255)
    return "0x" + (compact[:32] + (ORDER_OF_CURVE - s).to_bytes(32, "big") + bytes([28 - parity])).hex()


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "0x",
        "0x" + "00" * 63,
        "0x" + "00" * 64,
        "0x" + "00" * 65,
        "0x" + "00" * 66,
        "0x" + "zz" * 64,
        "0x" + "ff" * 64,
        "00" * 64,
        "0x" + "11" * 64 + "1d",
    ],
)
def test_what_is_no_signature_is_refused(signature: str) -> None:
    assert refusal_of(signature=signature) == ("invalidSignature", "signature")


def test_a_malleable_signature_is_refused() -> None:
    signature = create_body(MAKER)["signature"]
    assert refusal_of(signature=high_s(signature)) == ("invalidSignature", "signature")


def test_somebody_elses_signature_is_refused() -> None:
    signature = TAKER.sign(create_order(MAKER))
    with pytest.raises(IntakeError, match=TAKER.account) as caught:
        INTAKE.place(json.dumps(create_body(MAKER, signature=signature)).encode(), NOW_MS)
    assert (caught.value.rejection.code, caught.value.rejection.param) == ("signerMismatch", "signature")


@pytest.mark.parametrize(
    "domain", [eip712.Domain(1, ENGINE), eip712.Domain(CHAIN_ID, b"\x01" * 20)], ids=["chain", "contract"]
)
def test_a_signature_for_another_chain_or_contract_is_refused(domain: eip712.Domain) -> None:
    signature = MAKER.sign(create_order(MAKER), domain)
    assert refusal_of(signature=signature) == ("signerMismatch", "signature")


@pytest.mark.parametrize(
    "changes",
    [
        {"side": "sell"},
        {"price": "95000.2"},
        {"quantity": "0.50001"},
        {"nonce": "1"},
        {"epoch": 1},
        {"maxFeeBps": 51},
        {"reduceOnly": True},
        {"market": "ETH-USDC", "price": "950", "quantity": "5"},
        {"timeInForce": "GTD", "expiry": LATER},
    ],
)
def test_every_signed_field_is_bound(changes: dict[str, Any]) -> None:
    assert refusal_of(**changes) == ("signerMismatch", "signature")


def test_a_cancel_is_bound_to_account_and_order() -> None:
    name, other = "0x" + "11" * 32, "0x" + "22" * 32
    body = {"account": MAKER.account, "signature": MAKER.sign_cancel(name)}
    command = INTAKE.cancel(json.dumps(body).encode(), name, NOW_MS)
    assert (command.account, command.order_hash, command.received_ms) == (MAKER.address, b"\x11" * 32, NOW_MS)
    for raw, target in ((body, other), (body | {"account": TAKER.account}, name)):
        with pytest.raises(IntakeError) as caught:
            INTAKE.cancel(json.dumps(raw).encode(), target, NOW_MS)
        assert caught.value.rejection.code == "signerMismatch"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"signature": "0x"}, ("missingField", "account")),
        ({"account": MAKER.account}, ("missingField", "signature")),
        ({"account": MAKER.account, "signature": "0x", "id": 1}, ("unknownField", "id")),
        ({"account": MAKER.account, "signature": "0x"}, ("invalidSignature", "signature")),
    ],
)
def test_bad_cancels_are_named(body: dict[str, Any], expected: tuple[str, str]) -> None:
    with pytest.raises(IntakeError) as caught:
        INTAKE.cancel(json.dumps(body).encode(), "0x" + "11" * 32, NOW_MS)
    assert (caught.value.rejection.code, caught.value.rejection.param) == expected


def test_without_configuration_there_is_no_domain_to_sign_for() -> None:
    with pytest.raises(IntakeError) as caught:
        Intake(Catalogue()).place(json.dumps(create_body(MAKER)).encode(), NOW_MS)
    assert caught.value.rejection.code == "notConfigured"


def test_a_delegates_signature_is_accepted_and_named() -> None:
    catalogue = Catalogue()
    catalogue.configure(CHAIN_ID, ENGINE, 50)
    catalogue.apply([AssetListed(BTC), MarketUpdate(BTC_USDC, 1, False, "")])
    catalogue.apply([DelegateUpdate(MAKER.address, TAKER.address, 2**63)])
    intake = Intake(catalogue)
    order_id = "0x" + "11" * 32
    raw = json.dumps(create_body(MAKER, signature=TAKER.sign(create_order(MAKER)))).encode()
    assert intake.place(raw, NOW_MS).delegate == TAKER.address
    assert intake.place(json.dumps(create_body(MAKER)).encode(), NOW_MS).delegate is None
    cancel = {"account": MAKER.account, "signature": TAKER.sign_cancel(order_id, account=MAKER.address)}
    assert intake.cancel(json.dumps(cancel).encode(), order_id, NOW_MS).delegate == TAKER.address
    catalogue.apply([DelegateUpdate(MAKER.address, TAKER.address, 0)])
    with pytest.raises(IntakeError, match="nor a delegate"):
        intake.place(raw, NOW_MS)


def test_delegation_goes_one_way() -> None:
    catalogue = Catalogue()
    catalogue.configure(CHAIN_ID, ENGINE, 50)
    catalogue.apply([AssetListed(BTC), MarketUpdate(BTC_USDC, 1, False, "")])
    catalogue.apply([DelegateUpdate(TAKER.address, MAKER.address, 2**63)])
    raw = json.dumps(create_body(MAKER, signature=TAKER.sign(create_order(MAKER)))).encode()
    with pytest.raises(IntakeError, match="nor a delegate"):
        Intake(catalogue).place(raw, NOW_MS)
