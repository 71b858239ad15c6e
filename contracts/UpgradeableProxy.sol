// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";

/// @title  The proxy in front of the upgradeable contracts
/// @notice OpenZeppelin's ERC-1967 proxy, named here so that it is compiled with the rest. Upgrades go through the
///         implementation (UUPS), so the proxy has no administrator.
contract UpgradeableProxy is ERC1967Proxy {
    /// @param implementation the first implementation
    /// @param data           its initializer call; empty data is refused, so no proxy stays uninitialised
    constructor(address implementation, bytes memory data) ERC1967Proxy(implementation, data) {}
}
