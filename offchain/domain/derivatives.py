"""The terms of derivative markets, as the registry packs them and the contracts read them."""

from __future__ import annotations

from dataclasses import dataclass

from offchain.domain.options import collateral_per_lot


@dataclass(frozen=True, slots=True)
class DerivativeRules:
    """The registry's second word, of derivative markets. Margins, band, fee and penalty are basis points."""

    initial_margin_bps: int = 0
    maintenance_margin_bps: int = 0
    band_bps: int = 0
    liquidation_fee_bps: int = 0
    exit_penalty_bps: int = 0
    funding_cap: int = 0
    """highest hourly rate, 1e-8"""
    expiry: int = 0
    """0 of perpetuals"""
    strike_per_lot: int = 0
    cap_per_lot: int = 0
    is_put: bool = False
    funding_period: int = 0
    """of perpetuals: seconds in which a premium of 1 % costs 1 %. The contracts do not need it: it is not in the word,
    only in the log of the market's creation"""

    @classmethod
    def from_word(cls, word: int) -> DerivativeRules:
        """Unpack `DerivativeWord` (see the drawing in contracts/libraries/DerivativeWord.sol)."""
        return cls(
            initial_margin_bps=bits(word, 240, 16),
            maintenance_margin_bps=bits(word, 224, 16),
            band_bps=bits(word, 208, 16),
            liquidation_fee_bps=bits(word, 192, 16),
            exit_penalty_bps=bits(word, 176, 16),
            funding_cap=bits(word, 160, 16),
            expiry=bits(word, 120, 40),
            strike_per_lot=bits(word, 64, 56),
            cap_per_lot=bits(word, 8, 56),
            is_put=bool(bits(word, 0, 8)),
        )

    @property
    def collateral(self) -> int:
        """C of an option, micro-USDC per lot."""
        return collateral_per_lot(self.strike_per_lot, self.cap_per_lot, self.is_put)


def bits(word: int, shift: int, width: int) -> int:
    """A field of a packed word."""
    return word >> shift & ((1 << width) - 1)
