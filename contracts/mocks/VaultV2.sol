// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Vault} from "../Vault.sol";

/// @title  A second version of the Vault
/// @notice It appends a field to the first version's namespace and fills it once, at the upgrade. For tests only.
contract VaultV2 is Vault {
    /// @custom:storage-location erc7201:crosspoint.storage.Vault
    struct VaultStorageV2 {
        VaultStorage v1;
        uint256 depositCap;
    }

    constructor(address asset_) Vault(asset_) {}

    function initializeV2(uint256 depositCap_) external reinitializer(2) {
        _vaultStorageV2().depositCap = depositCap_;
    }

    function depositCap() external view returns (uint256) {
        return _vaultStorageV2().depositCap;
    }

    function version() external pure returns (uint256) {
        return 2;
    }

    function _vaultStorageV2() private pure returns (VaultStorageV2 storage $) {
        VaultStorage storage v1 = _vaultStorage();
        assembly ("memory-safe") {
            $.slot := v1.slot
        }
    }
}
