// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {MockToken} from "./MockToken.sol";

/// @title  Test WETH
/// @notice 18 decimals, open mint. For test networks only.
contract MockWETH is MockToken {
    constructor() MockToken("Wrapped Ether", "WETH", 18) {}
}
