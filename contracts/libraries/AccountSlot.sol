// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @notice The Vault's record of one account, in one storage word.
///
///   255            128 127        96 95               56 55           0
///  +------------------+------------+-------------------+---------------+
///  | shares 128       | epoch 32   | epochBumpAt 40    | feesPaid 56   |
///  +------------------+------------+-------------------+---------------+
///
/// One share is one micro-USDC. `epoch` is what the account's orders must sign; `epochBumpAt` is the window clock's
/// time from which a requested bump may be applied, 0 if there is none; `feesPaid` are the micro-USDC of fees that the
/// account paid and did not use for a rebate yet, and stays at 2^56-1 (72 billion USDC) once there.
type AccountSlot is uint256;

/// @title  Accessors of AccountSlot
library AccountSlotLib {
    uint256 private constant SHARES_SHIFT = 128;
    uint256 private constant EPOCH_SHIFT = 96;
    uint256 private constant EPOCH_BUMP_SHIFT = 56;
    uint256 private constant REST_MASK = (uint256(1) << SHARES_SHIFT) - 1;
    uint256 private constant FEES_MASK = type(uint56).max;
    uint256 private constant EPOCH_MASK = (REST_MASK >> EPOCH_BUMP_SHIFT) << EPOCH_BUMP_SHIFT;

    /// @return micro-USDC
    function shares(AccountSlot slot) internal pure returns (uint128) {
        return uint128(AccountSlot.unwrap(slot) >> SHARES_SHIFT);
    }

    function epoch(AccountSlot slot) internal pure returns (uint32) {
        return uint32(AccountSlot.unwrap(slot) >> EPOCH_SHIFT);
    }

    function epochBumpAt(AccountSlot slot) internal pure returns (uint40) {
        return uint40(AccountSlot.unwrap(slot) >> EPOCH_BUMP_SHIFT);
    }

    /// @return micro-USDC
    function feesPaid(AccountSlot slot) internal pure returns (uint56) {
        return uint56(AccountSlot.unwrap(slot));
    }

    /// @notice The same account with `shares_` micro-USDC.
    function withShares(AccountSlot slot, uint128 shares_) internal pure returns (AccountSlot) {
        return AccountSlot.wrap(AccountSlot.unwrap(slot) & REST_MASK | uint256(shares_) << SHARES_SHIFT);
    }

    /// @notice The same account in epoch `epoch_`, with a bump requested for `bumpAt`.
    function withEpoch(AccountSlot slot, uint32 epoch_, uint40 bumpAt) internal pure returns (AccountSlot) {
        uint256 field = uint256(epoch_) << EPOCH_SHIFT | uint256(bumpAt) << EPOCH_BUMP_SHIFT;
        return AccountSlot.wrap(AccountSlot.unwrap(slot) & ~EPOCH_MASK | field);
    }

    /// @notice The same account with `feesPaid_` micro-USDC of unused fees.
    function withFeesPaid(AccountSlot slot, uint56 feesPaid_) internal pure returns (AccountSlot) {
        return AccountSlot.wrap(AccountSlot.unwrap(slot) & ~FEES_MASK | feesPaid_);
    }
}

using AccountSlotLib for AccountSlot global;
