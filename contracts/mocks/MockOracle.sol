// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IPriceOracle} from "../interfaces/IPriceOracle.sol";

/// @title  Test oracle whose rounds everybody can set
/// @notice Pushed rounds count from 1; `setRound` takes any id. A round is followed by the next id, if that was set. For
///         test networks only.
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
        setRound(lastRound + 1, price, updatedAt);
    }

    function setRound(uint80 round, uint256 price, uint40 updatedAt) public {
        _rounds[round] = Round(price, updatedAt);
        if (round > lastRound) lastRound = round;
    }

    function setStale(bool stale) external {
        isStale = stale;
    }

    /// @inheritdoc IPriceOracle
    function latest() external view returns (uint80, uint256, uint40) {
        Round memory round = _rounds[lastRound];
        if (isStale || lastRound == 0) revert StalePrice(lastRound, round.updatedAt);
        return (lastRound, round.price, round.updatedAt);
    }

    /// @inheritdoc IPriceOracle
    function priceAt(uint80 round, uint40 time) external view returns (uint256) {
        uint40 successor = _successorOf(round).updatedAt;
        return _checked(round, time, successor == 0 || successor + SLACK > time);
    }

    /// @inheritdoc IPriceOracle
    function priceAcross(uint80 round, uint40 time) external view returns (uint256) {
        return _checked(round, time, _successorOf(round).updatedAt > time);
    }

    /// @dev The last id that there can be is followed by 0, which is never set.
    function _successorOf(uint80 round) private view returns (Round memory) {
        unchecked {
            return _rounds[round + 1];
        }
    }

    function _checked(uint80 round, uint40 time, bool holds) private view returns (uint256) {
        Round memory found = _rounds[round];
        if (found.updatedAt == 0 || found.updatedAt > time || !holds) revert WrongRound(round, time);
        return found.price;
    }
}
