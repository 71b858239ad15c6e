// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IPriceOracle} from "../interfaces/IPriceOracle.sol";

/// @title  MockOracle
/// @notice Rounds as they were set, each held from `updatedAt` on without an end.
contract MockOracle is IPriceOracle {
    struct Round {
        uint256 price;
        uint40 updatedAt;
    }

    uint80 private _latest;
    mapping(uint80 id => Round) private _rounds;

    function setRound(uint80 round, uint256 price, uint40 updatedAt) external {
        _rounds[round] = Round(price, updatedAt);
        if (round > _latest) _latest = round;
    }

    /// @inheritdoc IPriceOracle
    function latest() external view returns (uint80 round, uint256 price, uint40 updatedAt) {
        return (_latest, _rounds[_latest].price, _rounds[_latest].updatedAt);
    }

    /// @inheritdoc IPriceOracle
    function priceAt(uint80 round, uint40 time) external view returns (uint256 price) {
        if (_rounds[round].updatedAt == 0 || _rounds[round].updatedAt > time) revert WrongRound(round, time);
        return _rounds[round].price;
    }

    /// @inheritdoc IPriceOracle
    function priceAcross(uint80 round, uint40 time) external view returns (uint256 price) {
        if (_rounds[round].updatedAt == 0 || _rounds[round].updatedAt > time) revert WrongRound(round, time);
        return _rounds[round].price;
    }
}
