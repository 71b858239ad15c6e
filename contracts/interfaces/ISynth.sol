// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";

/// @title  A synth: an ERC-20 that is backed 1:1 by another
/// @notice Units are quanta of the underlying. At every moment `totalSupply() <= underlying().balanceOf(synth)`,
///         provided that the underlying changes balances only in transfers.
///
///         An underlying that changes balances otherwise (rebasing, slashing, seizure) is no currency to trade: what is
///         won stays here and belongs to nobody, and what is lost is not seen by the exchange. But a loss is nobody's
///         gain: as long as the reserve is short, deposits and withdrawals at 1:1 are refused, so that who comes first
///         cannot take what belongs to the others, and everybody can leave with the share that is left.
interface ISynth is IERC20Metadata {
    event SynthDeposited(address indexed sender, address indexed account, uint256 amount);
    event SynthWithdrawn(address indexed sender, address indexed account, uint256 amount);
    /// @dev `amount` was burned for `paid`.
    event SynthShareWithdrawn(address indexed sender, address indexed account, uint256 amount, uint256 paid);

    error NotAToken(address token);
    error ZeroAmount();
    /// @dev The transfer out cost the reserve `actual` instead of `expected`.
    error BackingMismatch(uint256 expected, uint256 actual);

    /// @dev The underlying has taken from the reserve, which does not back the supply any more.
    error Underbacked(uint256 reserve, uint256 supply);

    /// @notice Take `amount` of the underlying from the caller and mint what arrived to `account`.
    /// @return minted what arrived, never more than the reserve grew
    function depositFor(address account, uint256 amount) external returns (uint256 minted);

    /// @notice Burn `amount` of the caller's synth and pay as much of the underlying to `account`.
    function withdrawTo(address account, uint256 amount) external;

    /// @notice Burn `amount` of the caller's synth and pay the share of the reserve that it stands for, but never more
    ///         than `amount`. The way out if `withdrawTo` is refused.
    /// @return paid what it cost the reserve: `amount` or, while the reserve is short, as much less
    function withdrawShareTo(address account, uint256 amount) external returns (uint256 paid);

    function underlying() external view returns (address);
}
