"""The whole system on the test chain, with funded traders, and direct JSON-RPC to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any

from ape.api import AccountAPI
from ape.contracts import ContractInstance
from ape.managers import ChainManager
from ape.managers.project import ProjectManager

from offchain.chain import eip712
from offchain.chain.abi import decode_error
from offchain.chain.deployment import Deployment
from offchain.domain.ledger import FUND, Halt, LedgerState, MarketRules
from offchain.domain.market import USDC, Kind, Market
from offchain.domain.oracle import PriceFeed, Round
from offchain.domain.order import Address
from tests.utils.contracts import deploy_behind_proxy, deploy_create2
from tests.utils.markets import FUNDING, MARGINS, NO_DERIVATIVE, ZERO
from tests.utils.signing import Trader

SPOT_TERMS = (("BTC-USDC", 8, 100_000, 1_000, 10**13, 10**9), ("ETH-USDC", 18, 10_000, 10**15, 10**12, 10**9))
"""symbol, decimals, tick size, lot size, highest price, highest quantity"""

PRICES = {"BTC": 50_000 * 10**8, "ETH": 2_500 * 10**8}
"""answers of the price feeds, USD with 8 decimals"""

MAX_PRICE_AGE = 7_200
"""seconds"""

MINING_TIMEOUT = 10.0
"""seconds"""


class Reverted(Exception):
    """A call that failed, decoded."""

    def __init__(self, name: str, arguments: tuple[int | str, ...]) -> None:
        super().__init__(f"{name}{arguments}")
        self.name = name
        self.arguments = arguments


@dataclass(frozen=True)
class Exchange:
    chain: ChainManager
    usdc: ContractInstance
    vault: ContractInstance
    engine: ContractInstance
    queue: ContractInstance
    registry: ContractInstance
    control: ContractInstance
    clearinghouse: ContractInstance
    aggregators: dict[int, ContractInstance]
    """by market that has an oracle"""
    markets: dict[int, Market]
    owner: AccountAPI
    operator: AccountAPI
    first_block: int

    @property
    def domain(self) -> eip712.Domain:
        return eip712.Domain(self.chain.chain_id, address_of(self.engine))

    @property
    def deployment(self) -> Deployment:
        return Deployment(
            self.chain.chain_id,
            address_of(self.engine),
            address_of(self.vault),
            address_of(self.queue),
            address_of(self.registry),
            address_of(self.control),
            self.first_block,
            address_of(self.clearinghouse),
        )

    def rpc(self, method: str, *parameters: Any) -> Any:
        """Raises Reverted where the node says that a call reverts."""
        answer = self.chain.provider.web3.provider.make_request(method, list(parameters))
        if "error" in answer:
            data = answer["error"].get("data")
            assert isinstance(data, str), answer["error"]
            raise Reverted(*decode_error(bytes.fromhex(data[2:])))
        return answer["result"]

    def call(self, sender: object, to: object, data: bytes, time: int) -> bytes:
        """A call in a block of this time that is not mined."""
        call = {"from": _text(sender), "to": _text(to), "data": "0x" + data.hex(), "gas": hex(30_000_000)}
        return bytes.fromhex(self.rpc("eth_call", call, "latest", {}, {"time": hex(time)})[2:])

    def send(self, sender: object, to: object, data: bytes, time: int | None = None) -> dict[str, Any]:
        """A transaction in a block of its own, at `time` if given; its receipt. Impersonates the sender."""
        self.rpc("anvil_impersonateAccount", _text(sender))
        if time is not None:
            self.rpc("evm_setNextBlockTimestamp", time)
        transaction = {"from": _text(sender), "to": _text(to), "data": "0x" + data.hex(), "gas": hex(16_777_216)}
        tx_hash = self.rpc("eth_sendTransaction", transaction)
        deadline = monotonic() + MINING_TIMEOUT
        while (receipt := self.rpc("eth_getTransactionReceipt", tx_hash)) is None:
            # Anvil answers before it has mined.
            assert monotonic() < deadline, f"{tx_hash} is not mined"
            sleep(0.001)
        mined: dict[str, Any] = receipt
        return mined

    def transact(self, sender: object, method: Any, *arguments: Any, time: int | None = None) -> None:
        """Call a contract's method from any address. Raises AssertionError if it reverts."""
        receipt = self.send(sender, method.contract.address, bytes(method.encode_input(*arguments)), time)
        assert receipt["status"] == "0x1", method

    def fund(self, trader: Trader, usdc: int, base: int) -> None:
        """Give a trader micro-USDC in the Vault and quanta of every base asset in the Engine."""
        address = _text(trader.address)
        self.rpc("anvil_setBalance", address, hex(10**20))
        self.transact(address, self.usdc.mint, address, usdc)
        self.transact(address, self.usdc.approve, self.vault.address, usdc)
        self.transact(address, self.vault.deposit, usdc, address)
        for base_id in sorted({market.base for market in self.markets.values()}):
            asset = self.registry.asset(base_id)
            token, synth = map(self.chain.contracts.instance_at, (asset.underlying, asset.synth))
            self.transact(address, token.mint, address, base)
            self.transact(address, token.approve, synth.address, base)
            self.transact(address, synth.depositFor, address, base)
            self.transact(address, synth.approve, self.engine.address, base)
            self.transact(address, self.engine.deposit, base_id, base)

    def fund_insurance(self, sponsor: AccountAPI, usdc: int) -> None:
        """Anyone may deposit to the insurance fund's Vault account."""
        self.usdc.mint(sponsor, usdc, sender=sponsor)
        self.usdc.approve(self.vault, usdc, sender=sponsor)
        self.vault.deposit(usdc, FUND, sender=sponsor)

    def ledger(self, traders: Sequence[Trader]) -> LedgerState:
        """What the contracts hold, as the model's state; nonce keys and positions start at zero."""
        number, matched_at = self.engine.lastBatch()
        current, following, change_at = self.engine.feeSchedule()
        state = LedgerState(address_of(self.engine), current, number, matched_at)
        state.next_fee_bps, state.fee_change_at = following, change_at
        halted_at, halted_until = self.engine.lastHalt()
        state.halt = Halt(halted_at, halted_until) if halted_at else None
        state.clearinghouse = address_of(self.clearinghouse)
        ids = list(self.markets)
        terms, _ = self.registry.derivatives(ids)
        for market, word, term in zip(ids, self.registry.marketWords(ids), terms, strict=True):
            state.markets[market] = MarketRules.from_word(word, term, self.registry.createdAt(market))
        state.feeds = {market: self.feed(market) for market in self.aggregators}
        for account in (state.engine, state.clearinghouse, FUND, *(trader.address for trader in traders)):
            state.usdc[account] = self.vault.sharesOf(account)
            state.fees_paid[account] = self.vault.feesPaidOf(account)
            for base in sorted({each.base for each in self.markets.values()}):
                state.base[account, base] = self.engine.balanceOf(account, base)
        return state

    def feed(self, market: int) -> PriceFeed:
        """Every round of a market's oracle so far; the first phase only."""
        aggregator = self.aggregators[market]
        rounds = [aggregator.getRoundData(id) for id in range(FIRST_ROUND, aggregator.latestRound() + 1)]
        return PriceFeed(tuple(Round(each[0], each[1] * 10**10, each[3]) for each in rounds), MAX_PRICE_AGE)


FIRST_ROUND = (1 << 64) + 1


def deploy_exchange(
    chain: ChainManager,
    project: ProjectManager,
    owner: AccountAPI,
    operator: AccountAPI,
    guardian: AccountAPI,
    has_derivatives: bool = False,
) -> Exchange:
    """Everything wired, with two spot markets, and one of each other kind if asked for."""
    first_block = chain.blocks.height + 1
    proxy = project.UpgradeableProxy
    usdc = owner.deploy(project.MockUSDC)
    registry = owner.deploy(project.MarketRegistry, owner, guardian)
    vault = deploy_behind_proxy(owner, project.Vault, proxy, (usdc.address,), (owner.address,))
    roles = (owner.address, operator.address, guardian.address, 50)
    packer = owner.deploy(project.BatchPacker)
    parts = (vault.address, registry.address, packer.address)
    engine = deploy_behind_proxy(owner, project.Engine, proxy, parts, roles)
    parts = (engine.address, vault.address, registry.address)
    clearinghouse = deploy_behind_proxy(owner, project.Clearinghouse, proxy, parts, (owner.address,))
    control = owner.deploy(project.OrderControl, engine, vault)
    queue = owner.deploy(project.WithdrawalQueue, vault, engine, registry)
    vault.connect(engine, queue, clearinghouse, control, sender=owner)
    engine.connect(queue, control, clearinghouse, sender=owner)
    exchange = Exchange(
        chain, usdc, vault, engine, queue, registry, control, clearinghouse, {}, {}, owner, operator, first_block
    )
    for symbol, decimals, *terms in SPOT_TERMS:
        token = owner.deploy(project.MockToken, symbol[:3], symbol[:3], decimals)
        synth = deploy_create2(owner, project.SynthERC20, token.address)
        registry.registerAsset(synth, sender=owner)
        _list(exchange, symbol, Kind.SPOT, registry.lastId(), USDC, decimals, tuple(terms))
    if has_derivatives:
        _list_derivatives(exchange, project)
    return exchange


def _list_derivatives(exchange: Exchange, project: ProjectManager) -> None:
    """A cross-quoted pair, a perpetual, a future, a call and a put, on two price feeds."""
    feeds, oracles = {}, {}
    for symbol, price in PRICES.items():
        feeds[symbol] = exchange.owner.deploy(project.MockAggregator, 8, price)
        bounds = (MAX_PRICE_AGE, 1, 2**120, ZERO, 0)
        oracles[symbol] = exchange.owner.deploy(project.ChainlinkOracle, feeds[symbol], *bounds)
    (_, bitcoin), (_, ether) = ((market.symbol, market) for market in exchange.markets.values())
    expiry = exchange.chain.pending_timestamp + 200_000
    dated = {"expiry": expiry}
    call = dated | {"strike": 48_000 * 10**6, "cap": 60_000 * 10**6}
    put = dated | {"strike": 2_400 * 10**6, "isPut": True}
    for symbol, kind, base, quote, terms, derivative in (
        ("ETH-BTC", Kind.SPOT, ether, bitcoin.base, (10**6, 10**15, 10**12, 10**9), {}),
        ("BTC-PERP", Kind.PERP, bitcoin, USDC, None, MARGINS | FUNDING),
        ("BTC-20261225", Kind.FUTURE, bitcoin, USDC, None, MARGINS | dated),
        ("BTC-20261225-48000-C", Kind.OPTION, bitcoin, USDC, None, call),
        ("ETH-20261225-2400-P", Kind.OPTION, ether, USDC, None, put),
    ):
        plain = (base.tick_size, base.lot_size, base.max_price, base.max_quantity)
        priced = "BTC" if quote else base.symbol[:3]
        oracle = oracles[priced].address
        market = _list(exchange, symbol, kind, base.base, quote, base.decimals, terms or plain, oracle, derivative)
        exchange.aggregators[market] = feeds[priced]


def _list(
    exchange: Exchange,
    symbol: str,
    kind: Kind,
    base: int,
    quote: int,
    decimals: int,
    terms: tuple[int, ...],
    oracle: str = ZERO,
    derivative: Mapping[str, object] | None = None,
) -> int:
    parameters = tuple((NO_DERIVATIVE | dict(derivative or {})).values())
    listing = (symbol, int(kind), base, quote, *terms, oracle, parameters)
    exchange.registry.createMarket(listing, sender=exchange.owner)
    market: int = exchange.registry.lastId()
    instrument = base if kind == Kind.SPOT else market
    exchange.markets[market] = Market(market, symbol, kind, instrument, base, quote, decimals, *terms)
    return market


def address_of(contract: ContractInstance | AccountAPI) -> Address:
    return bytes.fromhex(str(contract.address)[2:])


def _text(party: object) -> str:
    if isinstance(party, bytes):
        return "0x" + party.hex()
    return party if isinstance(party, str) else str(party.address)  # type: ignore[attr-defined]
