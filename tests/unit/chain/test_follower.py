"""Following a node that lags, refuses ranges, changes its mind, or is on another chain."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from offchain.chain import follower
from offchain.chain.deployment import Deployment
from offchain.chain.eip712 import keccak
from offchain.chain.follower import Follower, ForkTooDeep
from offchain.chain.logs import LogDecoder
from offchain.chain.node import NodeError
from offchain.domain.commands import ChainBlock, ChainRollback, Deposited
from offchain.ports import BlockRef, ChainUnavailable

VAULT = b"\x0a" * 20
DEPLOYMENT = Deployment(1, b"\x0e" * 20, VAULT, b"\x0b" * 20, b"\x0c" * 20, b"\x0d" * 20, first_block=10)
DEPOSITED = keccak(b"Deposited(address,address,uint256)")
MAKER = b"\xa1" * 20


class FakeNode:
    """Blocks and deposits by number; `limit` is the longest range that it answers."""

    def __init__(self, head: int, deposits: tuple[int, ...] = (), limit: int = 10**9) -> None:
        self.forks = dict.fromkeys(range(head + 1), "")
        self.head = head
        self.deposits = set(deposits)
        self.only_on: dict[int, str] = {}
        """deposits that exist on one fork only"""
        self.limit = limit
        self.ranges: list[tuple[int, int]] = []
        self.calls = 0
        self.before: dict[int, Any] = {}
        """what happens before a call, by its number"""

    def block_hash(self, number: int) -> bytes:
        return keccak(f"{number} {self.forks[number]}".encode())

    def fork(self, first: int, name: str, head: int) -> None:
        self.forks |= dict.fromkeys(range(first, head + 1), name)
        self.head = head

    async def request(self, method: str, *parameters: Any) -> Any:
        self.calls += 1
        self.before.pop(self.calls, lambda: None)()
        await asyncio.sleep(0)
        if method == "eth_getBlockByNumber":
            number = self.head if parameters[0] == "latest" else int(parameters[0], 16)
            return self.header(number) if number <= self.head else None
        assert method == "eth_getLogs"
        query = parameters[0]
        if "blockHash" in query:
            numbers = [n for n in range(self.head + 1) if "0x" + self.block_hash(n).hex() == query["blockHash"]]
            if not numbers:
                raise NodeError(method, -32000, "unknown block", None)
            return self.logs(numbers)
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        self.ranges.append((first, last))
        if last - first >= self.limit:
            raise NodeError(method, -32005, "query returned more than 10000 results", None)
        return self.logs(range(first, min(last, self.head) + 1))

    def header(self, number: int) -> dict[str, str]:
        parent = self.block_hash(number - 1) if number else bytes(32)
        return {
            "number": hex(number),
            "hash": "0x" + self.block_hash(number).hex(),
            "parentHash": "0x" + parent.hex(),
            "timestamp": hex(number * 12),
        }

    def logs(self, numbers: Any) -> list[dict[str, Any]]:
        return [
            {
                "address": "0x" + VAULT.hex(),
                "topics": ["0x" + topic.rjust(32, b"\0").hex() for topic in (DEPOSITED, MAKER, MAKER)],
                "data": "0x" + number.to_bytes(32, "big").hex(),
                "transactionHash": "0x" + "77" * 32,
                "logIndex": "0x0",
                "blockNumber": hex(number),
                "blockHash": "0x" + self.block_hash(number).hex(),
            }
            for number in numbers
            if number in self.deposits and self.only_on.get(number, self.forks[number]) == self.forks[number]
        ]


class Facts:
    async def decimals(self, asset: int) -> int:
        raise AssertionError("no market is created here")

    async def gas_used(self, tx_hash: bytes) -> int:
        raise AssertionError("no batch is settled here")


def create_follower(node: FakeNode, *known: BlockRef) -> Follower:
    return Follower(node, DEPLOYMENT, LogDecoder(DEPLOYMENT, Facts()), known, 0.001)  # type: ignore[arg-type]


async def take(follower: Follower, count: int) -> list[ChainBlock | ChainRollback]:
    news = follower.follow()
    async with asyncio.timeout(5):
        return [await anext(news) for _ in range(count)]


def known_blocks(node: FakeNode, *numbers: int) -> list[BlockRef]:
    return [BlockRef(number, node.block_hash(number)) for number in numbers]


async def test_old_blocks_come_in_ranges_and_new_ones_one_by_one() -> None:
    node = FakeNode(head=50, deposits=(12, 20, 49))
    news = await take(create_follower(node), 19)
    assert [block.number for block in news] == [12, 20, *range(34, 51)]
    assert node.ranges == [(10, 34)]
    deposits = [(block.number, log.amount) for block in news if isinstance(block, ChainBlock) for log in block.logs]
    assert deposits == [(12, 12), (20, 20), (49, 49)]
    assert news[0].logs == [Deposited(MAKER, 0, 12, b"\x77" * 32, 0)]  # type: ignore[union-attr]


async def test_a_refused_range_is_halved_and_grows_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "MAX_RANGE", 40)
    node = FakeNode(head=126, deposits=(11, 60), limit=16)
    news = await take(create_follower(node), 20)
    assert [block.number for block in news if block.number in (11, 60)] == [11, 60]
    covered = [(first, last) for first, last in node.ranges if last - first < 16]
    assert covered[0][0] == 10
    assert covered[-1][1] == 110
    assert all(one[1] + 1 == other[0] for one, other in pairwise(covered))


async def test_a_single_block_that_is_refused_is_a_failure_of_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "MAX_RANGE", 4)
    with pytest.raises(ChainUnavailable, match="more than 10000"):
        await take(create_follower(FakeNode(head=50, limit=0)), 1)


async def test_a_head_that_goes_back_is_waited_for() -> None:
    """Another node of the same provider, which lags: nothing is rolled back."""
    node = FakeNode(head=14)
    known = known_blocks(node, 12, 13, 14)
    node.head = 13
    node.before[4] = lambda: node.fork(15, "", 15)
    news = await take(create_follower(node, *known), 1)
    assert [(type(block), block.number) for block in news] == [(ChainBlock, 15)]


async def test_a_fork_rolls_back_to_the_newest_common_block() -> None:
    node = FakeNode(head=14)
    known = known_blocks(node, 10, 12, 13, 14)
    node.fork(13, "other", 15)
    rollback, *blocks = await take(create_follower(node, *known), 4)
    assert rollback == ChainRollback(12, known[1].block_hash)
    assert [block.number for block in blocks] == [13, 14, 15]


async def test_a_fork_behind_everything_known_is_an_error() -> None:
    node = FakeNode(head=14)
    known = known_blocks(node, 13, 14)
    node.fork(12, "other", 15)
    with pytest.raises(ForkTooDeep, match="none of the 2 known blocks up to 14"):
        await take(create_follower(node, *known), 1)


@pytest.mark.parametrize("first", [20, 50])
@pytest.mark.parametrize("call", range(1, 40))
async def test_a_fork_between_any_two_calls_leaves_a_consistent_chain(call: int, first: int) -> None:
    """Whether it changes blocks that come in a range or one by one."""
    node = FakeNode(head=60, deposits=(30, 31, 52, 53))
    node.only_on = {30: "other", 31: "", 52: "other", 53: ""}
    node.before[call] = lambda: node.fork(first, "other", 62)
    news = create_follower(node, *known_blocks(node, 10)).follow()
    chain: dict[int, ChainBlock] = {}
    async with asyncio.timeout(5):
        while 62 not in chain:
            block = await anext(news)
            if isinstance(block, ChainRollback):
                chain = {number: kept for number, kept in chain.items() if number <= block.number}
                continue
            parent = chain.get(block.number - 1)
            assert parent is None or parent.block_hash == block.parent_hash
            chain[block.number] = block
    assert all(block.block_hash == node.block_hash(number) for number, block in chain.items())
    amounts = [log.amount for block in chain.values() for log in block.logs if isinstance(log, Deposited)]
    assert amounts == ([30, 52] if first == 20 else [31, 52])
