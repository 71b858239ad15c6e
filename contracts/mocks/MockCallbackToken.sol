// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {MockToken} from "./MockToken.sol";

/// @title  Test token that calls an address of the test's choice in the middle of its next transfer
/// @notice For tests only.
contract MockCallbackToken is MockToken {
    address private _target;
    bytes private _data;

    constructor() MockToken("Callback Token", "CALL", 6) {}

    /// @notice Call `target` with `data` during the next transfer, and revert as it does.
    function arm(address target, bytes calldata data) external {
        _target = target;
        _data = data;
    }

    function approveFor(address spender, uint256 amount) external {
        _approve(address(this), spender, amount);
    }

    function _update(address from, address to, uint256 value) internal override {
        address target = _target;
        if (from != address(0) && target != address(0)) {
            delete _target;
            (bool success, bytes memory answer) = target.call(_data);
            if (!success) {
                assembly ("memory-safe") {
                    revert(add(answer, 32), mload(answer))
                }
            }
        }
        super._update(from, to, value);
    }
}
