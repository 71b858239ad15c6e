"""A chain of the test's own, with the exchange deployed on it: transactions, receipts, time, reorganisations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ape
import web3
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3.contract import Contract
from web3.contract.contract import ContractConstructor, ContractFunction
from web3.types import TxReceipt

from scripts._lib.anvil import rpc
from scripts._lib.deployment import Deployment
from tests.utils.markets import NO_DERIVATIVE, SPOT, ZERO

FIAT_TOKEN_BALANCES = 9
"""Storage slot of the real USDC's balances."""

USDC = 10**6
BTC = 10**8
"""Quanta of one whole unit."""

INSTRUMENT = 2
"""IWithdrawalQueue.Kind"""

CONTRACTS = (
    "Vault",
    "Engine",
    "WithdrawalQueue",
    "MarketRegistry",
    "OrderControl",
    "CXPT",
    "SynthERC20",
    "MockUSDC",
    "MockWBTC",
    "MockWETH",
    "MockAggregator",
    "ChainlinkOracle",
    "Clearinghouse",
)

Abis = Mapping[str, list[Any]]


def read_abis() -> Abis:
    """ABIs as compiled by Ape, by contract."""
    types = {name: getattr(ape.project, name).contract_type for name in CONTRACTS}
    return {name: found.model_dump(mode="json", by_alias=True)["abi"] for name, found in types.items()}


class Chain:
    """One node. Transactions are signed here and have succeeded when a method returns."""

    def __init__(self, url: str, deployment: Deployment, abis: Abis, *, is_usdc_real: bool = False) -> None:
        self.url = url
        self.deployment = deployment
        self._web3 = web3.Web3(web3.HTTPProvider(url, request_kwargs={"timeout": 60}))
        self._abis = abis
        self._is_usdc_real = is_usdc_real
        asset = deployment.assets["WBTC"]
        market = deployment.markets["BTC-USDC"]
        self.base: int = asset["id"]
        self.market: int = market["id"]
        self.usdc = self._at("MockUSDC", deployment.usdc)
        self.underlying = self._at("MockWBTC", asset["underlying"])
        self.synth = self._at("SynthERC20", asset["synth"])
        self.vault = self._at("Vault", deployment.vault)
        self.engine = self._at("Engine", deployment.engine)
        self.queue = self._at("WithdrawalQueue", deployment.queue)
        self.registry = self._at("MarketRegistry", deployment.registry)
        self.control = self._at("OrderControl", deployment.order_control)
        self.clearinghouse = self._at("Clearinghouse", deployment.clearinghouse)

    def _at(self, name: str, address: str) -> Contract:
        return self._web3.eth.contract(address=web3.Web3.to_checksum_address(address), abi=self._abis[name])

    @property
    def path(self) -> Path:
        """The deployments file."""
        return self.deployment.path

    # -- transactions --------------------------------------------------------------------------------------------------

    def send(self, sender: LocalAccount, function: ContractFunction | ContractConstructor) -> TxReceipt:
        """Send a call of a contract and wait for its receipt. Raises if it would revert."""
        transaction = function.build_transaction(
            {"from": sender.address, "nonce": self._web3.eth.get_transaction_count(sender.address)}
        )
        sent = self._web3.eth.send_raw_transaction(sender.sign_transaction(transaction).raw_transaction)
        receipt = self._web3.eth.wait_for_transaction_receipt(sent, timeout=60, poll_latency=0.02)
        assert receipt["status"] == 1
        return receipt

    def send_raw(self, sender: LocalAccount, to: str, data: str) -> TxReceipt:
        """Send calldata to an address and wait for its receipt."""
        transaction = {
            "from": sender.address,
            "to": web3.Web3.to_checksum_address(to),
            "data": data,
            "nonce": self._web3.eth.get_transaction_count(sender.address),
            "chainId": self._web3.eth.chain_id,
            "maxFeePerGas": 10**11,
            "maxPriorityFeePerGas": 10**9,
            "gas": 2_000_000,
        }
        sent = self._web3.eth.send_raw_transaction(sender.sign_transaction(transaction).raw_transaction)
        receipt = self._web3.eth.wait_for_transaction_receipt(sent, timeout=60, poll_latency=0.02)
        assert receipt["status"] == 1
        return receipt

    def receipt(self, tx_hash: str) -> TxReceipt:
        return self._web3.eth.get_transaction_receipt(tx_hash)  # type: ignore[arg-type]

    def deposit_usdc(self, trader: LocalAccount, amount: int) -> TxReceipt:
        """Bring micro-USDC, which the trader has, to the Vault."""
        self.send(trader, self.usdc.functions.approve(self.vault.address, amount))
        return self.send(trader, self.vault.functions.deposit(amount, trader.address))

    def deposit_base(self, trader: LocalAccount, amount: int) -> TxReceipt:
        """Wrap quanta of the underlying, which the trader has, and bring the synths to the Engine."""
        self.send(trader, self.underlying.functions.approve(self.synth.address, amount))
        self.send(trader, self.synth.functions.depositFor(trader.address, amount))
        self.send(trader, self.synth.functions.approve(self.engine.address, amount))
        return self.send(trader, self.engine.functions.deposit(self.base, amount))

    def give_ether(self, trader: LocalAccount, amount: int) -> None:
        """Bring quanta of the mock WETH, which is minted for it, to the Engine."""
        asset = self.deployment.assets["WETH"]
        underlying, synth = self._at("MockWETH", asset["underlying"]), self._at("SynthERC20", asset["synth"])
        self.send(trader, underlying.functions.mint(trader.address, amount))
        self.send(trader, underlying.functions.approve(synth.address, amount))
        self.send(trader, synth.functions.depositFor(trader.address, amount))
        self.send(trader, synth.functions.approve(self.engine.address, amount))
        self.send(trader, self.engine.functions.deposit(asset["id"], amount))

    def push_price(self, dollars: int, updated_at: int | None = None) -> int:
        """A new round of the mock feed of BTC, of now or Unix seconds; its id."""
        oracle = self._at("ChainlinkOracle", str(self.deployment.markets["ETH-BTC"]["oracle"]))
        feed = self._at("MockAggregator", oracle.functions.aggregator().call())
        round_id: int = feed.functions.latestRound().call() + 1
        time = self.head_time() if updated_at is None else updated_at
        terms = (round_id, dollars * 10**8, time, time, round_id)
        self.send(self.create_account("oracle"), feed.functions.setRound(*terms))
        return round_id

    def deploy_cxpt(self, owner: LocalAccount) -> Contract:
        """The token, wired, registered as an asset, and with a market."""
        code = ape.project.CXPT.contract_type.get_deployment_bytecode()
        factory = self._web3.eth.contract(abi=self._abis["CXPT"], bytecode=code)
        receipt = self.send(owner, factory.constructor(self.vault.address))
        cxpt = self._at("CXPT", str(receipt["contractAddress"]))
        for contract in (self.vault, self.registry):
            self.send(owner, contract.functions.setCxpt(cxpt.address))
        self.send(owner, self.registry.functions.registerAsset(cxpt.address))
        asset = self.registry.functions.assetId(cxpt.address).call()
        terms = (100, 10_000, 10**12, 10**9, ZERO, tuple(NO_DERIVATIVE.values()))
        self.send(owner, self.registry.functions.createMarket(("CXPT-USDC", SPOT, asset, 0, *terms)))
        return cxpt

    # -- accounts ------------------------------------------------------------------------------------------------------

    def create_account(self, name: str) -> LocalAccount:
        """An account of nobody else, with ether."""
        account: LocalAccount = Account.from_key(web3.Web3.keccak(text=f"end to end {name}"))
        rpc(self.url, "anvil_setBalance", account.address, hex(10**20))
        return account

    def give(self, trader: LocalAccount, *, usdc: int = 0, base: int = 0) -> None:
        """Put tokens into a wallet: micro-USDC, quanta of the underlying."""
        if usdc and self._is_usdc_real:
            self._set_usdc(trader, usdc)
        elif usdc:
            self.send(trader, self.usdc.functions.mint(trader.address, usdc))
        if base:
            self.send(trader, self.underlying.functions.mint(trader.address, base))

    def _set_usdc(self, trader: LocalAccount, amount: int) -> None:
        key = bytes.fromhex(trader.address[2:]).rjust(32, b"\0") + FIAT_TOKEN_BALANCES.to_bytes(32, "big")
        slot = web3.Web3.keccak(key).to_0x_hex()
        rpc(self.url, "anvil_setStorageAt", self.usdc.address, slot, "0x" + amount.to_bytes(32, "big").hex())
        assert self.usdc.functions.balanceOf(trader.address).call() == amount

    # -- what the chain holds ------------------------------------------------------------------------------------------

    def shares_of(self, trader: LocalAccount) -> int:
        """micro-USDC in the Vault"""
        shares: int = self.vault.functions.sharesOf(trader.address).call()
        return shares

    def balance_of(self, trader: LocalAccount) -> int:
        """Quanta of the base asset in the Engine."""
        balance: int = self.engine.functions.balanceOf(trader.address, self.base).call()
        return balance

    def position_of(self, trader: LocalAccount, symbol: str) -> int:
        """Lots of a position in the Clearinghouse."""
        market = self.deployment.markets[symbol]["id"]
        size: int = self.clearinghouse.functions.positionOf(trader.address, market).call()[0]
        return size

    def pool_of(self, symbol: str) -> int:
        """micro-USDC of a market's pool."""
        pool: int = self.clearinghouse.functions.poolOf(self.deployment.markets[symbol]["id"]).call()
        return pool

    def last_batch(self) -> int:
        number: int = self.engine.functions.lastBatch().call()[0]
        return number

    def fill_ids(self, first_batch: int = 1) -> list[str]:
        """Ids of all settled fills from a batch on, in the order of settlement."""
        event = self.engine.events.BatchSettled()
        batches = event.get_logs(from_block=0, argument_filters=None)
        hashes = [log["transactionHash"] for log in batches if log["args"]["number"] >= first_batch]
        return [fill for tx_hash in hashes for fill in self.fills_in(self._web3.eth.get_transaction_receipt(tx_hash))]

    def fills_in(self, receipt: TxReceipt) -> list[str]:
        """Fill ids that the Engine logged in one transaction."""
        topic = web3.Web3.keccak(text="Fill(bytes32)")
        logs = [log for log in receipt["logs"] if log["address"] == self.engine.address and log["topics"][0] == topic]
        return [log["data"].to_0x_hex() for log in logs]

    # -- time and forks ------------------------------------------------------------------------------------------------

    def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            rpc(self.url, "evm_mine")

    def head_time(self) -> int:
        return int(self._web3.eth.get_block("latest")["timestamp"])

    def pass_time(self, seconds: int) -> None:
        rpc(self.url, "evm_increaseTime", seconds)
        self.mine()

    def set_time(self, timestamp: int) -> None:
        """Let the chain's clock show Unix `timestamp`, which may lie in its past, and go on from there."""
        rpc(self.url, "evm_setTime", timestamp * 1000)
        self.mine()

    def head(self) -> int:
        return self._web3.eth.block_number

    def snapshot(self) -> str:
        snapshot: str = rpc(self.url, "evm_snapshot")
        return snapshot

    def reorganise(self, snapshot: str) -> None:
        """Forget every block since the snapshot and grow a longer branch without their transactions."""
        forgotten = self.head()
        assert rpc(self.url, "evm_revert", snapshot)
        # In another second than the forgotten blocks, so that an empty block is not taken for an empty one of them.
        rpc(self.url, "evm_increaseTime", 1)
        self.mine(forgotten - self.head() + 1)

    def hold_transactions(self) -> None:
        """Let transactions wait in the pool until `release_transactions`."""
        rpc(self.url, "evm_setAutomine", False)

    def release_transactions(self) -> None:
        rpc(self.url, "evm_setAutomine", True)
        self.mine()

    def waiting_transactions(self) -> int:
        return int(rpc(self.url, "txpool_status")["pending"], 16)
