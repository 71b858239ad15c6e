// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  Conditions without branches
/// @notice `a || b` and `a && b` branch, and so does `a % b`, which refuses zero; where both sides are cheap this costs
///         more than to evaluate them.
library Bools {
    function either(bool a, bool b) internal pure returns (bool result) {
        assembly ("memory-safe") {
            result := or(a, b)
        }
    }

    function both(bool a, bool b) internal pure returns (bool result) {
        assembly ("memory-safe") {
            result := and(a, b)
        }
    }

    /// @notice Whether `value` is a multiple of `unit`. Everything is one of zero here.
    function isMultiple(uint256 value, uint256 unit) internal pure returns (bool result) {
        assembly ("memory-safe") {
            result := iszero(mod(value, unit))
        }
    }

    /// @return result 1 if it is so, else 0
    function toUint(bool a) internal pure returns (uint256 result) {
        assembly ("memory-safe") {
            result := a
        }
    }
}
