// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  Conditions without branches
/// @notice `a || b` and `a && b` branch; where both sides are cheap this costs more than to evaluate them.
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
}
