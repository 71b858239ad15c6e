// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IEngine} from "../interfaces/IEngine.sol";
import {PositionSlot, PositionWord} from "../libraries/PositionSlot.sol";

/// @title  EngineBase
/// @notice What the parts of the Engine share: constants, the contracts around it, and its storage.
abstract contract EngineBase is IEngine {
    // ---------------------------------------------------------------------------------------------------------------
    // Constants and immutables
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IEngine
    uint40 public constant override WINDOW = 3600;

    /// @inheritdoc IEngine
    uint16 public constant override MAX_FEE_BPS = 50;

    /// @inheritdoc IEngine
    uint40 public constant override MAX_HALT = 24 hours;

    /// @inheritdoc IEngine
    uint40 public constant override HALT_PAUSE = 72 hours;

    /// @dev keccak256(abi.encode(uint256(keccak256("crosspoint.storage.Engine")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 internal constant STORAGE_SLOT = 0x9f1b5e2ca104415bfdc6e210bb3398404bf08bcd8afb5fb88a80699712e07b00;

    /// @inheritdoc IEngine
    address public immutable override vault;

    /// @inheritdoc IEngine
    address public immutable override registry;

    /// @inheritdoc IEngine
    address public immutable override packer;

    // ---------------------------------------------------------------------------------------------------------------
    // Storage
    // ---------------------------------------------------------------------------------------------------------------

    /// @custom:storage-location erc7201:crosspoint.storage.Engine
    ///
    ///           255     248 247        208 207      160 159                                   0
    ///          +-----------+--------------+------------+---------------------------------------+
    ///  slot 0  | halted 8  | matchedAt 40 | batch 48   | operator 160                          |
    ///          +-----------+--------------+------------+---------------------------------------+
    ///           255     192 191         152 151       136 135  120 119       80 79     40 39  0
    ///          +-----------+---------------+-------------+--------+------------+---------+-----+
    ///  slot 1  | spare 64  |feeChangeAt 40 |nextFeeBps 16|feeBps16|haltedTotal |  halted |halt-|
    ///          |           |               |             |        |40          | Until 40|edAt |
    ///          +-----------+---------------+-------------+--------+------------+---------+-----+
    struct EngineStorage {
        address operator;
        uint48 batch; // number of the last settled batch
        uint40 matchedAt; // its match time
        bool halted; // the latest halt may still matter: look at slot 1
        uint40 haltedAt; // start of the latest halt, 0 if there was none
        uint40 haltedUntil; // its end, known in advance and brought forward by endHalt
        uint40 haltedTotal; // seconds of all halts before the latest
        uint16 feeBps;
        uint16 nextFeeBps; // what batches pay that are matched at feeChangeAt or later
        uint40 feeChangeAt; // 0 if no change was scheduled
        address guardian;
        address queue;
        mapping(PositionSlot => PositionWord) positions;
        address orderControl;
        address clearinghouse;
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Internals
    // ---------------------------------------------------------------------------------------------------------------

    constructor(address vault_, address registry_, address packer_) {
        if (vault_ == address(0) || registry_ == address(0) || packer_ == address(0)) revert ZeroAddress();
        vault = vault_;
        registry = registry_;
        packer = packer_;
    }

    /// @dev The fee of what is matched at `time`.
    function _feeAt(EngineStorage storage $, uint40 time) internal view returns (uint16) {
        uint40 changeAt = $.feeChangeAt;
        return changeAt != 0 && time >= changeAt ? $.nextFeeBps : $.feeBps;
    }

    /// @dev The earliest time at which the next batch may have been matched: half a window ago, not counting the latest
    ///      halt, but not before the last batch.
    function _lowestMatch(EngineStorage storage $) internal view returns (uint40 lowest) {
        lowest = _now() - WINDOW / 2;
        if ($.halted) {
            (uint40 from, uint40 until) = ($.haltedAt, $.haltedUntil);
            if (until >= lowest) lowest -= until - from;
        }
        if (lowest < $.matchedAt) lowest = $.matchedAt;
    }

    function _now() internal view returns (uint40) {
        return SafeCast.toUint40(block.timestamp);
    }

    function _engineStorage() internal pure returns (EngineStorage storage $) {
        assembly ("memory-safe") {
            $.slot := STORAGE_SLOT
        }
    }
}
