// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {MockToken} from "./MockToken.sol";

/// @title  Test token that burns 1 % of every transfer
/// @notice The fee is taken from what arrives or, after `setFeeOnTop`, from what the sender keeps. For tests only.
contract MockFeeToken is MockToken {
    bool public isFeeOnTop;

    constructor() MockToken("Fee Token", "FEE", 6) {}

    function setFeeOnTop(bool feeOnTop) external {
        isFeeOnTop = feeOnTop;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (from == address(0) || to == address(0)) return super._update(from, to, value);
        uint256 fee = value / 100;
        super._update(from, address(0), fee);
        super._update(from, to, isFeeOnTop ? value : value - fee);
    }
}
