// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Engine} from "../Engine.sol";

/// @title  A second version of the Engine
/// @notice It appends a field to the first version's namespace. For tests only.
contract EngineV2 is Engine {
    /// @custom:storage-location erc7201:crosspoint.storage.Engine
    struct EngineStorageV2 {
        EngineStorage v1;
        uint256 mark;
    }

    constructor(address vault_, address registry_, address packer_) Engine(vault_, registry_, packer_) {}

    function setMark(uint256 mark_) external {
        _engineStorageV2().mark = mark_;
    }

    function mark() external view returns (uint256) {
        return _engineStorageV2().mark;
    }

    function _engineStorageV2() private pure returns (EngineStorageV2 storage $) {
        EngineStorage storage v1 = _engineStorage();
        assembly ("memory-safe") {
            $.slot := v1.slot
        }
    }
}
