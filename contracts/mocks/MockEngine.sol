// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IClearinghouse} from "../interfaces/IClearinghouse.sol";
import {IVault} from "../interfaces/IVault.sol";
import {MarketWord} from "../libraries/MarketWord.sol";
import {MockMarkets} from "./MockMarkets.sol";

/// @title  Test engine: hands fills to the Clearinghouse and books its answer in the Vault
/// @notice For test networks only: it checks no order and obeys everybody.
contract MockEngine {
    uint256 private constant NOTHING_SIGNED = uint256(type(uint32).max) << 64;

    address public operator;
    uint40 public matchedAt;
    uint40 public stopped; // seconds for which the clock has stood still
    IClearinghouse public clearinghouse;
    IVault public vault;
    MockMarkets public registry;

    event Settled(int256[] deltas, uint256[] fees, int256 ownDelta, uint256 penalties);

    constructor(address operator_) {
        operator = operator_;
    }

    function connect(IVault vault_, IClearinghouse clearinghouse_, MockMarkets registry_) external {
        (vault, clearinghouse, registry) = (vault_, clearinghouse_, registry_);
    }

    function stopClock(uint40 seconds_) external {
        stopped += seconds_;
    }

    function setMatchedAt(uint40 time) external {
        matchedAt = time;
    }

    function clock() external view returns (uint40) {
        return uint40(block.timestamp) - stopped;
    }

    function lastBatch() external view returns (uint48, uint40) {
        return (1, matchedAt);
    }

    function settle(
        uint40 matchedAt_,
        uint256 feeBps,
        uint32[] calldata markets,
        uint80[] calldata rounds,
        uint256[] calldata positions,
        uint256[] calldata fills
    ) external {
        MarketWord[] memory typed = registry.marketWords(markets);
        uint256[] memory words;
        assembly ("memory-safe") {
            words := typed
        }
        (int256[] memory deltas, uint256[] memory fees, int256 ownDelta, uint256 penalties) =
            clearinghouse.settle(matchedAt_, feeBps, markets, words, rounds, positions, fills);
        matchedAt = matchedAt_;
        emit Settled(deltas, fees, ownDelta, penalties);
        _book(positions, deltas, fees, ownDelta, penalties);
    }

    /// @dev The vault refuses changes that do not sum to 0.
    function _book(
        uint256[] calldata positions,
        int256[] memory deltas,
        uint256[] memory fees,
        int256 ownDelta,
        uint256 penalties
    ) private {
        uint256 count = positions.length;
        uint256[] memory entries = new uint256[](count + 3);
        int256[] memory changes = new int256[](count + 3);
        int256 collected;
        for (uint256 i; i < count; ++i) {
            entries[i] = ((positions[i] >> 96) << 96) | NOTHING_SIGNED | fees[i];
            changes[i] = deltas[i];
            collected += int256(fees[i]);
        }
        entries[count] = _entry(address(this));
        entries[count + 1] = _entry(address(clearinghouse));
        entries[count + 2] = _entry(clearinghouse.FUND());
        (changes[count], changes[count + 1], changes[count + 2]) = (collected, ownDelta, int256(penalties));
        vault.settle(entries, changes);
    }

    function _entry(address account) private pure returns (uint256) {
        return (uint256(uint160(account)) << 96) | NOTHING_SIGNED;
    }
}
