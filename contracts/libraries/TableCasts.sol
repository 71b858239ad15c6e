// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {MarketWord} from "./MarketWord.sol";

/// @title  Tables of words as arrays of other types, and back
/// @notice Solidity keeps an array's elements in a word each whatever their type, so the array is the same and not a
///         copy. Callers masked every entry to the type when they wrote it.
library TableCasts {
    function toUint32s(uint256[] memory table) internal pure returns (uint32[] memory array) {
        assembly ("memory-safe") {
            array := table
        }
    }

    function toUint80s(uint256[] memory table) internal pure returns (uint80[] memory array) {
        assembly ("memory-safe") {
            array := table
        }
    }

    function toInt256s(uint256[] memory table) internal pure returns (int256[] memory array) {
        assembly ("memory-safe") {
            array := table
        }
    }

    function ofMarketWords(MarketWord[] memory array) internal pure returns (uint256[] memory table) {
        assembly ("memory-safe") {
            table := array
        }
    }
}
