"""Assets, markets and the signing domain, as everything beside the core knows them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from offchain.chain import eip712
from offchain.domain.core import Core
from offchain.domain.events import AssetListed, Configured, DelegateUpdate, Event, FeeUpdate, MarketUpdate
from offchain.domain.fees import FeeSchedule
from offchain.domain.market import Asset, Kind, Market
from offchain.domain.order import Address


class Listing(msgspec.Struct, frozen=True):
    """A market and whether it trades."""

    market: Market
    status: int
    halted: bool
    reason: str
    quantity_limit: int | None = None
    """lots per order that the operator allows; None: what the registry does"""
    opening_margin_bps: int | None = None
    """what the operator asks of a position that grows; None: what the registry does"""


def listing_of(core: Core, market: Market) -> Listing:
    """A market as the core has it. Raises KeyError for an unknown one."""
    view = core.market_state(market.id)
    return Listing(market, view.status, view.halted, view.reason, view.quantity_limit, view.opening_margin_bps)


class Catalogue:
    """Follows events."""

    __slots__ = ("_assets", "_by_id", "_by_symbol", "_delegates", "_domain", "_fee_bps", "_fees")

    def __init__(self) -> None:
        self._assets: dict[int, Asset] = {}
        self._by_id: dict[int, Listing] = {}
        self._by_symbol: dict[str, Listing] = {}
        self._domain: eip712.Domain | None = None
        self._fee_bps = 0
        self._fees = FeeSchedule()
        self._delegates: set[tuple[Address, Address]] = set()

    def configure(self, chain_id: int, engine: Address, fee_bps: int) -> None:
        self._domain = eip712.Domain(chain_id, engine)
        self.set_fee(fee_bps, FeeSchedule(fee_bps, fee_bps))

    def set_fee(self, fee_bps: int, schedule: FeeSchedule) -> None:
        self._fee_bps, self._fees = fee_bps, schedule

    def set_delegate(self, update: DelegateUpdate) -> None:
        if update.valid_until:
            self._delegates.add((update.account, update.delegate))
        else:
            self._delegates.discard((update.account, update.delegate))

    def set_delegates(self, delegates: Iterable[DelegateUpdate]) -> None:
        """These sign, and nobody else."""
        self._delegates = {(one.account, one.delegate) for one in delegates}

    def list_asset(self, asset: Asset) -> None:
        self._assets[asset.id] = asset

    def list_market(self, listing: Listing) -> None:
        self._by_id[listing.market.id] = listing
        self._by_symbol[listing.market.symbol] = listing

    def apply(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case AssetListed():
                    self.list_asset(event.asset)
                case MarketUpdate():
                    limits = (event.halted, event.reason, event.quantity_limit, event.opening_margin_bps)
                    self.list_market(Listing(event.market, event.status, *limits))
                case Configured():
                    self.configure(event.chain_id, event.engine, event.fee_bps)
                case FeeUpdate():
                    self.set_fee(event.fee_bps, event.schedule)
                case DelegateUpdate():
                    self.set_delegate(event)

    @property
    def domain(self) -> eip712.Domain | None:
        """None until the exchange is configured."""
        return self._domain

    @property
    def fee_bps(self) -> int:
        """Of what is matched now."""
        return self._fee_bps

    @property
    def fees(self) -> FeeSchedule:
        return self._fees

    def is_delegate(self, account: Address, signer: Address) -> bool:
        """Whether `signer` may sign for the account; until when, the core knows."""
        return (account, signer) in self._delegates

    @property
    def oracles(self) -> list[Address]:
        """Those by which markets go, in order of their addresses."""
        return sorted({listing.market.oracle for listing in self._by_id.values() if listing.market.oracle})

    @property
    def derivatives(self) -> set[int]:
        """Markets that are no spot markets."""
        return {market for market, listing in self._by_id.items() if listing.market.kind != Kind.SPOT}

    def options_on(self, underlying: str) -> list[Listing]:
        """Options whose symbols begin with a name, such as BTC, in order of their ids."""
        return [
            listing
            for listing in self.markets
            if listing.market.kind == Kind.OPTION and listing.market.symbol.partition("-")[0] == underlying
        ]

    @property
    def markets(self) -> list[Listing]:
        """In order of their ids."""
        return [self._by_id[market] for market in sorted(self._by_id)]

    @property
    def assets(self) -> list[Asset]:
        """In order of their ids; USDC, which every exchange has, is not among them."""
        return [self._assets[asset] for asset in sorted(self._assets)]

    def asset(self, asset: int) -> Asset | None:
        return self._assets.get(asset)

    def market(self, market: int) -> Market:
        """Raises KeyError for an unknown id."""
        return self._by_id[market].market

    def find(self, symbol: str) -> Market | None:
        listing = self._by_symbol.get(symbol)
        return None if listing is None else listing.market
