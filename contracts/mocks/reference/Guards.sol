// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  Guards for tests of memory
/// @notice Memory with a known content, reserved right before and behind what a test writes to.
library Guards {
    uint256 private constant COUNT = 4;

    function make() internal pure returns (uint256[] memory guard) {
        guard = new uint256[](COUNT);
        for (uint256 i; i < COUNT; ++i) {
            guard[i] = _pattern(i);
        }
    }

    function isIntact(uint256[] memory guard) internal pure returns (bool) {
        if (guard.length != COUNT) return false;
        for (uint256 i; i < COUNT; ++i) {
            if (guard[i] != _pattern(i)) return false;
        }
        return true;
    }

    function _pattern(uint256 i) private pure returns (uint256) {
        return uint256(keccak256(abi.encode("guard", i)));
    }
}
