"""Keys, fees and nonces of the operator, and what errors of the node mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from hexbytes import HexBytes

from offchain.chain.abi import decode_error, encode_call
from offchain.chain.deployment import Deployment, DeploymentError, load_deployment
from offchain.chain.eip712 import keccak
from offchain.chain.gateway import classify
from offchain.chain.node import Node, NodeError, to_bytes, to_int
from offchain.chain.sender import (
    MAX_BUMPS,
    TRANSACTION_GAS_CAP,
    FeePolicy,
    Fees,
    OperatorKeyError,
    Sender,
    load_operator,
)
from offchain.ports import ChainUnavailable, Failure

KEY = "0x" + "07" * 32
ENGINE = b"\xee" * 20


class FakeNode:
    """Answers what a sender asks; refuses transactions below `price`."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {
            "eth_getTransactionCount": "0x5",
            "eth_estimateGas": hex(100_000),
            "eth_getBlockByNumber": {"baseFeePerGas": hex(100)},
            "eth_maxPriorityFeePerGas": hex(10),
        } | answers
        self.price = 0
        self.sent: list[dict[str, Any]] = []

    async def request_now(self, method: str, call: dict[str, str]) -> Any:
        return await self.request(method, call)

    async def request(self, method: str, *parameters: Any) -> Any:
        if method != "eth_sendRawTransaction":
            answer = self.answers[method]
            if isinstance(answer, Exception):
                raise answer
            return answer
        raw = to_bytes(parameters[0])
        transaction = dict(TypedTransaction.from_bytes(HexBytes(raw)).as_dict())
        if transaction["maxFeePerGas"] < self.price:
            raise NodeError(method, -32000, "replacement transaction underpriced", None)
        self.sent.append(transaction)
        return "0x" + keccak(raw).hex()


def create_sender(node: FakeNode, cap: int = 10**12) -> Sender:
    return Sender(node, Account.from_key(KEY), 31337, FeePolicy(max_fee_cap=cap, fallback_tip=3))  # type: ignore[arg-type]


async def test_a_transaction_offers_twice_the_base_fee_and_the_tip() -> None:
    node = FakeNode()
    await create_sender(node).send(ENGINE, b"\x01\x02")
    (sent,) = node.sent
    assert (sent["nonce"], sent["chainId"], sent["gas"]) == (5, 31337, 125_000)
    assert (sent["maxFeePerGas"], sent["maxPriorityFeePerGas"]) == (210, 10)
    assert (bytes(sent["to"]), bytes(sent["data"])) == (ENGINE, b"\x01\x02")


async def test_a_node_without_suggestions_gets_the_fallback_tip() -> None:
    node = FakeNode(eth_maxPriorityFeePerGas=NodeError("eth_maxPriorityFeePerGas", -32601, "no such method", None))
    await create_sender(node).send(ENGINE, b"")
    assert node.sent[0]["maxPriorityFeePerGas"] == 3


async def test_a_waiting_transaction_is_outbid_by_an_eighth() -> None:
    node = FakeNode()
    sender = create_sender(node)
    await sender.send(ENGINE, b"one")
    await sender.send(ENGINE, b"two")
    assert [(each["nonce"], each["maxFeePerGas"], each["maxPriorityFeePerGas"]) for each in node.sent] == [
        (5, 210, 10),
        (5, 237, 12),
    ]


async def test_after_a_mined_transaction_fees_start_anew() -> None:
    node = FakeNode()
    sender = create_sender(node)
    await sender.send(ENGINE, b"one")
    node.answers["eth_getTransactionCount"] = "0x6"
    await sender.send(ENGINE, b"two")
    assert [(each["nonce"], each["maxFeePerGas"]) for each in node.sent] == [(5, 210), (6, 210)]


async def test_an_unknown_waiting_transaction_is_outbid_step_by_step() -> None:
    node = FakeNode()
    node.price = 300
    await create_sender(node).send(ENGINE, b"")
    assert node.sent[0]["maxFeePerGas"] == 301  # after 210, 237 and 267, each time rounded up
    node.price = 10**30
    with pytest.raises(ChainUnavailable, match="exceeds the cap 2000"):
        await create_sender(node, cap=2_000).send(ENGINE, b"")


async def test_bumps_are_bounded() -> None:
    node = FakeNode()
    node.price = 10**30
    with pytest.raises(ChainUnavailable, match="nonce 5 cannot be outbid"):
        await create_sender(node, cap=10**40).send(ENGINE, b"")
    assert Fees(8, 80).bumped() == Fees(9, 90)
    assert Fees(9, 81).bumped() == Fees(11, 92)
    assert MAX_BUMPS < 100


async def test_a_given_limit_of_gas_is_not_estimated() -> None:
    node = FakeNode(eth_estimateGas=NodeError("eth_estimateGas", -32601, "no such method", None))
    await create_sender(node).send(ENGINE, b"", gas=77_000)
    assert node.sent[0]["gas"] == 77_000


async def test_gas_is_capped_and_what_needs_more_is_not_sent() -> None:
    node = FakeNode(eth_estimateGas=hex(TRANSACTION_GAS_CAP - 1))
    await create_sender(node).send(ENGINE, b"")
    assert node.sent[0]["gas"] == TRANSACTION_GAS_CAP
    with pytest.raises(ChainUnavailable, match="needs 16777217 gas"):
        await create_sender(FakeNode(eth_estimateGas=hex(TRANSACTION_GAS_CAP + 1))).send(ENGINE, b"")


# ---------------------------------------------------------------------------------------------------------------------
# Keys
# ---------------------------------------------------------------------------------------------------------------------


def test_the_operator_comes_from_a_key_or_a_keyfile(tmp_path: Path) -> None:
    expected = Account.from_key(KEY).address
    keyfile = tmp_path / "operator.json"
    keyfile.write_text(json.dumps(Account.encrypt(KEY, "open sesame", iterations=2)))
    assert load_operator(KEY, None, None).address == expected
    assert load_operator(None, keyfile, "open sesame").address == expected


@pytest.mark.parametrize("wrong", ["0x" + "ab" * 31, "0x" + "ff" * 32, "secret words"])
def test_an_unusable_key_is_refused_without_telling_it(wrong: str) -> None:
    with pytest.raises(OperatorKeyError) as caught:
        load_operator(wrong, None, None)
    assert wrong not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_unusable_keyfile_is_refused(tmp_path: Path) -> None:
    keyfile = tmp_path / "operator.json"
    with pytest.raises(OperatorKeyError, match="No such file"):
        load_operator(None, keyfile, "x")
    keyfile.write_text(json.dumps(Account.encrypt(KEY, "open sesame", iterations=2)))
    with pytest.raises(OperatorKeyError, match="cannot be used") as caught:
        load_operator(None, keyfile, "wrong words")
    assert "wrong words" not in str(caught.value)
    with pytest.raises(OperatorKeyError, match="either"):
        load_operator(None, None, None)
    with pytest.raises(OperatorKeyError, match="either"):
        load_operator(KEY, keyfile, None)


# ---------------------------------------------------------------------------------------------------------------------
# Errors
# ---------------------------------------------------------------------------------------------------------------------


def revert(data: bytes | str | None, message: str = "execution reverted") -> NodeError:
    return NodeError("eth_call", 3, message, "0x" + data.hex() if isinstance(data, bytes) else data)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (revert(encode_call("StaleNonce(uint256)", 7)), Failure("StaleNonce", (7,), False)),
        (revert(encode_call("EngineHalted(uint40)", 9)), Failure("EngineHalted", (9,), True)),
        (revert(encode_call("WrongBatchNumber(uint48,uint48)", 1, 2)), Failure("WrongBatchNumber", (1, 2), True)),
        (revert(encode_call("Error(string)", "no")), Failure("Error", ("no",), False)),
        (revert(encode_call("Panic(uint256)", 17)), Failure("Panic", (17,), False)),
        (revert(b"\x01\x02\x03\x04"), Failure("", ("0x01020304",), False)),
        (revert("Reverted 0x" + encode_call("EmptyBatch()").hex()), Failure("EmptyBatch", (), False)),
        (revert(None), Failure("", ("execution reverted",), False)),
        (revert(None, "out of gas: not enough"), Failure("OutOfGas", (), True)),
        (revert(None, "insufficient funds for gas * price + value"), Failure("InsufficientFunds", (), True)),
        (revert(None, "header not found"), None),
    ],
)
def test_errors_of_a_call_are_classified(error: NodeError, failure: Failure | None) -> None:
    assert classify(error) == failure


def test_an_error_with_short_arguments_is_kept_as_data() -> None:
    data = encode_call("StaleNonce(uint256)", 7)[:-1]
    assert decode_error(data) == ("", ("0x" + data.hex(),))


async def test_a_node_that_is_away_or_answers_nonsense_is_unavailable() -> None:
    node = Node("http://127.0.0.1:1", 1)
    with pytest.raises(ChainUnavailable, match="eth_chainId"):
        await node.request("eth_chainId")
    await node.close()
    for convert, nonsense in ((to_int, "12g"), (to_int, None), (to_bytes, "0xabc"), (to_bytes, 5)):
        with pytest.raises(ChainUnavailable, match="not"):
            convert(nonsense)


# ---------------------------------------------------------------------------------------------------------------------
# The deployment file
# ---------------------------------------------------------------------------------------------------------------------

CONTRACTS = {name: {"address": "0x" + f"{n:040x}"} for n, name in enumerate(("Engine", "Vault", "WithdrawalQueue"), 1)}


def test_a_deployment_is_read(tmp_path: Path) -> None:
    path = tmp_path / "1.json"
    contracts = CONTRACTS | {
        "MarketRegistry": {"address": "0x" + "aa" * 20},
        "OrderControl": {"address": "0x" + "bb" * 20},
    }
    path.write_text(json.dumps({"chainId": 1, "startBlock": 7, "contracts": contracts}))
    deployment = load_deployment(path)
    addresses = [number.to_bytes(20, "big") for number in (1, 2, 3)]
    assert deployment == Deployment(1, *addresses, b"\xaa" * 20, b"\xbb" * 20, 7)
    assert deployment.address("MarketRegistry") == b"\xaa" * 20
    with pytest.raises(ValueError, match="no contract 'Clearinghouse'"):
        deployment.address("Clearinghouse")


def test_a_deployment_with_derivatives_is_read(tmp_path: Path) -> None:
    path = tmp_path / "1.json"
    names = ("MarketRegistry", "OrderControl", "Clearinghouse")
    contracts = CONTRACTS | {name: {"address": "0x" + "aa" * 20} for name in names}
    path.write_text(json.dumps({"chainId": 1, "startBlock": 7, "contracts": contracts}))
    assert load_deployment(path).address("Clearinghouse") == b"\xaa" * 20


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not found; deploy with"),
        ("{", "Expecting property name"),
        (json.dumps({"chainId": 1, "startBlock": 7, "contracts": CONTRACTS}), "'MarketRegistry'; is the deployment"),
        (json.dumps({"chainId": 1, "startBlock": None, "contracts": {}}), "is the deployment complete"),
        (json.dumps({"chainId": 1, "contracts": {"Engine": {"address": "0x12"}}}), "an address has 20 bytes"),
    ],
)
def test_an_unusable_deployment_file_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "1.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DeploymentError, match=message):
        load_deployment(path)
