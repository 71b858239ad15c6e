// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IAggregatorV3} from "../interfaces/external/IAggregatorV3.sol";

/// @title  Test price feed without phases: one aggregator alone, whose rounds count from 1
/// @notice For tests only.
contract MockPlainFeed is IAggregatorV3 {
    uint8 public constant override decimals = 8;

    uint256[] private _times;

    constructor(uint256[] memory times) {
        _times = times;
    }

    function latestRoundData() external view override returns (uint80, int256, uint256, uint256, uint80) {
        return getRoundData(uint80(_times.length));
    }

    function getRoundData(uint80 id) public view override returns (uint80, int256, uint256, uint256, uint80) {
        if (id == 0 || id > _times.length) return (id, 0, 0, 0, id);
        uint256 time = _times[id - 1];
        return (id, 65_000e8, time, time, id);
    }
}
