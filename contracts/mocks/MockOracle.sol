// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IPriceOracle} from "../interfaces/IPriceOracle.sol";

/// @title  Test oracle whose rounds everybody can push
/// @notice Rounds count from 1. For test networks only.
contract MockOracle is IPriceOracle {
    uint40 private constant SLACK = 60;

    struct Round {
        uint256 price;
        uint40 updatedAt;
    }

    uint80 public lastRound;
    bool public isStale;

    mapping(uint80 round => Round) private _rounds;

    /// @notice Answer now.
    function push(uint256 price) external {
        pushAt(price, uint40(block.timestamp));
    }

    function pushAt(uint256 price, uint40 updatedAt) public {
        _rounds[++lastRound] = Round(price, updatedAt);
    }

    /// @notice Answer under any round, also one that exists.
    function setRound(uint80 round, uint256 price, uint40 updatedAt) external {
        _rounds[round] = Round(price, updatedAt);
        if (round > lastRound) lastRound = round;
    }

    function setStale(bool stale) external {
        isStale = stale;
    }

    function latest() external view override returns (uint80, uint256, uint40) {
        Round memory round = _rounds[lastRound];
        if (isStale || lastRound == 0) revert StalePrice(lastRound, round.updatedAt);
        return (lastRound, round.price, round.updatedAt);
    }

    function priceAt(uint80 round, uint40 time) external view override returns (uint256) {
        uint40 successor = _rounds[round + 1].updatedAt;
        bool isSucceeded = successor != 0 && successor + SLACK <= time;
        return _checked(round, time, isSucceeded);
    }

    function priceAcross(uint80 round, uint40 time) external view override returns (uint256) {
        bool isSucceeded = round >= lastRound || _rounds[round + 1].updatedAt <= time;
        return _checked(round, time, isSucceeded);
    }

    function _checked(uint80 round, uint40 time, bool isSucceeded) private view returns (uint256) {
        bool exists = _rounds[round].updatedAt != 0;
        if (!exists || isSucceeded || _rounds[round].updatedAt > time) revert WrongRound(round, time);
        return _rounds[round].price;
    }
}
