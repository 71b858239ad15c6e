// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Ownable2StepUpgradeable} from "@openzeppelin/contracts-upgradeable/access/Ownable2StepUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IVault} from "./interfaces/IVault.sol";
import {IWithdrawalQueue} from "./interfaces/IWithdrawalQueue.sol";
import {AccountSlot} from "./libraries/AccountSlot.sol";

/// @title  Vault
/// @notice Custody of USDC in shares; see IVault.
contract Vault is Ownable2StepUpgradeable, UUPSUpgradeable, ReentrancyGuardTransient, IVault {
    using SafeERC20 for IERC20;

    // ---------------------------------------------------------------------------------------------------------------
    // Constants and immutables
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev Epoch of a settle entry whose account signed nothing.
    uint32 private constant NOTHING_SIGNED = type(uint32).max;

    /// @dev keccak256(abi.encode(uint256(keccak256("crosspoint.storage.Vault")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE_SLOT = 0xd50f58e43fcf4bf3257cffbcccdc0cd749ef4a9d733f0a026365ec6511bb9400;

    /// @inheritdoc IVault
    address public immutable override asset;

    // ---------------------------------------------------------------------------------------------------------------
    // Storage
    // ---------------------------------------------------------------------------------------------------------------

    /// @custom:storage-location erc7201:crosspoint.storage.Vault
    struct VaultStorage {
        address engine;
        address queue;
        uint256 totalAssets; // micro-USDC; = sum of all shares
        mapping(address account => AccountSlot) accounts;
        address clearinghouse;
        address orderControl;
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Construction and wiring
    // ---------------------------------------------------------------------------------------------------------------

    /// @param asset_ the USDC token
    constructor(address asset_) {
        if (asset_ == address(0)) revert ZeroAddress();
        asset = asset_;
        _disableInitializers();
    }

    /// @notice Set the first owner. Called by the proxy's constructor.
    function initialize(address owner_) external initializer {
        __Ownable_init(owner_);
    }

    /// @inheritdoc IVault
    function connect(address engine_, address queue_, address clearinghouse_, address orderControl_)
        external
        onlyOwner
    {
        VaultStorage storage $ = _vaultStorage();
        if ($.engine != address(0)) revert AlreadyConnected();
        if (engine_ == address(0) || queue_ == address(0)) revert ZeroAddress();
        if (clearinghouse_ == address(0) || orderControl_ == address(0)) revert ZeroAddress();
        ($.engine, $.queue, $.clearinghouse, $.orderControl) = (engine_, queue_, clearinghouse_, orderControl_);
        emit Connected(engine_, queue_, clearinghouse_, orderControl_);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Deposit and withdrawal
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IVault
    /// @dev What arrived is known only after the transfer, so the credit follows it; the guard keeps a token that calls
    ///      back from counting one arrival twice.
    function deposit(uint256 assets, address account) external nonReentrant returns (uint256 credited) {
        if (account == address(0)) revert ZeroAddress();
        IERC20 token = IERC20(asset);
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), assets);
        credited = token.balanceOf(address(this)) - before;
        if (credited == 0) revert ZeroAmount();

        VaultStorage storage $ = _vaultStorage();
        AccountSlot slot = $.accounts[account];
        if (credited > type(uint128).max - slot.shares()) revert SharesOverflow(account);
        // The cast is exact: the line above bounds `credited` below 2^128.
        $.accounts[account] = slot.withShares(slot.shares() + uint128(credited));
        $.totalAssets += credited;
        emit Deposited(msg.sender, account, credited);
    }

    /// @inheritdoc IVault
    function withdraw(uint256 assets, bool asCxpt) external {
        if (asCxpt) revert CxptUnavailable();
        address queue_ = _vaultStorage().queue;
        if (queue_ == address(0)) revert NotConnected();
        IWithdrawalQueue(queue_).requestFor(msg.sender, IWithdrawalQueue.Kind.USDC, assets);
    }

    /// @inheritdoc IVault
    function payOut(address account, uint256 assets) external nonReentrant returns (uint256 paid) {
        VaultStorage storage $ = _vaultStorage();
        if (msg.sender != $.queue) revert NotQueue(msg.sender);
        AccountSlot slot = $.accounts[account];
        uint128 shares = slot.shares();
        paid = assets < shares ? assets : shares;
        if (paid == 0) return 0;
        // The cast is exact: paid <= shares < 2^128.
        $.accounts[account] = slot.withShares(shares - uint128(paid));
        $.totalAssets -= paid;
        emit PaidOut(account, paid);
        IERC20(asset).safeTransfer(account, paid);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Settlement
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IVault
    function settle(uint256[] calldata entries, int256[] calldata deltas) external {
        VaultStorage storage $ = _vaultStorage();
        if (msg.sender != $.engine && msg.sender != $.clearinghouse) revert NotSettler(msg.sender);
        uint256 length = entries.length;
        if (deltas.length != length) revert LengthMismatch();

        int256 sum;
        for (uint256 i; i < length; ++i) {
            uint256 entry = entries[i];
            uint32 epoch = uint32(entry >> 64);
            int256 delta = deltas[i];
            if (delta == 0 && epoch == NOTHING_SIGNED) continue;
            address account = address(uint160(entry >> 96));
            AccountSlot slot = $.accounts[account];
            if (epoch != NOTHING_SIGNED && epoch != slot.epoch()) revert StaleEpoch(i);
            if (delta == 0) continue;
            uint128 shares = slot.shares();
            int256 lowest = -int256(uint256(shares));
            if (delta < lowest) revert InsufficientBalance(i);
            if (delta > int256(uint256(type(uint128).max - shares))) revert SharesOverflow(account);
            // Both checks together say 0 <= shares + delta < 2^128, so the difference and its cast are exact, and
            // |delta| < 2^128, so fewer than 2^127 entries cannot overflow the sum.
            unchecked {
                $.accounts[account] = slot.withShares(uint128(uint256(delta - lowest)));
                sum += delta;
            }
        }
        if (sum != 0) revert UnbalancedDeltas(sum);
    }

    /// @inheritdoc IVault
    function bumpEpoch(address account, uint32 epoch) external {
        VaultStorage storage $ = _vaultStorage();
        if (msg.sender != $.orderControl) revert NotOrderControl(msg.sender);
        AccountSlot slot = $.accounts[account];
        if (slot.epoch() != epoch) revert WrongEpoch(slot.epoch(), epoch);
        $.accounts[account] = AccountSlot.wrap(AccountSlot.unwrap(slot) + (1 << 96));
        emit EpochBumped(account, epoch + 1);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Views
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IVault
    function engine() external view returns (address) {
        return _vaultStorage().engine;
    }

    /// @inheritdoc IVault
    function queue() external view returns (address) {
        return _vaultStorage().queue;
    }

    /// @inheritdoc IVault
    function totalAssets() external view returns (uint256) {
        return _vaultStorage().totalAssets;
    }

    /// @inheritdoc IVault
    function sharesOf(address account) external view returns (uint256) {
        return _vaultStorage().accounts[account].shares();
    }

    /// @inheritdoc IVault
    function epochOf(address account) external view returns (uint32) {
        return _vaultStorage().accounts[account].epoch();
    }

    /// @inheritdoc IVault
    function collectableFees() external view returns (uint256) {
        VaultStorage storage $ = _vaultStorage();
        return $.accounts[$.engine].shares();
    }

    /// @inheritdoc IVault
    function solvency() external view returns (uint256 held, uint256 owed) {
        return (IERC20(asset).balanceOf(address(this)), _vaultStorage().totalAssets);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Internals
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev Upgrades are the owner's alone.
    function _authorizeUpgrade(address) internal override onlyOwner {}

    function _vaultStorage() private pure returns (VaultStorage storage $) {
        assembly ("memory-safe") {
            $.slot := STORAGE_SLOT
        }
    }
}
