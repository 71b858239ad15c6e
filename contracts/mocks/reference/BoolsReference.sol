// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Bools} from "../../libraries/Bools.sol";

/// @title  Bools beside plain Solidity
/// @notice For tests only. Every function answers what the library gives and what it should.
contract BoolsReference {
    function either(bool a, bool b) external pure returns (bool actual, bool expected) {
        return (Bools.either(a, b), a || b);
    }

    function both(bool a, bool b) external pure returns (bool actual, bool expected) {
        return (Bools.both(a, b), a && b);
    }

    function toUint(bool a) external pure returns (uint256 actual, uint256 expected) {
        return (Bools.toUint(a), a ? 1 : 0);
    }

    function isMultiple(uint256 value, uint256 unit) external pure returns (bool actual, bool expected) {
        return (Bools.isMultiple(value, unit), unit == 0 || value % unit == 0);
    }
}
