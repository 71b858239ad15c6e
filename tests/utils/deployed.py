"""The whole system on the test chain, with funded traders, and direct JSON-RPC to it."""

from __future__ import annotations

from collections.abc import Sequence
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
from offchain.domain.batch import LedgerState, MarketRules
from offchain.domain.market import USDC, Market
from offchain.domain.order import Address
from tests.utils.contracts import deploy_behind_proxy, deploy_create2
from tests.utils.markets import NO_DERIVATIVE, SPOT, ZERO
from tests.utils.signing import Trader

MARKET_TERMS = (("BTC-USDC", 8, 100_000, 1_000, 10**13, 10**9), ("ETH-USDC", 18, 10_000, 10**15, 10**12, 10**9))
"""symbol, decimals, tick size, lot size, highest price, highest quantity"""

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
            self.first_block,
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

    def transact(self, sender: object, method: Any, *arguments: Any) -> None:
        """Call a contract's method from any address. Raises AssertionError if it reverts."""
        receipt = self.send(sender, method.contract.address, bytes(method.encode_input(*arguments)))
        assert receipt["status"] == "0x1", method

    def fund(self, trader: Trader, usdc: int, base: int) -> None:
        """Give a trader micro-USDC in the Vault and quanta of every base asset in the Engine."""
        address = _text(trader.address)
        self.rpc("anvil_setBalance", address, hex(10**20))
        self.transact(address, self.usdc.mint, address, usdc)
        self.transact(address, self.usdc.approve, self.vault.address, usdc)
        self.transact(address, self.vault.deposit, usdc, address)
        for market in self.markets.values():
            asset = self.registry.asset(market.base)
            token, synth = map(self.chain.contracts.instance_at, (asset.underlying, asset.synth))
            self.transact(address, token.mint, address, base)
            self.transact(address, token.approve, synth.address, base)
            self.transact(address, synth.depositFor, address, base)
            self.transact(address, synth.approve, self.engine.address, base)
            self.transact(address, self.engine.deposit, market.base, base)

    def ledger(self, traders: Sequence[Trader]) -> LedgerState:
        """What the contracts hold, as the model's state; nonce keys start at zero."""
        number, matched_at = self.engine.lastBatch()
        state = LedgerState(address_of(self.engine), self.engine.feeBps(), number, matched_at)
        for market, word in zip(self.markets, self.registry.marketWords(list(self.markets)), strict=True):
            state.markets[market] = MarketRules.from_word(word)
        for account in (address_of(self.engine), *(trader.address for trader in traders)):
            state.usdc[account] = self.vault.sharesOf(account)
            for market_terms in self.markets.values():
                state.base[account, market_terms.base] = self.engine.balanceOf(account, market_terms.base)
        return state


def deploy_exchange(
    chain: ChainManager, project: ProjectManager, owner: AccountAPI, operator: AccountAPI, guardian: AccountAPI
) -> Exchange:
    first_block = chain.blocks.height + 1
    proxy = project.UpgradeableProxy
    usdc = owner.deploy(project.MockUSDC)
    registry = owner.deploy(project.MarketRegistry, owner, guardian)
    vault = deploy_behind_proxy(owner, project.Vault, proxy, (usdc.address,), (owner.address,))
    roles = (owner.address, operator.address, guardian.address, 50)
    engine = deploy_behind_proxy(owner, project.Engine, proxy, (vault.address, registry.address), roles)
    queue = owner.deploy(project.WithdrawalQueue, vault, engine, registry)
    vault.connect(engine, queue, sender=owner)
    engine.connect(queue, sender=owner)
    markets: dict[int, Market] = {}
    for symbol, decimals, *terms in MARKET_TERMS:
        token = owner.deploy(project.MockToken, symbol[:3], symbol[:3], decimals)
        synth = deploy_create2(owner, project.SynthERC20, token.address)
        registry.registerAsset(synth, sender=owner)
        asset = registry.lastId()
        derivative = tuple(NO_DERIVATIVE.values())
        registry.createMarket((symbol, SPOT, asset, USDC, *terms, ZERO, derivative), sender=owner)
        market = registry.lastId()
        markets[market] = Market(market, symbol, 0, asset, asset, USDC, decimals, *terms)
    return Exchange(chain, usdc, vault, engine, queue, registry, markets, owner, operator, first_block)


def address_of(contract: ContractInstance | AccountAPI) -> Address:
    return bytes.fromhex(str(contract.address)[2:])


def _text(party: object) -> str:
    if isinstance(party, bytes):
        return "0x" + party.hex()
    return party if isinstance(party, str) else str(party.address)  # type: ignore[attr-defined]
