// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Ownable2StepUpgradeable} from "@openzeppelin/contracts-upgradeable/access/Ownable2StepUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ICXPT} from "./interfaces/ICXPT.sol";
import {IEngine} from "./interfaces/IEngine.sol";
import {IMarketRegistry} from "./interfaces/IMarketRegistry.sol";
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

    /// @inheritdoc IVault
    uint256 public constant override MAX_TIERS = 4;

    /// @inheritdoc IVault
    uint16 public constant override MAX_REBATE_BPS = 5_000;

    /// @dev Epoch of a settle entry whose account signed nothing.
    uint32 private constant NOTHING_SIGNED = type(uint32).max;

    /// @dev The lower 96 bits of a settle entry whose account signed nothing and paid no fees.
    uint96 private constant NOTHING = uint96(NOTHING_SIGNED) << 64;

    uint256 private constant BPS = 10_000;

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
        uint96 unclaimedFees; // micro-USDC; = sum of all accounts' feesPaid
        address queue;
        uint256 totalAssets; // micro-USDC; = sum of all shares
        mapping(address account => AccountSlot) accounts;
        address clearinghouse;
        address orderControl;
        address cxpt;
        RebateTier[] tiers; // ascending in holding and in share
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
        $.engine = engine_;
        $.queue = queue_;
        $.clearinghouse = clearinghouse_;
        $.orderControl = orderControl_;
        emit Connected(engine_, queue_, clearinghouse_, orderControl_);
    }

    /// @inheritdoc IVault
    function setCxpt(address cxpt_) external onlyOwner {
        VaultStorage storage $ = _vaultStorage();
        if ($.cxpt != address(0)) revert CxptAlreadySet();
        ICXPT token = ICXPT(cxpt_);
        bool isOurs = token.vault() == address(this) && token.engine() == $.engine && token.queue() == $.queue;
        if (!isOurs || token.totalSupply() != 0) revert CxptMismatch(cxpt_);
        $.cxpt = cxpt_;
        emit CxptSet(cxpt_);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Deposit and withdrawal
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IVault
    function deposit(uint256 assets, address account) external nonReentrant returns (uint256 credited) {
        return _deposit(assets, account);
    }

    /// @inheritdoc IVault
    function depositWithPermit(uint256 assets, address account, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        nonReentrant
        returns (uint256 credited)
    {
        // A permit that somebody sent ahead fails here but has set the allowance; if there is none, the transfer fails.
        try IERC20Permit(asset).permit(msg.sender, address(this), assets, deadline, v, r, s) {} catch {}
        return _deposit(assets, account);
    }

    /// @dev What arrived is known only after the transfer, so the credit follows it; the guard keeps a token that calls
    ///      back from counting one arrival twice.
    function _deposit(uint256 assets, address account) private returns (uint256 credited) {
        if (account == address(0)) revert ZeroAddress();
        IERC20 token = IERC20(asset);
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), assets);
        credited = token.balanceOf(address(this)) - before;
        if (credited == 0) revert ZeroAmount();

        _credit(account, credited);
        _vaultStorage().totalAssets += credited;
        emit Deposited(msg.sender, account, credited);
    }

    /// @inheritdoc IVault
    function withdraw(uint256 assets, bool asCxpt) external {
        address queue_ = _vaultStorage().queue;
        if (queue_ == address(0)) revert NotConnected();
        IWithdrawalQueue(queue_).requestFor(msg.sender, assets, asCxpt);
    }

    modifier onlyQueue() {
        if (msg.sender != _vaultStorage().queue) revert NotQueue(msg.sender);
        _;
    }

    /// @inheritdoc IVault
    function payOut(address account, uint256 assets) external onlyQueue nonReentrant returns (uint256 paid) {
        paid = _debit(account, assets);
        if (paid == 0) return 0;
        _vaultStorage().totalAssets -= paid;
        emit PaidOut(account, paid);
        _send(account, paid);
    }

    /// @inheritdoc IVault
    function payOutAsCxpt(address account, uint256 assets) external onlyQueue nonReentrant returns (uint256 paid) {
        address cxpt_ = _vaultStorage().cxpt;
        if (cxpt_ == address(0)) revert CxptUnavailable();
        paid = _debit(account, assets);
        if (paid == 0) return 0;
        _credit(cxpt_, paid);
        emit PaidOutAsCxpt(account, paid);
        ICXPT(cxpt_).mint(account, paid);
    }

    /// @inheritdoc IVault
    function redeemCxpt(address account, uint256 amount) external onlyQueue nonReentrant {
        VaultStorage storage $ = _vaultStorage();
        ICXPT token = ICXPT($.cxpt);
        // The reserve is never below the supply, of which `amount` is a part.
        uint256 paid = _debit(address(token), amount);
        assert(paid == amount);
        $.totalAssets -= amount;
        emit CxptRedeemed(account, amount);
        token.burn(amount);
        _send(account, amount);
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
        uint256 newFees;
        for (uint256 i; i < length; ++i) {
            (uint256 entry, int256 delta) = (entries[i], deltas[i]);
            if (delta == 0 && uint96(entry) == NOTHING) continue;
            address account = address(uint160(entry >> 96));
            AccountSlot slot = $.accounts[account];
            uint32 epoch = uint32(entry >> 64);
            if (epoch != NOTHING_SIGNED && epoch != slot.epoch()) revert StaleEpoch(i);

            uint64 fees = uint64(entry);
            if (delta == 0 && fees == 0) continue;
            uint128 shares = slot.shares();
            int256 lowest = -int256(uint256(shares));
            if (delta < lowest) revert InsufficientBalance(i);
            if (delta > int256(uint256(type(uint128).max - shares))) revert SharesOverflow(account);
            // Both checks together say 0 <= shares + delta < 2^128, so the difference and its cast are exact, and
            // |delta| < 2^128, so fewer than 2^127 entries cannot overflow the sum. Nor can fees, which have 64 bits.
            unchecked {
                slot = slot.withShares(uint128(uint256(delta - lowest)));
                sum += delta;
                if (fees != 0) {
                    uint256 room = type(uint56).max - slot.feesPaid();
                    uint256 counted = fees < room ? fees : room;
                    slot = slot.withFeesPaid(uint56(slot.feesPaid() + counted));
                    newFees += counted;
                }
            }
            $.accounts[account] = slot;
        }
        if (sum != 0) revert UnbalancedDeltas(sum);
        if (newFees != 0) $.unclaimedFees = SafeCast.toUint96($.unclaimedFees + newFees);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Epochs
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IVault
    function requestEpochBump() external {
        VaultStorage storage $ = _vaultStorage();
        AccountSlot slot = $.accounts[msg.sender];
        if (slot.epochBumpAt() != 0) revert BumpPending(slot.epochBumpAt());
        if ($.engine == address(0)) revert NotConnected();
        uint40 readyAt = IEngine($.engine).clock() + IEngine($.engine).WINDOW();
        $.accounts[msg.sender] = slot.withEpoch(slot.epoch(), readyAt);
        emit EpochBumpRequested(msg.sender, readyAt);
    }

    /// @inheritdoc IVault
    function applyEpochBump(address account) external {
        VaultStorage storage $ = _vaultStorage();
        uint40 readyAt = $.accounts[account].epochBumpAt();
        if (readyAt == 0) revert NoBumpRequested(account);
        if (IEngine($.engine).clock() < readyAt) revert WindowOpen(readyAt);
        _bumpEpoch(account);
    }

    /// @inheritdoc IVault
    function bumpEpoch(address account, uint32 epoch) external {
        VaultStorage storage $ = _vaultStorage();
        if (msg.sender != $.orderControl) revert NotOrderControl(msg.sender);
        uint32 stored = $.accounts[account].epoch();
        if (epoch != stored) revert WrongEpoch(stored, epoch);
        _bumpEpoch(account);
    }

    /// @dev A requested bump is done with, too: the orders that it was to cancel are canceled.
    function _bumpEpoch(address account) private {
        VaultStorage storage $ = _vaultStorage();
        AccountSlot slot = $.accounts[account];
        uint32 epoch = slot.epoch() + 1;
        $.accounts[account] = slot.withEpoch(epoch, 0);
        emit EpochBumped(account, epoch);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Rebates
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IVault
    function setRebateTiers(RebateTier[] calldata tiers) external onlyOwner {
        VaultStorage storage $ = _vaultStorage();
        if (tiers.length > MAX_TIERS) revert TooManyTiers(tiers.length);
        delete $.tiers;
        RebateTier memory below;
        for (uint256 i; i < tiers.length; ++i) {
            RebateTier calldata tier = tiers[i];
            bool isAscending = tier.holding > below.holding && tier.shareBps > below.shareBps;
            if (!isAscending || tier.shareBps > MAX_REBATE_BPS) revert InvalidTier(i);
            $.tiers.push(tier);
            below = tier;
        }
        uint256 required = _claimable($);
        uint256 held = $.accounts[$.engine].shares();
        if (required > held) revert RebatesUncovered(required, held);
        emit RebateTiersSet(tiers);
    }

    /// @inheritdoc IVault
    function claimRebate(address account) external returns (uint256 rebate) {
        uint256 fees;
        bool isHighest;
        (fees, rebate, isHighest) = rebateOf(account);
        if (rebate == 0) revert NoRebate(account);
        if (msg.sender != account && !isHighest) revert NotHighestTier(account);

        VaultStorage storage $ = _vaultStorage();
        $.accounts[account] = $.accounts[account].withFeesPaid(0);
        // The cast is exact: `fees` is a part of the sum.
        $.unclaimedFees -= uint96(fees);
        address engine_ = $.engine;
        uint256 held = $.accounts[engine_].shares();
        if (_debit(engine_, rebate) != rebate) revert RebatesUncovered(rebate, held);
        _credit(account, rebate);
        emit RebateClaimed(account, fees, rebate);
    }

    /// @inheritdoc IVault
    function rebateOf(address account) public view returns (uint256 fees, uint256 rebate, bool isHighest) {
        VaultStorage storage $ = _vaultStorage();
        fees = $.accounts[account].feesPaid();
        uint256 holding = _holdingOf($, account);
        uint256 index = $.tiers.length;
        while (index != 0 && holding < $.tiers[index - 1].holding) --index;
        if (index == 0) return (fees, 0, false);
        return (fees, fees * $.tiers[index - 1].shareBps / BPS, index == $.tiers.length);
    }

    /// @dev CXPT in the wallet and in spot custody.
    function _holdingOf(VaultStorage storage $, address account) private view returns (uint256) {
        address cxpt_ = $.cxpt;
        if (cxpt_ == address(0)) return 0;
        IEngine engine_ = IEngine($.engine);
        uint32 instrument = IMarketRegistry(engine_.registry()).assetId(cxpt_);
        uint256 inCustody = instrument == 0 ? 0 : engine_.balanceOf(account, instrument);
        return ICXPT(cxpt_).balanceOf(account) + inCustody;
    }

    /// @dev The most that all accounts together can claim: every one of them at the highest tier.
    function _claimable(VaultStorage storage $) private view returns (uint256) {
        uint256 count = $.tiers.length;
        return count == 0 ? 0 : Math.ceilDiv($.unclaimedFees * uint256($.tiers[count - 1].shareBps), BPS);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Views
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IVault
    function engine() external view returns (address) {
        return _vaultStorage().engine;
    }

    /// @inheritdoc IVault
    function clearinghouse() external view returns (address) {
        return _vaultStorage().clearinghouse;
    }

    /// @inheritdoc IVault
    function queue() external view returns (address) {
        return _vaultStorage().queue;
    }

    /// @inheritdoc IVault
    function orderControl() external view returns (address) {
        return _vaultStorage().orderControl;
    }

    /// @inheritdoc IVault
    function cxpt() external view returns (address) {
        return _vaultStorage().cxpt;
    }

    /// @inheritdoc IVault
    function sharesOf(address account) external view returns (uint256) {
        return _sharesOf(account);
    }

    /// @inheritdoc IVault
    function epochOf(address account) external view returns (uint32) {
        return _vaultStorage().accounts[account].epoch();
    }

    /// @inheritdoc IVault
    function epochBumpAt(address account) external view returns (uint40) {
        return _vaultStorage().accounts[account].epochBumpAt();
    }

    /// @inheritdoc IVault
    function feesPaidOf(address account) external view returns (uint256) {
        return _vaultStorage().accounts[account].feesPaid();
    }

    /// @inheritdoc IVault
    function unclaimedFees() external view returns (uint256) {
        return _vaultStorage().unclaimedFees;
    }

    /// @inheritdoc IVault
    function rebateTiers() external view returns (RebateTier[] memory) {
        return _vaultStorage().tiers;
    }

    /// @inheritdoc IVault
    function collectableFees() external view returns (uint256) {
        VaultStorage storage $ = _vaultStorage();
        return Math.saturatingSub($.accounts[$.engine].shares(), _claimable($));
    }

    /// @inheritdoc IVault
    function solvency() external view returns (uint256 held, uint256 owed) {
        VaultStorage storage $ = _vaultStorage();
        held = IERC20(asset).balanceOf(address(this));
        owed = $.totalAssets;
        address cxpt_ = $.cxpt;
        if (cxpt_ == address(0)) return (held, owed);
        owed += Math.saturatingSub(ICXPT(cxpt_).totalSupply(), $.accounts[cxpt_].shares());
    }

    // ---------------------------------------------------------------------------------------------------------------
    // ERC-4626 views
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IVault
    function totalAssets() external view returns (uint256) {
        return _vaultStorage().totalAssets;
    }

    /// @inheritdoc IVault
    function totalSupply() external view returns (uint256) {
        return _vaultStorage().totalAssets;
    }

    /// @inheritdoc IVault
    function balanceOf(address account) external view returns (uint256) {
        return _sharesOf(account);
    }

    /// @inheritdoc IVault
    function convertToShares(uint256 assets) external pure returns (uint256) {
        return assets;
    }

    /// @inheritdoc IVault
    function convertToAssets(uint256 shares) external pure returns (uint256) {
        return shares;
    }

    /// @inheritdoc IVault
    function previewDeposit(uint256 assets) external pure returns (uint256) {
        return assets;
    }

    /// @inheritdoc IVault
    function previewMint(uint256 shares) external pure returns (uint256) {
        return shares;
    }

    /// @inheritdoc IVault
    function previewWithdraw(uint256 assets) external pure returns (uint256) {
        return assets;
    }

    /// @inheritdoc IVault
    function previewRedeem(uint256 shares) external pure returns (uint256) {
        return shares;
    }

    /// @inheritdoc IVault
    function maxDeposit(address account) external view returns (uint256) {
        return type(uint128).max - _sharesOf(account);
    }

    /// @inheritdoc IVault
    function maxMint(address account) external view returns (uint256) {
        return type(uint128).max - _sharesOf(account);
    }

    /// @inheritdoc IVault
    function maxWithdraw(address account) external view returns (uint256) {
        return _sharesOf(account);
    }

    /// @inheritdoc IVault
    function maxRedeem(address account) external view returns (uint256) {
        return _sharesOf(account);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Internals
    // ---------------------------------------------------------------------------------------------------------------

    function _sharesOf(address account) private view returns (uint256) {
        return _vaultStorage().accounts[account].shares();
    }

    function _credit(address account, uint256 assets) private {
        VaultStorage storage $ = _vaultStorage();
        AccountSlot slot = $.accounts[account];
        if (assets > type(uint128).max - slot.shares()) revert SharesOverflow(account);
        // The cast is exact: the line above bounds `assets` below 2^128.
        $.accounts[account] = slot.withShares(slot.shares() + uint128(assets));
    }

    /// @dev Take min(assets, balance) from the account.
    function _debit(address account, uint256 assets) private returns (uint256 taken) {
        VaultStorage storage $ = _vaultStorage();
        AccountSlot slot = $.accounts[account];
        taken = Math.min(assets, slot.shares());
        // The cast is exact: taken <= shares < 2^128.
        if (taken != 0) $.accounts[account] = slot.withShares(slot.shares() - uint128(taken));
    }

    /// @dev A token that takes more from the sender than it was told would eat into what is owed to others.
    function _send(address account, uint256 assets) private {
        IERC20 token = IERC20(asset);
        uint256 before = token.balanceOf(address(this));
        token.safeTransfer(account, assets);
        uint256 left = token.balanceOf(address(this));
        if (left < before - assets) revert AssetMismatch(assets, before - left);
    }

    /// @dev Upgrades are the owner's alone.
    function _authorizeUpgrade(address) internal override onlyOwner {}

    function _vaultStorage() internal pure returns (VaultStorage storage $) {
        assembly ("memory-safe") {
            $.slot := STORAGE_SLOT
        }
    }
}
