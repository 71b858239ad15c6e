// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IAggregatorV3} from "../interfaces/external/IAggregatorV3.sol";

/// @title  Test price feed that cuts round ids to 32 bits
/// @notice Its rounds are 7, which came at its creation, and 8, which came an hour later. For tests only.
contract MockTruncatingFeed is IAggregatorV3 {
    uint8 public constant override decimals = 8;

    uint256 private immutable _createdAt = block.timestamp;

    function getRoundData(uint80 roundId) public view override returns (uint80, int256, uint256, uint256, uint80) {
        uint80 id = uint32(roundId);
        if (id != 7 && id != 8) return (roundId, 0, 0, 0, roundId);
        uint256 time = id == 7 ? _createdAt : _createdAt + 1 hours;
        return (id, 65_000e8, time, time, id);
    }

    function latestRoundData() external view override returns (uint80, int256, uint256, uint256, uint80) {
        return getRoundData(8);
    }
}
