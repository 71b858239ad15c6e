"""The gateway against a real node with the real contracts."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Iterator
from random import Random
from secrets import token_hex

import pytest
import pytest_asyncio
from ape.api import AccountAPI
from ape.managers import ChainManager
from ape.managers.project import ProjectManager
from eth_account import Account

from offchain.chain import abi
from offchain.chain.batch import encode
from offchain.chain.calldata import FUNCTIONS, release_calldata, settle_calldata
from offchain.chain.deployment import Deployment
from offchain.chain.gateway import UNBOUNDED_AGE, Gateway, GatewaySettings, WrongChain
from offchain.chain.sender import FeePolicy
from offchain.domain.batch import Batch
from offchain.domain.commands import (
    AssetRegistered,
    BatchSettled,
    ChainBlock,
    ChainRollback,
    Deposited,
    MarketCreated,
    MarketStatusChanged,
    WithdrawalRequested,
    WithdrawalSettled,
)
from offchain.domain.market import USDC
from offchain.ports import BlockRef, ChainUnavailable, Failure, Receipt, RoundSeen
from tests.utils.deployed import Exchange, deploy_exchange
from tests.utils.settlement import BatchFactory, settle_model
from tests.utils.signing import Trader

MAKER, TAKER = Trader.named("maker"), Trader.named("taker")
FUNDS = 10**15
BASE = 10**24


@pytest.fixture(scope="module")
def exchange(
    chain: ChainManager, project: ProjectManager, owner: AccountAPI, operator: AccountAPI, guardian: AccountAPI
) -> Exchange:
    exchange = deploy_exchange(chain, project, owner, operator, guardian)
    for trader in (MAKER, TAKER):
        exchange.fund(trader, usdc=FUNDS, base=BASE)
    return exchange


CreateGateway = Callable[..., Gateway]


@pytest_asyncio.fixture
async def create_gateway(exchange: Exchange) -> AsyncIterator[CreateGateway]:
    gateways: list[Gateway] = []

    def create(
        account: AccountAPI | None = None,
        deployment: Deployment | None = None,
        url: str | None = None,
        fees: FeePolicy | None = None,
    ) -> Gateway:
        key = Account.from_key((account or exchange.operator).private_key)  # type: ignore[union-attr]
        where = url or exchange.chain.provider.uri
        chosen = GatewaySettings(call_timeout=5, poll_interval=0.01, fees=fees or FeePolicy())
        gateways.append(Gateway(where, deployment or exchange.deployment, key, chosen))
        return gateways[-1]

    yield create
    for gateway in gateways:
        await gateway.close()


@pytest.fixture
def gateway(create_gateway: CreateGateway) -> Gateway:
    return create_gateway()


def create_batch(exchange: Exchange, seed: int = 1) -> Batch:
    state = exchange.ledger((MAKER, TAKER))
    now = exchange.chain.blocks.head.timestamp
    return BatchFactory(exchange.domain, state, (MAKER, TAKER), exchange.markets, Random(seed)).create_batch(now, 4)


async def collect(
    gateway: Gateway, exchange: Exchange, after: BlockRef | None = None, older: tuple[BlockRef, ...] = ()
):  # type: ignore[no-untyped-def]
    """What `blocks` yields until it has reached the head."""
    head = exchange.rpc("eth_getBlockByNumber", "latest", False)
    collected: list[ChainBlock | ChainRollback] = []
    async with asyncio.timeout(20):
        async for news in gateway.blocks(after, older):
            collected.append(news)
            if "0x" + news.block_hash.hex() == head["hash"]:
                return collected
    raise AssertionError("blocks ended")


def logs_of(news: list[ChainBlock | ChainRollback], kind: type) -> list:  # type: ignore[type-arg]
    return [log for block in news if isinstance(block, ChainBlock) for log in block.logs if isinstance(log, kind)]


async def mined(gateway: Gateway, tx_hash: bytes) -> Receipt:
    for _ in range(500):
        receipt = await gateway.receipt(tx_hash)
        if receipt is not None:
            return receipt
        await asyncio.sleep(0.01)
    raise AssertionError(f"{tx_hash.hex()} is not mined")


# ---------------------------------------------------------------------------------------------------------------------
# Connecting
# ---------------------------------------------------------------------------------------------------------------------


async def test_connect_checks_chain_and_contracts(
    exchange: Exchange, create_gateway: CreateGateway, gateway: Gateway
) -> None:
    await gateway.connect()
    assert "0x" + gateway.operator.hex() == exchange.operator.address.lower()
    with pytest.raises(WrongChain, match="serves chain 31337, the deployment is on 5"):
        await create_gateway(deployment=_changed(exchange, chain_id=5)).connect()
    with pytest.raises(WrongChain, match="no contract at 0x0101010101010101010101010101010101010101"):
        await create_gateway(deployment=_changed(exchange, queue=b"\1" * 20)).connect()
    with pytest.raises(ChainUnavailable, match="eth_chainId"):
        await create_gateway(url="http://127.0.0.1:1").connect()


def _changed(exchange: Exchange, **changes: object) -> Deployment:
    values = {name: getattr(exchange.deployment, name) for name in Deployment.__slots__}
    return Deployment(**(values | changes))


async def test_reads(exchange: Exchange, gateway: Gateway) -> None:
    assert await gateway.next_batch() == exchange.engine.lastBatch()[0] + 1
    assert await gateway.fee_bps() == 50
    assert await gateway.head_time() == exchange.chain.blocks.head.timestamp
    assert await gateway.receipt(b"\1" * 32) is None


# ---------------------------------------------------------------------------------------------------------------------
# Blocks
# ---------------------------------------------------------------------------------------------------------------------


async def test_blocks_bring_listings_and_deposits(exchange: Exchange, gateway: Gateway) -> None:
    news = await collect(gateway, exchange)
    numbers = [block.number for block in news]
    assert numbers == sorted(set(numbers))
    assert [log.market for log in logs_of(news, MarketCreated)] == list(exchange.markets.values())
    assets = [log.asset for log in logs_of(news, AssetRegistered)]
    assert [(asset.id, asset.decimals) for asset in assets] == [(m.base, m.decimals) for m in exchange.markets.values()]
    assert all(exchange.registry.asset(asset.id).synth.lower() == "0x" + asset.synth.hex() for asset in assets)
    assert [(log.market, log.status) for log in logs_of(news, MarketStatusChanged)] == [
        (m, 1) for m in exchange.markets
    ]
    deposits = {(log.account, log.asset): log.amount for log in logs_of(news, Deposited)}
    bases = [market.base for market in exchange.markets.values()]
    assert deposits == {
        (trader.address, asset): FUNDS if asset == USDC else BASE
        for trader in (MAKER, TAKER)
        for asset in (USDC, *bases)
    }


async def test_blocks_continue_after_a_known_one(exchange: Exchange, gateway: Gateway) -> None:
    news = await collect(gateway, exchange)
    middle = news[len(news) // 2]
    later = await collect(gateway, exchange, BlockRef(middle.number, middle.block_hash))
    assert logs_of(later, object) == [log for block in news if block.number > middle.number for log in block.logs]


def reorganise(exchange: Exchange, depth: int) -> None:
    """Replace the newest blocks by others, which only differ if their miner does."""
    exchange.rpc("anvil_setCoinbase", "0x" + token_hex(20))
    exchange.rpc("anvil_reorg", depth, [])


@pytest.mark.parametrize("depth", [1, 3])
async def test_a_reorganisation_is_rolled_back_to_the_common_block(
    exchange: Exchange, gateway: Gateway, depth: int
) -> None:
    exchange.rpc("anvil_mine", hex(5))
    known = [BlockRef(block.number, block.block_hash) for block in await collect(gateway, exchange)]
    reorganise(exchange, depth)
    exchange.rpc("anvil_mine", hex(1))
    news = await collect(gateway, exchange, known[-1], tuple(known[:-1]))
    ancestor = known[-1 - depth]
    assert news[0] == ChainRollback(ancestor.number, ancestor.block_hash)
    assert [block.number for block in news[1:]] == list(range(ancestor.number + 1, known[-1].number + 2))
    assert news[1].parent_hash == ancestor.block_hash  # type: ignore[union-attr]


async def test_a_reorganisation_while_following(exchange: Exchange, gateway: Gateway) -> None:
    """Following goes on through blocks of another fork."""
    exchange.rpc("anvil_mine", hex(3))
    news = gateway.blocks(None)
    head = int(exchange.rpc("eth_blockNumber"), 16)
    async with asyncio.timeout(20):
        while (await anext(news)).number < head:
            pass
        reorganise(exchange, 2)
        exchange.rpc("anvil_mine", hex(1))
        rollback = await anext(news)
        assert isinstance(rollback, ChainRollback)
        assert rollback.number == head - 2
        assert [(await anext(news)).number for _ in range(3)] == [head - 1, head, head + 1]


# ---------------------------------------------------------------------------------------------------------------------
# Settling
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_batch_is_simulated_sent_and_found_in_its_block(exchange: Exchange, gateway: Gateway) -> None:
    batch = create_batch(exchange)
    state = copy.deepcopy(exchange.ledger((MAKER, TAKER)))
    data = settle_calldata(encode(batch))
    assert await gateway.simulate(data) is None
    assert await gateway.next_batch() == 1
    receipt = await mined(gateway, await gateway.send("Engine", data))
    assert receipt.succeeded
    assert await gateway.next_batch() == 2
    expected = settle_model(state, batch, batch.matched_at + 1, exchange.domain)
    (settled,) = logs_of(await collect(gateway, exchange), BatchSettled)
    cleared_nothing = (receipt.tx_hash, receipt.gas_used, [], [])
    assert settled == BatchSettled(1, batch.matched_at, list(expected.fill_ids), *cleared_nothing)


async def test_failures_are_decoded_and_global_ones_recognised(
    exchange: Exchange, create_gateway: CreateGateway, gateway: Gateway
) -> None:
    batch = create_batch(exchange)
    operator = create_gateway(exchange.owner)
    cases = [
        (gateway, _batch(batch, number=9), Failure("WrongBatchNumber", (1, 9), True)),
        (operator, batch, Failure("NotOperator", (exchange.owner.address.lower(),), True)),
        (gateway, _batch(batch, accounts=batch.accounts[::-1]), Failure("UnsortedAccounts", (1,), False)),
        (gateway, _batch(batch, fills=()), Failure("EmptyBatch", (), False)),
    ]
    for sender, wrong, expected in cases:
        assert await sender.simulate(settle_calldata(encode(wrong))) == expected
    early = await gateway.simulate(settle_calldata(encode(_batch(batch, matched_at=1))))
    assert early is not None
    assert (early.error, early.args[0], early.is_global) == ("MatchedAtOutOfRange", 1, True)


def _batch(batch: Batch, **changes: object) -> Batch:
    return Batch(**({name: getattr(batch, name) for name in Batch.__slots__} | changes))


async def test_simulation_happens_now_not_at_the_newest_block(
    exchange: Exchange, create_gateway: CreateGateway
) -> None:
    batch = create_batch(exchange)
    head = exchange.chain.blocks.head.timestamp
    key = Account.from_key(exchange.operator.private_key)  # type: ignore[attr-defined]
    settings = GatewaySettings(poll_interval=0.01)
    later = Gateway(exchange.chain.provider.uri, exchange.deployment, key, settings, clock=lambda: head + 10_000.0)
    failure = await later.simulate(settle_calldata(encode(batch)))
    await later.close()
    assert failure is not None
    assert failure.error == "MatchedAtOutOfRange"


@pytest.fixture
def is_mining_held(exchange: Exchange) -> Iterator[None]:
    """Transactions wait until a block is asked for; those that still wait at the end are forgotten."""
    exchange.rpc("evm_setAutomine", False)
    yield
    exchange.rpc("anvil_dropAllTransactions")
    exchange.rpc("evm_setAutomine", True)


@pytest.mark.usefixtures("is_mining_held")
@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_waiting_transaction_is_replaced_with_higher_fees(
    exchange: Exchange, create_gateway: CreateGateway, is_restarted: bool
) -> None:
    """Also by a gateway that does not know what its predecessor offered."""
    batch = create_batch(exchange)
    first_gateway = create_gateway()
    first = await first_gateway.send("Engine", settle_calldata(encode(batch)))
    offered = fees_of(exchange, first)
    other = _batch(batch, matched_at=batch.matched_at - 1)
    gateway = create_gateway() if is_restarted else first_gateway
    second = await gateway.send("Engine", settle_calldata(encode(other)))
    assert all(new * 8 >= old * 9 for new, old in zip(fees_of(exchange, second), offered, strict=True))
    exchange.rpc("anvil_mine", hex(1))
    assert (await mined(gateway, second)).succeeded
    assert await gateway.receipt(first) is None
    assert await gateway.next_batch() == 2


@pytest.mark.usefixtures("is_mining_held")
async def test_the_same_transaction_again_has_the_same_hash(exchange: Exchange, create_gateway: CreateGateway) -> None:
    data = settle_calldata(encode(create_batch(exchange)))
    assert await create_gateway().send("Engine", data) == await create_gateway().send("Engine", data)


def fees_of(exchange: Exchange, tx_hash: bytes) -> list[int]:
    transaction = exchange.rpc("eth_getTransactionByHash", "0x" + tx_hash.hex())
    return [int(transaction[name], 16) for name in ("maxFeePerGas", "maxPriorityFeePerGas")]


async def test_fees_above_the_cap_are_not_offered(exchange: Exchange, create_gateway: CreateGateway) -> None:
    gateway = create_gateway(fees=FeePolicy(max_fee_cap=1))
    with pytest.raises(ChainUnavailable, match="exceeds the cap 1"):
        await gateway.send("Engine", settle_calldata(encode(create_batch(exchange))))


async def test_a_transaction_that_would_revert_is_not_sent(exchange: Exchange, gateway: Gateway) -> None:
    wrong = _batch(create_batch(exchange), number=9)
    with pytest.raises(ChainUnavailable, match="eth_estimateGas"):
        await gateway.send("Engine", settle_calldata(encode(wrong)))


async def test_a_withdrawal_is_released(exchange: Exchange, gateway: Gateway) -> None:
    exchange.transact(MAKER.address, exchange.vault.withdraw, 700, False)
    wrong = release_calldata(MAKER.address, 0, 0, 701)
    assert await gateway.simulate(wrong, "WithdrawalQueue") == Failure("RequestChanged", (701, 700), False)
    data = release_calldata(MAKER.address, 0, 0, 700)
    assert await gateway.simulate(data, "WithdrawalQueue") is None
    receipt = await mined(gateway, await gateway.send("WithdrawalQueue", data))
    news = await collect(gateway, exchange)
    (requested,) = logs_of(news, WithdrawalRequested)
    assert (requested.account, requested.kind, requested.asset, requested.amount) == (MAKER.address, 0, USDC, 700)
    (settled,) = logs_of(news, WithdrawalSettled)
    assert (settled.requested, settled.paid, settled.released, settled.tx_hash) == (700, 700, True, receipt.tx_hash)
    again = await gateway.simulate(data, "WithdrawalQueue")
    assert again is not None
    assert again.error == "NoRequest"


async def test_oracles_answer_their_rounds(project: ProjectManager, owner: AccountAPI, gateway: Gateway) -> None:
    """A round in time, in time no more, and one that the oracle does not believe."""
    now = await gateway.head_time()
    feed = owner.deploy(project.MockAggregator, 8, 64_000 * 10**8)
    oracle = owner.deploy(project.ChainlinkOracle, feed, 3_600, 10**18, 10**24, "0x" + "00" * 20, 0)
    address = bytes.fromhex(str(oracle.address)[2:])
    first = await gateway.latest_round(address)
    assert first is not None
    assert (first.price, first.max_age) == (64_000 * 10**18, 3_600)
    assert now <= first.updated_at
    assert await gateway.price_at(address, first.round, first.updated_at + 1) == first.price
    assert await gateway.price_at(address, first.round, first.updated_at - 1) is None
    assert await gateway.price_at(address, first.round + 1, first.updated_at + 1) is None
    feed.push(10**3, sender=owner)
    assert await gateway.latest_round(address) is None
    # A mock that does not say how long it may be silent.
    plain = owner.deploy(project.MockOracle)
    plain.setRound(3, 5, first.updated_at, sender=owner)
    seen = await gateway.latest_round(bytes.fromhex(str(plain.address)[2:]))
    assert seen == RoundSeen(3, 5, first.updated_at, UNBOUNDED_AGE)


# ---------------------------------------------------------------------------------------------------------------------
# What is committed equals what is compiled
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contract", [*abi.CONTRACTS, *abi.CALLED_CONTRACTS])
def test_the_committed_abi_is_the_compiled_one(project: ProjectManager, contract: str) -> None:
    compiled = [
        entry.model_dump(mode="json", by_alias=True, exclude_none=True)
        for entry in project.contracts[f"I{contract}"].abi
    ]
    known = {(entry["type"], abi.signature(entry)) for entry in compiled if entry.get("name")}
    used = {(entry["type"], abi.signature(entry)) for entry in abi.load(contract)}
    assert used <= known
    assert {entry for entry in known if entry[0] == "error"} <= used


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_what_the_relay_calls_is_what_the_contracts_have(project: ProjectManager, kind: str) -> None:
    contract, function, types = FUNCTIONS[kind]
    known = [
        abi.signature(entry.model_dump(mode="json", by_alias=True, exclude_none=True))
        for entry in project.contracts[f"I{contract}"].abi
        if entry.type == "function"
    ]
    assert f"{function}({','.join(types)})" in known
