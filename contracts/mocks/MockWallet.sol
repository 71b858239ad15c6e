// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  MockWallet
/// @notice An account that is a contract: it calls what it is told to, and reverts if it is called with anything else.
contract MockWallet {
    error Failed(bytes answer);

    function call(address target, bytes calldata data) external returns (bytes memory) {
        (bool success, bytes memory answer) = target.call(data);
        if (!success) revert Failed(answer);
        return answer;
    }
}
