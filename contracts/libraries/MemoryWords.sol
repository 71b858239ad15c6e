// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  Words of memory at a pointer
/// @notice For records that lie one behind another in memory that was reserved for them: a batch's rows, what is known
///         of its orders, the hashes of a group. Callers reach no further than what they reserved.
library MemoryWords {
    /// @notice The 32 bytes from `pointer` on.
    function load(uint256 pointer) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(pointer)
        }
    }

    function store(uint256 pointer, uint256 word) internal pure {
        assembly ("memory-safe") {
            mstore(pointer, word)
        }
    }

    /// @notice Reserve memory for `count` words, which are not set to zero.
    function allocate(uint256 count) internal pure returns (uint256 pointer) {
        assembly ("memory-safe") {
            pointer := mload(0x40)
            mstore(0x40, add(pointer, shl(5, count)))
        }
    }

    /// @return result keccak256 of `count` words, one behind another
    function hash(uint256 pointer, uint256 count) internal pure returns (bytes32 result) {
        assembly ("memory-safe") {
            result := keccak256(pointer, shl(5, count))
        }
    }

    /// @notice Pointer to the first byte.
    function start(bytes memory data) internal pure returns (uint256 pointer) {
        assembly ("memory-safe") {
            pointer := add(data, 0x20)
        }
    }
}
