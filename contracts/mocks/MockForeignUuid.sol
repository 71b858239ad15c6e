// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  An implementation that belongs in another storage slot
/// @notice It answers `proxiableUUID`, but not with ERC-1967's slot. For tests only.
contract MockForeignUuid {
    bytes32 public immutable proxiableUUID;

    constructor(bytes32 uuid) {
        proxiableUUID = uuid;
    }
}
