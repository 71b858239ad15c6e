// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IAggregatorV3} from "../interfaces/external/IAggregatorV3.sol";

/// @title  Test price feed: a Chainlink proxy whose rounds and phases everybody can set
/// @notice For test networks only. The first phase is 1, the first round of a phase too.
contract MockAggregator is IAggregatorV3 {
    struct Round {
        int256 answer;
        uint256 startedAt;
        uint256 updatedAt;
        uint80 answeredInRound;
    }

    uint8 public immutable override decimals;

    uint80 public latestRound = 1 << 64;

    /// @notice Whether a round without data reverts, as in early aggregators, instead of answering zeros.
    bool public isStrict;

    mapping(uint80 id => Round) private _rounds;

    error NoDataPresent();

    constructor(uint8 decimals_, int256 answer) {
        decimals = decimals_;
        push(answer);
    }

    /// @notice Answer now.
    function push(int256 answer) public {
        setRound(latestRound + 1, answer, block.timestamp, block.timestamp, latestRound + 1);
    }

    /// @notice Let the next round be the first of the next phase.
    function startPhase() external {
        latestRound = ((latestRound >> 64) + 1) << 64;
    }

    /// @notice Set everything of a round; it becomes the latest if its id is the highest.
    function setRound(uint80 id, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound) public {
        _rounds[id] = Round(answer, startedAt, updatedAt, answeredInRound);
        if (id > latestRound) latestRound = id;
    }

    function removeRound(uint80 id) external {
        delete _rounds[id];
    }

    function setStrict(bool strict) external {
        isStrict = strict;
    }

    function getRoundData(uint80 roundId) public view override returns (uint80, int256, uint256, uint256, uint80) {
        Round memory round = _rounds[roundId];
        if (isStrict && round.updatedAt == 0) revert NoDataPresent();
        return (roundId, round.answer, round.startedAt, round.updatedAt, round.answeredInRound);
    }

    function latestRoundData() external view override returns (uint80, int256, uint256, uint256, uint80) {
        return getRoundData(latestRound);
    }
}
