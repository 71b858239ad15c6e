// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  Test token whose transfers answer false instead of reverting
/// @notice For tests only.
contract MockFalseToken {
    string public constant name = "False Token";
    string public constant symbol = "FALSE";
    uint8 public constant decimals = 6;

    function balanceOf(address) external pure returns (uint256) {
        return 0;
    }

    function transfer(address, uint256) external pure returns (bool) {
        return false;
    }

    function transferFrom(address, address, uint256) external pure returns (bool) {
        return false;
    }
}
