// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  Test contract that calls another and takes no ether back
/// @notice For tests only.
contract MockForwarder {
    function forward(address target, bytes calldata data) external payable {
        (bool success, bytes memory answer) = target.call{value: msg.value}(data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
    }
}
