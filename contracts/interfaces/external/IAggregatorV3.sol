// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  A Chainlink data feed, as its proxies and aggregators answer
/// @notice A round id is phase << 64 | round of that phase's aggregator. A proxy reverts for a phase that it does not
///         know; for a round without data, early aggregators revert and later ones answer zeros.
interface IAggregatorV3 {
    function decimals() external view returns (uint8);

    function getRoundData(uint80 roundId)
        external
        view
        returns (uint80 id, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound);

    function latestRoundData()
        external
        view
        returns (uint80 id, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound);
}
