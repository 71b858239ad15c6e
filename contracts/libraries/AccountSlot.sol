// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @notice The Vault's record of one account, in one storage word.
///
///   255            128 127        96 95               56 55       0
///  +------------------+------------+-------------------+-----------+
///  | shares 128       | epoch 32   | epochBumpAt 40    | spare 56  |
///  +------------------+------------+-------------------+-----------+
///
/// One share is one micro-USDC. `epoch` is what the account's orders must sign; `epochBumpAt` is the window clock's
/// time of a requested bump, 0 if there is none.
type AccountSlot is uint256;

/// @title  Accessors of AccountSlot
library AccountSlotLib {
    uint256 private constant SHARES_SHIFT = 128;
    uint256 private constant EPOCH_SHIFT = 96;
    uint256 private constant REST_MASK = (uint256(1) << SHARES_SHIFT) - 1;

    /// @return micro-USDC
    function shares(AccountSlot slot) internal pure returns (uint128) {
        return uint128(AccountSlot.unwrap(slot) >> SHARES_SHIFT);
    }

    function epoch(AccountSlot slot) internal pure returns (uint32) {
        return uint32(AccountSlot.unwrap(slot) >> EPOCH_SHIFT);
    }

    /// @notice The same account with `shares_` micro-USDC.
    function withShares(AccountSlot slot, uint128 shares_) internal pure returns (AccountSlot) {
        return AccountSlot.wrap(AccountSlot.unwrap(slot) & REST_MASK | uint256(shares_) << SHARES_SHIFT);
    }
}

using AccountSlotLib for AccountSlot global;
