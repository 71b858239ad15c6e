// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";

/// @title  A synth: an ERC-20 that is backed 1:1 by another
/// @notice Units are quanta of the underlying. At every moment `totalSupply() <= underlying().balanceOf(synth)`,
///         provided that the underlying changes balances only in transfers. Rebasing tokens are not supported.
interface ISynth is IERC20Metadata {
    event SynthDeposited(address indexed sender, address indexed account, uint256 amount);
    event SynthWithdrawn(address indexed sender, address indexed account, uint256 amount);

    error NotAToken(address token);
    error ZeroAmount();
    /// @dev The transfer out cost the reserve `actual` instead of `expected`.
    error BackingMismatch(uint256 expected, uint256 actual);

    /// @notice Take `amount` of the underlying from the caller and mint what arrived to `account`.
    /// @return minted what arrived, never more than the reserve grew
    function depositFor(address account, uint256 amount) external returns (uint256 minted);

    /// @notice Burn `amount` of the caller's synth and pay as much of the underlying to `account`.
    function withdrawTo(address account, uint256 amount) external;

    function underlying() external view returns (address);
}
