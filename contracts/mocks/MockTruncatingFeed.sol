// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IAggregatorV3} from "../interfaces/external/IAggregatorV3.sol";

/// @title  Test price feed that cuts round ids to 32 bits
/// @notice Its only round is 7. For tests only.
contract MockTruncatingFeed is IAggregatorV3 {
    uint8 public constant override decimals = 8;

    function getRoundData(uint80 roundId) external view override returns (uint80, int256, uint256, uint256, uint80) {
        if (uint32(roundId) == 7) return latestRoundData();
        return (roundId, 0, 0, 0, roundId);
    }

    function latestRoundData() public view override returns (uint80, int256, uint256, uint256, uint80) {
        return (7, 65_000e8, block.timestamp, block.timestamp, 7);
    }
}
