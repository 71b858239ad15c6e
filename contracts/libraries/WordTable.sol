// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @notice Where an entry is in every table of the same index: how many bytes it lies behind the table's pointer.
type Place is uint256;

using WordTable for Place global;

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

    /// @notice The place of an entry.
    function placeOf(uint256 index) internal pure returns (Place place) {
        assembly ("memory-safe") {
            place := add(0x20, shl(5, index))
        }
    }

    function isSame(Place place, Place other) internal pure returns (bool) {
        return Place.unwrap(place) == Place.unwrap(other);
    }

    /// @notice Add to the int256 entry at a place. Unchecked: the caller bounds the sum.
    function addAt(uint256[] memory table, Place place, int256 amount) internal pure {
        assembly ("memory-safe") {
            let entry := add(table, place)
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
