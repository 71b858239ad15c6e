// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  Custody of USDC
/// @notice Every account's USDC in shares; one share is one micro-USDC. Assets are tracked internally, so a donation
///         changes nothing. The fees of the exchange collect in the Engine's own account, the reserve of CXPT in the
///         token's. All amounts are micro-USDC; window-clock times are those of IEngine.clock().
///
///         The ERC-4626 views are the identity. Shares do not move by themselves, and there is no immediate withdrawal:
///         what leaves goes through the WithdrawalQueue.
///
/// An entry of a settle call, one word:
///
///   255                                       96 95             64 63              0
///  +--------------------------------------------+-----------------+-----------------+
///  | account 160                                | epoch 32        | fees 64         |
///  +--------------------------------------------+-----------------+-----------------+
///
/// `epoch` is what the account's orders sign, 2^32-1 if it signed nothing; `fees` is what the account paid in fees in
/// this call, which its delta contains already and the Engine's account receives.
interface IVault {
    /// @notice Who holds at least `holding` CXPT (6 decimals) gets `shareBps` of the fees that it paid.
    struct RebateTier {
        uint128 holding;
        uint16 shareBps;
    }

    event Connected(
        address indexed engine, address indexed queue, address indexed clearinghouse, address orderControl
    );
    event CxptSet(address indexed cxpt);
    /// @dev `assets` is what arrived, and what was credited to `account`.
    event Deposited(address indexed sender, address indexed account, uint256 assets);
    event PaidOut(address indexed account, uint256 assets);
    /// @dev The account's USDC became CXPT's reserve.
    event PaidOutAsCxpt(address indexed account, uint256 assets);
    event CxptRedeemed(address indexed account, uint256 assets);
    /// @dev It may be applied once the window clock shows `readyAt`.
    event EpochBumpRequested(address indexed account, uint40 readyAt);
    event EpochBumped(address indexed account, uint32 epoch);
    event RebateTiersSet(RebateTier[] tiers);
    /// @dev `fees` are the account's fees that the claim used up, `rebate` is the part that came back.
    event RebateClaimed(address indexed account, uint256 fees, uint256 rebate);

    error NotSettler(address caller);
    error NotQueue(address caller);
    error NotOrderControl(address caller);
    error NotConnected();
    error AlreadyConnected();
    error ZeroAddress();
    error ZeroAmount();
    error CxptUnavailable();
    error CxptAlreadySet();
    /// @dev The token is not wired to this Vault, its Engine and its queue, or has a supply already.
    error CxptMismatch(address cxpt);
    /// @dev The token took more from the Vault than the payout.
    error AssetMismatch(uint256 expected, uint256 paid);
    error LengthMismatch();
    /// @dev The account's shares would exceed 2^128-1.
    error SharesOverflow(address account);
    /// @dev `index` is the entry of the settle call.
    error StaleEpoch(uint256 index);
    error InsufficientBalance(uint256 index);
    error UnbalancedDeltas(int256 sum);
    error NoBumpRequested(address account);
    error BumpPending(uint40 readyAt);
    error WindowOpen(uint40 readyAt);
    /// @dev The account's epoch is not the one that the cancel was signed for.
    error WrongEpoch(uint32 expected, uint32 actual);
    error TooManyTiers(uint256 count);
    /// @dev Holdings and shares must ascend from above zero, and shares end at MAX_REBATE_BPS.
    error InvalidTier(uint256 index);
    /// @dev The Engine's account could not cover the rebates of the fees paid so far.
    error RebatesUncovered(uint256 required, uint256 held);
    error NoRebate(address account);
    /// @dev Others claim for an account only while it has the highest tier, so that it cannot lose by it.
    error NotHighestTier(address account);

    // ---------------------------------------------------------------------------------------------------------------
    // Deposit and withdrawal
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Take `assets` from the caller and credit what arrived to `account`.
    /// @return credited shares, equal to the assets that arrived
    function deposit(uint256 assets, address account) external returns (uint256 credited);

    /// @notice The same, after the caller's EIP-2612 permit for the Vault over `assets`.
    /// @dev    A permit that fails is ignored and the allowance decides: anyone may have sent the permit before.
    function depositWithPermit(uint256 assets, address account, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        returns (uint256 credited);

    /// @notice Open (or replace) the caller's withdrawal request in the queue.
    /// @param asCxpt pay in CXPT instead of USDC; refused with CxptUnavailable until the token exists
    function withdraw(uint256 assets, bool asCxpt) external;

    /// @notice Pay min(assets, balance) to `account`. WithdrawalQueue only.
    /// @return paid what left the account
    function payOut(address account, uint256 assets) external returns (uint256 paid);

    /// @notice Turn min(assets, balance) into CXPT in `account`'s wallet; the USDC stays as the token's reserve.
    ///         WithdrawalQueue only.
    /// @return paid what left the account
    function payOutAsCxpt(address account, uint256 assets) external returns (uint256 paid);

    /// @notice Burn `amount` CXPT that the queue holds and pay as much USDC from the reserve to `account`.
    ///         WithdrawalQueue only.
    function redeemCxpt(address account, uint256 amount) external;

    // ---------------------------------------------------------------------------------------------------------------
    // Settlement
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Apply one batch's changes. Engine or Clearinghouse only. Balances stay >= 0 and the deltas sum to 0.
    /// @dev    Entries are applied in order, also of one account; each is checked for StaleEpoch, then
    ///         InsufficientBalance, then SharesOverflow, and the first failure reverts everything. UnbalancedDeltas
    ///         comes last. An entry of an account that signed nothing, with neither a delta nor fees, reads nothing.
    /// @param  entries see above
    /// @param  deltas  change of the entry's account
    function settle(uint256[] calldata entries, int256[] calldata deltas) external;

    // ---------------------------------------------------------------------------------------------------------------
    // Epochs: a bump cancels every order that the account has signed
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Ask for a bump of the caller's epoch one window from now. A pending request stands (BumpPending).
    function requestEpochBump() external;

    /// @notice Apply an account's requested bump once its window has passed. Anyone.
    function applyEpochBump(address account) external;

    /// @notice Bump the account's epoch at once, if it is `epoch`; a requested bump is done with. OrderControl only.
    function bumpEpoch(address account, uint32 epoch) external;

    // ---------------------------------------------------------------------------------------------------------------
    // Rebates
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Pay the account its tier's share of the fees it paid since its last claim, from the collected fees.
    ///         Anyone if the account has the highest tier, else the account itself.
    /// @dev    CXPT in the account's wallet and in its Engine balance counts; what waits for redemption does not.
    /// @return rebate what the account received
    function claimRebate(address account) external returns (uint256 rebate);

    /// @notice Replace the tiers. Owner only. The collected fees must cover what may be claimed afterwards.
    function setRebateTiers(RebateTier[] calldata tiers) external;

    // ---------------------------------------------------------------------------------------------------------------
    // Owner
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Name the contracts that the Vault obeys. Owner only, once.
    function connect(address engine, address queue, address clearinghouse, address orderControl) external;

    /// @notice Name the CXPT token. Owner only, once. It must be wired to this Vault and have no supply.
    function setCxpt(address cxpt) external;

    // ---------------------------------------------------------------------------------------------------------------
    // Views
    // ---------------------------------------------------------------------------------------------------------------

    /// @return most tiers of rebates
    function MAX_TIERS() external view returns (uint256);

    /// @return highest share of the fees that comes back, in basis points
    function MAX_REBATE_BPS() external view returns (uint16);

    /// @return one of the two callers of `settle`; zero before `connect`
    function engine() external view returns (address);

    /// @return the other caller of `settle`
    function clearinghouse() external view returns (address);

    /// @return the only caller of `payOut`, `payOutAsCxpt` and `redeemCxpt`; zero before `connect`
    function queue() external view returns (address);

    /// @return the only caller of `bumpEpoch`; zero before `connect`
    function orderControl() external view returns (address);

    /// @return the CXPT token; zero before `setCxpt`
    function cxpt() external view returns (address);

    function sharesOf(address account) external view returns (uint256);

    function epochOf(address account) external view returns (uint32);

    /// @return window clock from which a requested bump may be applied, 0 if there is no request
    function epochBumpAt(address account) external view returns (uint40);

    /// @return fees paid by the account and not used for a rebate yet, at most 2^56-1
    function feesPaidOf(address account) external view returns (uint256);

    /// @return the sum of `feesPaidOf` over all accounts
    function unclaimedFees() external view returns (uint256);

    function rebateTiers() external view returns (RebateTier[] memory);

    /// @return fees       what a claim of the account would use up
    /// @return rebate     what it would pay now
    /// @return isHighest  whether the account has the highest tier
    function rebateOf(address account) external view returns (uint256 fees, uint256 rebate, bool isHighest);

    /// @return what the Engine may pay out of its own account: all but what may still be claimed as rebates
    function collectableFees() external view returns (uint256);

    /// @return held what the Vault holds of the asset
    /// @return owed what it owes: all accounts' shares, CXPT's reserve among them, and CXPT that has none
    function solvency() external view returns (uint256 held, uint256 owed);

    // ---------------------------------------------------------------------------------------------------------------
    // ERC-4626 views
    // ---------------------------------------------------------------------------------------------------------------

    /// @return the USDC token
    function asset() external view returns (address);

    /// @return the sum of all accounts' shares
    function totalAssets() external view returns (uint256);

    /// @return the same: one share is one micro-USDC
    function totalSupply() external view returns (uint256);

    /// @return the account's shares, as `sharesOf`
    function balanceOf(address account) external view returns (uint256);

    function convertToShares(uint256 assets) external view returns (uint256);

    function convertToAssets(uint256 shares) external view returns (uint256);

    function previewDeposit(uint256 assets) external view returns (uint256);

    function previewMint(uint256 shares) external view returns (uint256);

    function previewWithdraw(uint256 assets) external view returns (uint256);

    function previewRedeem(uint256 shares) external view returns (uint256);

    function maxDeposit(address account) external view returns (uint256);

    function maxMint(address account) external view returns (uint256);

    /// @return what a withdrawal request of the account could pay
    function maxWithdraw(address account) external view returns (uint256);

    function maxRedeem(address account) external view returns (uint256);
}
