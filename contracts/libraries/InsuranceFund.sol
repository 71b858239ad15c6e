// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @dev The Vault account of the insurance fund, which the Clearinghouse moves. Nobody has a key to it.
address constant INSURANCE_FUND = address(uint160(uint256(keccak256("crosspoint.insurance-fund"))));
