// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  Arithmetic of perpetuals and futures
/// @notice Every division rounds against the account, so the pool is never short of the sum of the quotes.
/// @dev    Sizes and quantities are below 2^63, prices and indices below 2^64, quotes and funding indices fit 96 bits
///         with sign and basis points 16 bits: no product exceeds 2^161, so unchecked arithmetic is exact.
library MarginLib {
    uint256 internal constant BPS = 10_000;
    int256 private constant RATE_SCALE = 1e8;
    uint256 private constant FUNDING_BITS = 32;

    /// @notice Change of the market's funding index by an hour at `rate` (1e-8 per hour), truncated toward zero.
    function fundingStep(int256 rate, uint256 index) internal pure returns (int256) {
        unchecked {
            return (rate * int256(index) << FUNDING_BITS) / RATE_SCALE;
        }
    }

    /// @notice What a position has to pay (or, if negative, receives) when the funding index has moved by `move`:
    ///         ceilDiv(size * move, 2^32).
    function fundingUp(int256 size, int256 move) internal pure returns (int256) {
        unchecked {
            return -(-(size * move) >> FUNDING_BITS); // the shift of a signed number rounds down
        }
    }

    /// @notice How many of `quantity` lots close a position, given the side of the fill.
    function closing(int256 size, uint256 quantity, bool isSell) internal pure returns (uint256) {
        if (size == 0 || isSell == (size < 0)) return 0;
        uint256 open = abs(size);
        return quantity < open ? quantity : open;
    }

    /// @notice The part of a quote that belongs to `quantity` of |size| lots: floorDiv(quote * quantity, |size|).
    function shareDown(int256 quote, uint256 quantity, int256 size) internal pure returns (int256 share) {
        unchecked {
            int256 product = quote * int256(quantity);
            int256 lots = int256(abs(size));
            share = product / lots; // toward zero
            if (product < 0 && share * lots != product) --share;
        }
    }

    /// @notice Margin of `quantity` lots that are opened at `price`.
    function initialMarginDown(uint256 quantity, uint256 price, uint256 marginBps) internal pure returns (uint256) {
        return bpsDown(quantity * price, marginBps);
    }

    /// @notice ceil(|size| * index * marginBps / 1e4)
    function maintenanceUp(int256 size, uint256 index, uint256 marginBps) internal pure returns (uint256) {
        return bpsUp(abs(size) * index, marginBps);
    }

    /// @notice Value of a position at a price.
    function equity(int256 size, int256 quote, uint256 price) internal pure returns (int256) {
        unchecked {
            return size * int256(price) + quote;
        }
    }

    /// @notice Whether a price is not worse than the index by more than `bandBps`, from the view of the order's side.
    function isInBand(uint256 price, uint256 index, uint256 bandBps, bool isSell) internal pure returns (bool) {
        unchecked {
            return isSell ? price * BPS >= index * (BPS - bandBps) : price * BPS <= index * (BPS + bandBps);
        }
    }

    function bpsDown(uint256 amount, uint256 bps) internal pure returns (uint256) {
        unchecked {
            return amount * bps / BPS;
        }
    }

    function bpsUp(uint256 amount, uint256 bps) internal pure returns (uint256) {
        unchecked {
            return (amount * bps + BPS - 1) / BPS;
        }
    }

    function abs(int256 value) internal pure returns (uint256) {
        unchecked {
            return uint256(value < 0 ? -value : value);
        }
    }
}
