// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {MarketWord} from "./MarketWord.sol";

/// @title  A market's index from its oracle's price
library IndexLib {
    /// @dev From USD with 18 decimals per whole unit to micro-USDC.
    uint256 private constant PRICE_EXPONENT = 12;

    /// @notice floor(price * lotSize / 10^(baseDecimals + 12)), micro-USDC per lot.
    /// @param  price USD with 18 decimals per whole unit of the base asset
    /// @return index 0 if it is not in [1, 2^64 - 1]
    function toIndex(uint256 price, MarketWord word) internal pure returns (uint256 index) {
        if (price > type(uint128).max) return 0;
        // The lot size is below 2^127 (registry), the decimals at most 24.
        unchecked {
            index = price * word.lotSize() / 10 ** (uint256(word.baseDecimals()) + PRICE_EXPONENT);
        }
        if (index > type(uint64).max) return 0;
    }
}
