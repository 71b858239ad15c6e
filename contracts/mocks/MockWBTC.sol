// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {MockToken} from "./MockToken.sol";

/// @title  Test WBTC
/// @notice 8 decimals, open mint. For test networks only.
contract MockWBTC is MockToken {
    constructor() MockToken("Wrapped BTC", "WBTC", 8) {}
}
