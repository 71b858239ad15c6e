// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {DerivativeWord} from "./DerivativeWord.sol";

/// @title  Arithmetic of options
/// @notice European, cash-settled, fully collateralised: a short locks the most that it can have to pay.
library OptionLib {
    /// @notice Lots that need collateral.
    function short(int256 size) internal pure returns (int256) {
        return size < 0 ? -size : int256(0);
    }

    /// @notice What a short pays at an index, per lot: the intrinsic value, at most the collateral.
    function payoff(DerivativeWord terms, uint256 index) internal pure returns (uint256) {
        uint256 strike = terms.strikePerLot();
        uint256 cap = terms.collateralPerLot();
        uint256 intrinsic;
        unchecked {
            if (terms.isPut()) {
                if (index < strike) intrinsic = strike - index;
            } else {
                if (index > strike) intrinsic = index - strike;
            }
        }
        return intrinsic < cap ? intrinsic : cap;
    }

    /// @notice What the holder of an expired position receives: `payment` per lot if long, the rest of its collateral
    ///         if short.
    function settlement(int256 size, uint256 payment, uint256 collateral) internal pure returns (uint256) {
        // Sizes are below 2^63 and payment <= collateral < 2^56.
        unchecked {
            return size < 0 ? uint256(-size) * (collateral - payment) : uint256(size) * payment;
        }
    }
}
