"""Assets and markets, and the exact conversions between their units.

The registry's tick rule (`tick_size * lot_size % 10**decimals == 0`) makes every price on a tick an integer number of
micro-USDC per lot, so nothing here rounds.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from offchain.domain.derivatives import DerivativeRules

USDC = 0
"""Asset id of USDC, in micro-USDC. Every other asset id is the registry's."""

USDC_DECIMALS = 6

CROSS_PRICE_DECIMALS = 12
"""Of prices in another asset than USDC."""


class Kind(IntEnum):
    SPOT = 0
    PERP = 1
    FUTURE = 2
    OPTION = 3


class MarketStatus(IntEnum):
    """As in `IMarketRegistry.Status`."""

    NONE = 0
    ACTIVE = 1
    PAUSED = 2
    CLOSED = 3


class Asset(msgspec.Struct, frozen=True, array_like=True):
    """An asset that the Engine holds; amounts are quanta of 10^-decimals."""

    id: int
    symbol: str
    synth: bytes
    underlying: bytes
    decimals: int


class Market(msgspec.Struct, frozen=True, array_like=True):
    """A market's immutable metadata."""

    id: int
    symbol: str
    kind: int
    instrument: int
    """Id under which balances and order states are kept; a spot market's is its base asset."""
    base: int
    quote: int
    decimals: int
    """Quantity decimals: those of the base asset."""
    tick_size: int
    """micro-USDC per whole base unit"""
    lot_size: int
    """quanta per lot"""
    max_price: int
    """micro-USDC per whole base unit"""
    max_quantity: int
    """lots per order"""
    oracle: bytes = b""
    """Address of the price oracle: the quote asset's where that is not USDC, the base asset's of a derivative."""
    derivative: DerivativeRules | None = None
    """None of spot markets"""

    @property
    def terms(self) -> DerivativeRules:
        """Of a derivative."""
        assert self.derivative is not None, f"market {self.symbol} is no derivative"
        return self.derivative

    @property
    def is_cross_quoted(self) -> bool:
        """Whether prices are in another asset than USDC: 10^-12 whole quote units per whole base unit."""
        return self.quote != USDC and self.kind == Kind.SPOT

    @property
    def is_plain(self) -> bool:
        """Spot, quoted in USDC."""
        return self.quote == USDC and self.derivative is None

    @property
    def price_decimals(self) -> int:
        return CROSS_PRICE_DECIMALS if self.is_cross_quoted else USDC_DECIMALS

    @property
    def scale(self) -> int:
        """Quanta of one whole base unit."""
        scale: int = 10**self.decimals
        return scale

    @property
    def tick_per_lot(self) -> int:
        """One tick in micro-USDC per lot."""
        return self.tick_size * self.lot_size // self.scale

    @property
    def max_price_per_lot(self) -> int:
        """The highest price in micro-USDC per lot."""
        return self.max_price * self.lot_size // self.scale

    def price_per_lot(self, price: int) -> int:
        """Convert micro-USDC per whole base unit, on a tick, to micro-USDC per lot; exact by the tick rule."""
        return price * self.lot_size // self.scale

    def price_per_unit(self, price: int) -> int:
        """Convert micro-USDC per lot back to micro-USDC per whole base unit; exact for prices on a tick."""
        return price * self.scale // self.lot_size
