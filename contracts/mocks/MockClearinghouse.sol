// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  MockClearinghouse
/// @notice Records what the Engine hands over and answers with what it was told to.
contract MockClearinghouse {
    struct Input {
        uint40 matchedAt;
        uint256 feeBps;
        uint32[] markets;
        uint256[] marketWords;
        uint80[] rounds;
        uint256[] positions;
        uint256[] fills;
    }

    error Refused();

    uint256 public calls;
    bool public refuses;

    Input private _input;
    int256[] private _deltas;
    uint256[] private _fees;
    int256 private _ownDelta;
    uint256 private _penalties;

    function setAnswer(int256[] calldata deltas, uint256[] calldata fees, int256 ownDelta, uint256 penalties) external {
        _deltas = deltas;
        _fees = fees;
        _ownDelta = ownDelta;
        _penalties = penalties;
    }

    function setRefuses(bool refuses_) external {
        refuses = refuses_;
    }

    function settle(
        uint40 matchedAt,
        uint256 feeBps,
        uint32[] calldata markets,
        uint256[] calldata marketWords,
        uint80[] calldata rounds,
        uint256[] calldata positions,
        uint256[] calldata fills
    ) external returns (int256[] memory, uint256[] memory, int256, uint256) {
        if (refuses) revert Refused();
        ++calls;
        _input = Input(matchedAt, feeBps, markets, marketWords, rounds, positions, fills);
        return (_deltas, _fees, _ownDelta, _penalties);
    }

    function input() external view returns (Input memory) {
        return _input;
    }
}
