// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {MockToken} from "./MockToken.sol";

/// @title  Test USDC
/// @notice 6 decimals, permits, open mint, and a blacklist that everybody can switch, as the real token's issuer can.
///         For test networks only.
contract MockUSDC is MockToken {
    mapping(address account => bool) public isBlacklisted;

    error Blacklisted(address account);

    constructor() MockToken("USD Coin", "USDC", 6) {}

    function setBlacklisted(address account, bool blacklisted) external {
        isBlacklisted[account] = blacklisted;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (isBlacklisted[from]) revert Blacklisted(from);
        if (isBlacklisted[to]) revert Blacklisted(to);
        super._update(from, to, value);
    }
}
