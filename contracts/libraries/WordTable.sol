// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  Tables of words without bounds checks
/// @notice The compiler's check costs more than the access, and settlement makes a hundred accesses per fill. Callers
///         index with a loop counter below the table's length, or with an index that was compared with the length when
///         it was read from the batch (IndexOutOfRange) or that was made here (slots).
library WordTable {
    function get(uint256[] memory table, uint256 index) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(add(table, 0x20), shl(5, index)))
        }
    }

    function put(uint256[] memory table, uint256 index, uint256 word) internal pure {
        assembly ("memory-safe") {
            mstore(add(add(table, 0x20), shl(5, index)), word)
        }
    }

    /// @notice Add to an int256 entry. Unchecked: the caller bounds the sum.
    function add(uint256[] memory table, uint256 index, int256 amount) internal pure {
        assembly ("memory-safe") {
            let entry := add(add(table, 0x20), shl(5, index))
            mstore(entry, add(mload(entry), amount))
        }
    }

    /// @notice Take `amount` from one int256 entry and add it to another, unchecked as well.
    function move(uint256[] memory table, uint256 from, uint256 to, uint256 amount) internal pure {
        assembly ("memory-safe") {
            let entries := add(table, 0x20)
            let entry := add(entries, shl(5, from))
            mstore(entry, sub(mload(entry), amount))
            entry := add(entries, shl(5, to))
            mstore(entry, add(mload(entry), amount))
        }
    }

    /// @notice Add `amount` to two entries, unchecked as well.
    function addToBoth(uint256[] memory table, uint256 first, uint256 second, uint256 amount) internal pure {
        assembly ("memory-safe") {
            let entries := add(table, 0x20)
            let entry := add(entries, shl(5, first))
            mstore(entry, add(mload(entry), amount))
            entry := add(entries, shl(5, second))
            mstore(entry, add(mload(entry), amount))
        }
    }

    /// @notice Pointer to the first entry.
    function start(uint256[] memory table) internal pure returns (uint256 pointer) {
        assembly ("memory-safe") {
            pointer := add(table, 0x20)
        }
    }

    /// @notice Make a table shorter, or as long again as its memory is.
    function setLength(uint256[] memory table, uint256 length) internal pure {
        assembly ("memory-safe") {
            mstore(table, length)
        }
    }
}
