// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Clearinghouse} from "../Clearinghouse.sol";

/// @title  A second version of the Clearinghouse
/// @notice It appends a field to the first version's namespace. For tests only.
contract ClearinghouseV2 is Clearinghouse {
    /// @custom:storage-location erc7201:crosspoint.storage.Clearinghouse
    struct ClearinghouseStorageV2 {
        ClearinghouseStorage v1;
        uint256 mark;
    }

    constructor(address engine_, address vault_, address registry_) Clearinghouse(engine_, vault_, registry_) {}

    function setMark(uint256 mark_) external {
        _clearinghouseStorageV2().mark = mark_;
    }

    function mark() external view returns (uint256) {
        return _clearinghouseStorageV2().mark;
    }

    function _clearinghouseStorageV2() private pure returns (ClearinghouseStorageV2 storage $) {
        ClearinghouseStorage storage v1 = _clearinghouseStorage();
        assembly ("memory-safe") {
            $.slot := v1.slot
        }
    }
}
