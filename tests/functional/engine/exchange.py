"""The system on chain as the Engine's tests see it: build batches, settle them, expect refusals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ape.api import AccountAPI, ProviderAPI, ReceiptAPI
from ape.contracts import ContractInstance
from eth_abi import encode
from eth_account.signers.local import LocalAccount
from eth_utils import keccak

from tests.utils.batches import BUY, Batch, Domain, Order, build_batch, fill_id, nonce, packed_calldata

PACKED, READABLE = "packed", "readable"
FORMS = (PACKED, READABLE)
FILL_TOPIC = keccak(text="Fill(bytes32)")

# BTC-USDC: 8 decimals, lots of 1,000 satoshi, tick 0.1 USDC, so one micro-USDC per lot.
BTC_LOT = 1_000
BTC_PARAMS = {"tickSize": 100_000, "lotSize": BTC_LOT, "maxPrice": 10**13, "maxQuantity": 10**9}
BTC_MAX_PRICE = 10**8
# ETH-USDC: 18 decimals, lots of 0.001 ETH, tick 0.01 USDC, so ten micro-USDC per lot.
ETH_LOT = 10**15
ETH_PARAMS = {"tickSize": 10_000, "lotSize": ETH_LOT, "maxPrice": 10**11, "maxQuantity": 10**9}
ETH_TICK = 10

ZERO_ADDRESS = "0x" + "00" * 20
NO_DERIVATIVE = {
    "expiry": 0,
    "strike": 0,
    "cap": 0,
    "isPut": False,
    "initialMarginBps": 0,
    "maintenanceMarginBps": 0,
    "bandBps": 0,
    "liquidationFeeBps": 0,
    "exitPenaltyBps": 0,
    "fundingCap": 0,
    "fundingPeriod": 0,
}
PERPETUAL = {
    "initialMarginBps": 1_000,
    "maintenanceMarginBps": 500,
    "bandBps": 200,
    "liquidationFeeBps": 100,
    "exitPenaltyBps": 100,
    "fundingCap": 50_000,
    "fundingPeriod": 28_800,
}


def create_market(
    registry: ContractInstance, owner: AccountAPI, symbol: str, base: int, numbers: dict[str, int], **changes: Any
) -> int:
    """Create a market, plain spot unless `changes` say otherwise, and return its id."""
    params = {
        "symbol": symbol,
        "kind": 0,
        "base": base,
        "quote": 0,
        "oracle": ZERO_ADDRESS,
        "derivative": NO_DERIVATIVE,
    }
    registry.createMarket(params | numbers | changes, sender=owner)
    return int(registry.lastId())


def create_perpetual(exchange: Exchange, project: Any, owner: AccountAPI, symbol: str = "BTC-PERP") -> int:
    """Create a perpetual over BTC, whose oracle has round 1 at 60,000 USD."""
    oracle = owner.deploy(project.MockOracle)
    oracle.setRound(1, 60_000 * 10**18, exchange.now, sender=owner)
    terms = {"kind": 1, "oracle": oracle, "derivative": NO_DERIVATIVE | PERPETUAL}
    return create_market(exchange.registry, owner, symbol, exchange.btc, BTC_PARAMS, **terms)


@dataclass(frozen=True)
class Refusal:
    """What a call reverted with."""

    data: bytes
    names: dict[bytes, str] = field(compare=False)

    def __str__(self) -> str:
        return f"{self.names.get(self.data[:4], self.data[:4].hex())}: {self.data[4:].hex()}"


@dataclass(frozen=True)
class Exchange:
    provider: ProviderAPI
    operator: AccountAPI
    usdc: ContractInstance
    btc_synth: ContractInstance
    eth_synth: ContractInstance
    registry: ContractInstance
    vault: ContractInstance
    packer: ContractInstance
    engine: ContractInstance
    queue: ContractInstance
    control: ContractInstance
    clearinghouse: ContractInstance
    btc: int  # instruments
    eth: int
    btc_market: int
    eth_market: int

    @property
    def domain(self) -> Domain:
        return Domain(self.provider.chain_id, self.engine.address)

    @property
    def now(self) -> int:
        """Time of the latest block in Unix seconds."""
        return int(self.provider.get_block("latest").timestamp)

    def order(self, signer: LocalAccount, side: int = BUY, **changes: Any) -> Order:
        """An order in BTC-USDC, GTC, 100 lots at 0.6 USDC per lot, unless `changes` say otherwise."""
        terms: dict[str, Any] = {
            "market": self.btc_market,
            "instrument": self.btc,
            "price": 600_000,
            "quantity": 100,
            "nonce": nonce(0, 1),
        }
        return Order(signer=signer, side=side, **(terms | changes))

    def batch(
        self, fills: Iterable[tuple[Order, Order, int]], *, matched_at: int | None = None, **tables: Any
    ) -> Batch:
        """The next batch, matched now. `tables` are build_batch's idle orders, arrays and rounds."""
        number = self.engine.lastBatch()[0] + 1
        return build_batch(self.domain, number, self.now if matched_at is None else matched_at, fills, **tables)

    def settle(self, batch: Batch, form: str = PACKED) -> ReceiptAPI:
        data = batch.packed_calldata() if form == PACKED else batch.readable_calldata()
        return self.operator.transfer(self.engine, 0, data=data, gas=16_000_000)

    def settle_fills(self, *fills: tuple[Order, Order, int], form: str = PACKED) -> ReceiptAPI:
        return self.settle(self.batch(fills), form)

    def fill_ids(self, receipt: ReceiptAPI) -> list[bytes]:
        """Data of the Fill events, in order."""
        logs = [log for log in receipt.logs if bytes(log["topics"][0]) == FILL_TOPIC]
        assert all(log["address"] == self.engine.address for log in logs)
        return [bytes(log["data"]) for log in logs]

    def fill_id(self, maker: Order, taker: Order, maker_filled: int = 0, taker_filled: int = 0) -> bytes:
        return fill_id(maker.hash(self.domain), taker.hash(self.domain), maker_filled, taker_filled)

    def usdc_of(self, account: Any) -> int:
        return int(self.vault.sharesOf(account.address))

    def base_of(self, account: Any, instrument: int | None = None) -> int:
        return int(self.engine.balanceOf(account.address, self.btc if instrument is None else instrument))

    def state_of(self, order: Order) -> tuple[int, int]:
        """Stored sequence and filled lots of the order's nonce key."""
        return tuple(self.engine.orderState(order.account, order.instrument, order.nonce >> 32))

    def call(self, data: bytes, sender: Any = None, target: Any = None) -> Refusal | None:
        """Try a call without sending it; return what it reverts with, if it does."""
        transaction = {
            "from": (sender or self.operator).address,
            "to": (target or self.engine).address,
            "data": "0x" + data.hex(),
            "gas": hex(29_000_000),
        }
        answer = self.provider.web3.provider.make_request("eth_call", [transaction, "latest"])
        if "error" not in answer:
            return None
        return Refusal(bytes.fromhex(answer["error"].get("data", "0x")[2:]), self._error_names())

    def refusal(self, name: str, *arguments: Any, first: ContractInstance | None = None) -> Refusal:
        """The refusal with a custom error of `first`, of the Engine or of what it calls."""
        for contract in ((first,) if first else ()) + self._contracts():
            for error in contract.contract_type.errors:
                if error.name == name and len(error.inputs) == len(arguments):
                    types = [str(entry.canonical_type) for entry in error.inputs]
                    return Refusal(keccak(text=error.selector)[:4] + encode(types, arguments), self._error_names())
        raise LookupError(f"no contract has an error {name} with {len(arguments)} arguments")

    def _error_names(self) -> dict[bytes, str]:
        errors = [error for contract in self._contracts() for error in contract.contract_type.errors]
        return {keccak(text=error.selector)[:4]: error.name for error in errors}

    def _contracts(self) -> tuple[ContractInstance, ...]:
        return (
            self.engine,
            self.vault,
            self.registry,
            self.queue,
            self.control,
            self.clearinghouse,
            self.btc_synth,
        )

    def expect(self, data: bytes, name: str, *arguments: Any, sender: Any = None) -> None:
        """Expect that a call to the Engine reverts with exactly this error."""
        refusal = self.call(data, sender)
        assert refusal is not None, f"expected {name}{arguments}, but it was accepted"
        assert refusal == self.refusal(name, *arguments), f"expected {name}{arguments}, got {refusal}"

    def refuse(self, batch: Batch, name: str, *arguments: Any, forms: Iterable[str] = FORMS) -> None:
        """Expect that both forms of a batch revert with exactly this error."""
        for form in forms:
            self.expect(batch.packed_calldata() if form == PACKED else batch.readable_calldata(), name, *arguments)

    def refuse_packed(self, packed: bytes, name: str, *arguments: Any) -> None:
        self.expect(packed_calldata(packed), name, *arguments)

    def accept(self, batch: Batch) -> None:
        """Expect that both forms of a batch would settle."""
        for data in (batch.packed_calldata(), batch.readable_calldata()):
            refusal = self.call(data)
            assert refusal is None, f"expected no error, got {refusal}"
