// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IEngine} from "../interfaces/IEngine.sol";
import {IMarketRegistry} from "../interfaces/IMarketRegistry.sol";
import {PositionSlot, PositionSlotLib, PositionWord} from "../libraries/PositionSlot.sol";
import {EngineBase} from "./EngineBase.sol";

/// @title  EngineCustody
/// @notice What changes positions outside of batches: deposits, withdrawals and cancels.
abstract contract EngineCustody is EngineBase, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    // ---------------------------------------------------------------------------------------------------------------
    // Custody of synths
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IEngine
    function deposit(uint32 instrument, uint256 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        IERC20 synth = _synthOf(instrument);
        EngineStorage storage $ = _engineStorage();
        PositionSlot slot = PositionSlotLib.first(msg.sender, instrument);
        PositionWord word = $.positions[slot];
        $.positions[slot] = word.withBalance(SafeCast.toUint128(word.balance() + amount));
        emit Deposited(msg.sender, instrument, amount);
        synth.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IEngine
    function payOut(address account, uint32 instrument, uint256 amount) external nonReentrant returns (uint256 paid) {
        EngineStorage storage $ = _engineStorage();
        if (msg.sender != $.queue) revert NotQueue(msg.sender);
        IERC20 synth = _synthOf(instrument);
        PositionSlot slot = PositionSlotLib.first(account, instrument);
        PositionWord word = $.positions[slot];
        uint256 balance = word.balance();
        paid = amount < balance ? amount : balance;
        if (paid == 0) return 0;
        // The cast is exact: the balance is below 2^128.
        $.positions[slot] = word.withBalance(uint128(balance - paid));
        emit PaidOut(account, instrument, paid);
        synth.safeTransfer(account, paid);
    }

    /// @dev The token of an instrument that is held here; a registry that knows the instrument has checked the token.
    function _synthOf(uint32 instrument) private view returns (IERC20) {
        address synth = IMarketRegistry(registry).asset(instrument).synth;
        if (synth == address(0)) revert UnknownInstrument(instrument);
        return IERC20(synth);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Cancels
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IEngine
    function endKey(address account, uint32 instrument, uint32 key, uint32 sequence) external {
        EngineStorage storage $ = _engineStorage();
        if (msg.sender != $.orderControl) revert NotOrderControl(msg.sender);
        PositionSlot slot = PositionSlotLib.first(account, instrument).ofKey(key);
        PositionWord word = $.positions[slot];
        (uint32 stored,) = word.nonceState(key);
        if (sequence > stored) $.positions[slot] = word.withNonceState(key, sequence, 0);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Views
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IEngine
    function balanceOf(address account, uint32 instrument) external view returns (uint256) {
        return _engineStorage().positions[PositionSlotLib.first(account, instrument)].balance();
    }

    /// @inheritdoc IEngine
    function orderState(address account, uint32 instrument, uint32 key)
        external
        view
        returns (uint32 sequence, uint64 filled)
    {
        return _engineStorage().positions[PositionSlotLib.first(account, instrument).ofKey(key)].nonceState(key);
    }
}
