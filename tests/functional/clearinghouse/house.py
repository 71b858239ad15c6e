"""The Clearinghouse behind a mock engine, with the real Vault: make markets, trade, look at the result.

A lot is 0.001 of an asset with 8 decimals, so an index of 1 micro-USDC per lot is a price of 10^15 (USD, 18 decimals).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ape.api import AccountAPI, ReceiptAPI
from ape.contracts import ContractInstance
from ape.managers import ChainManager
from ape.managers.project import ProjectManager
from eth_utils import keccak

SPOT, PERP, FUTURE, OPTION = range(4)
OPEN, EXPIRED = range(2)
BY_FUND, BY_LIQUIDATION, BY_EXIT = range(3)  # causes of forced fills

HOUR = 3_600
STORAGE = 0xC03F04ED5266639A927C17E01FDD32D07F7CCA80DBB024A0D1D284FAE4E9E100  # the Clearinghouse's first slot
WINDOW = HOUR
PRICE_OF_INDEX = 10**15
FUND = "0x" + keccak(text="crosspoint.insurance-fund")[12:].hex()
NOTHING_SIGNED = 2**32 - 1

INDEX = 100_000_000  # micro-USDC per lot: 100 USDC
MARGINS = {
    "initialMarginBps": 1_000,
    "maintenanceMarginBps": 500,
    "bandBps": 200,
    "liquidationFeeBps": 100,
    "exitPenaltyBps": 150,
}


@dataclass(frozen=True)
class Fill:
    buyer: AccountAPI | str
    seller: AccountAPI | str
    quantity: int
    price: int
    market: int | None = None  # the house's first market
    reduce_only: tuple[bool, bool] = (False, False)  # buyer, seller
    forced: tuple[bool, bool] = (False, False)


@dataclass(frozen=True)
class Result:
    """What the Clearinghouse answered to a batch, by account where it is by position."""

    deltas: dict[str, int]
    fees: dict[str, int]
    own_delta: int
    penalties: int
    receipt: ReceiptAPI


def address_of(party: AccountAPI | ContractInstance | str) -> str:
    return str(party if isinstance(party, str) else party.address)


def position_word(account: str, market: int, index: int) -> int:
    return int(account, 16) << 96 | market << 64 | NOTHING_SIGNED << 32 | index


def fill_word(fill: Fill, buyer: int, seller: int, market: int, index: int) -> int:
    flags = sum(bit << n for n, bit in enumerate((*fill.reduce_only, *fill.forced)))
    return (
        buyer << 240
        | seller << 224
        | market << 208
        | flags << 200
        | index << 184
        | fill.price << 128
        | fill.quantity << 88
    )


@dataclass
class House:
    chain: ChainManager
    project: ProjectManager
    owner: AccountAPI
    operator: AccountAPI
    usdc: ContractInstance
    registry: ContractInstance
    engine: ContractInstance
    vault: ContractInstance
    clearing: ContractInstance
    oracles: dict[int, ContractInstance] = field(default_factory=dict)
    market: int = 0
    """the market of everything that names none"""

    # Markets ---------------------------------------------------------------------------------------------------------

    def create_market(self, kind: int, index: int = INDEX, **terms: Any) -> int:
        """A market with an oracle of its own that answers `index`; the first becomes the house's market."""
        oracle = self.owner.deploy(self.project.MockOracle)
        oracle.push(index * PRICE_OF_INDEX, sender=self.owner)
        margins = MARGINS if kind in (PERP, FUTURE) else {}
        values = {"kind": kind, "statusAt": self.now(), "lotMantissa": 1, "lotExponent": 5, "baseDecimals": 8}
        values |= {"fundingCap": 50_000 if kind == PERP else 0, "expiry": 0, "strikePerLot": 0, "capPerLot": 0}
        values |= {"isPut": False, **dict.fromkeys(MARGINS, 0), **margins, **terms}
        names = [item["name"] for item in _components(self.registry)]
        self.registry.create(tuple(values[name] for name in names), oracle, sender=self.owner)
        market = self.registry.lastId()
        self.oracles[market] = oracle
        self.market = self.market or market
        return market

    def set_index(self, index: int, market: int | None = None, at: int | None = None) -> int:
        """Push a round, now or at another time; its id."""
        oracle = self.oracles[market or self.market]
        if at is None:
            oracle.push(index * PRICE_OF_INDEX, sender=self.owner)
        else:
            oracle.pushAt(index * PRICE_OF_INDEX, at, sender=self.owner)
        return oracle.lastRound()

    # Time ------------------------------------------------------------------------------------------------------------

    def now(self) -> int:
        return self.chain.blocks.head.timestamp

    def move_to(self, time: int) -> None:
        """Mine a block at a time."""
        self.chain.mine(timestamp=time)

    def wait(self, seconds: int) -> None:
        self.move_to(self.now() + seconds)

    # Money -----------------------------------------------------------------------------------------------------------

    def deposit(self, account: AccountAPI | str, amount: int) -> None:
        self.vault.deposit(amount, address_of(account), sender=self.owner)

    def balance(self, account: AccountAPI | ContractInstance | str) -> int:
        return self.vault.sharesOf(address_of(account))

    def drain_fund(self) -> None:
        """Move all that the fund's account holds to the owner's."""
        held = self.balance(FUND)
        entries = [int(account, 16) << 96 | NOTHING_SIGNED << 64 for account in (FUND, self.owner.address)]
        self.vault.settle(entries, [-held, held], sender=self.as_engine())

    # Settlement ------------------------------------------------------------------------------------------------------

    def settle(
        self,
        fills: Iterable[Fill],
        fee_bps: int = 0,
        rounds: Mapping[int, int] | None = None,
        matched_at: int | None = None,
        markets: Iterable[int] | None = None,
    ) -> Result:
        """Settle a batch: markets ascending, positions as they appear. `rounds` by market id."""
        fills = list(fills)
        used = {fill.market or self.market for fill in fills}
        ids = sorted(used if markets is None else markets)
        positions: list[tuple[str, int]] = []
        words = []
        for n, fill in enumerate(fills):
            market = fill.market or self.market
            keys = [(address_of(party), market) for party in (fill.buyer, fill.seller)]
            positions += [key for key in keys if key not in positions]
            words.append(fill_word(fill, *map(positions.index, keys), ids.index(market), n))
        receipt = self.engine.settle(
            self.now() if matched_at is None else matched_at,
            fee_bps,
            ids,
            [(rounds or {}).get(market, 0) for market in ids],
            [position_word(account, market, n) for n, (account, market) in enumerate(positions)],
            words,
            sender=self.owner,
        )
        (event,) = self.engine.Settled.from_receipt(receipt)
        deltas: dict[str, int] = {}
        fees: dict[str, int] = {}
        for (account, _), delta, fee in zip(positions, event.deltas, event.fees, strict=True):
            deltas[account] = deltas.get(account, 0) + delta
            fees[account] = fees.get(account, 0) + fee
        return Result(deltas, fees, event.ownDelta, event.penalties, receipt)

    def trade(
        self, buyer: AccountAPI | str, seller: AccountAPI | str, quantity: int, price: int = INDEX, **options: Any
    ) -> Result:
        """Settle one fill. Options are those of Fill and of `settle`."""
        of_batch = {name: options.pop(name) for name in ("fee_bps", "rounds", "matched_at") if name in options}
        return self.settle([Fill(buyer, seller, quantity, price, **options)], **of_batch)

    def as_engine(self) -> AccountAPI:
        """An account that calls from the engine's address."""
        self.chain.provider.set_balance(self.engine.address, 10**20)
        self.chain.provider.unlock_account(self.engine.address)
        return self.chain.account_manager.test_accounts.impersonate_account(self.engine.address)

    # State -----------------------------------------------------------------------------------------------------------

    def position(self, account: AccountAPI | str, market: int | None = None) -> tuple[int, int]:
        """(size, quote) as stored."""
        size, quote, _ = self.clearing.positionOf(address_of(account), market or self.market)
        return size, quote

    def pool(self, market: int | None = None) -> int:
        return self.clearing.poolOf(market or self.market)

    def round(self, market: int | None = None) -> dict[int, int]:
        """The oracle's last round, as `settle` takes it."""
        market = market or self.market
        return {market: self.oracles[market].lastRound()}

    # Storage, to reach states that would take years -------------------------------------------------------------------

    def slot_of_position(self, account: AccountAPI | str, market: int) -> int:
        return _mapping_slot(int(address_of(account), 16) << 32 | market, STORAGE + 1)

    def slot_of_market(self, market: int) -> int:
        return _mapping_slot(market, STORAGE + 2)

    def store(self, slot: int, word: int) -> None:
        parameters = [self.clearing.address, f"0x{slot:064x}", f"0x{word:064x}"]
        self.chain.provider.make_request("anvil_setStorageAt", parameters)


def _mapping_slot(key: int, slot: int) -> int:
    return int.from_bytes(keccak(key.to_bytes(32, "big") + slot.to_bytes(32, "big")), "big")


def _components(registry: ContractInstance) -> list[dict[str, Any]]:
    (create,) = (m for m in registry.contract_type.mutable_methods if m.name == "create")
    return [{"name": item.name} for item in create.inputs[0].components]
