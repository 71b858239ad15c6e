// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  Custody of USDC
/// @notice Every account's USDC in shares; one share is one micro-USDC. Assets are tracked internally, so a donation
///         changes nothing. The fees of the exchange collect in the Engine's own account. All amounts are micro-USDC.
interface IVault {
    event Connected(
        address indexed engine, address indexed queue, address indexed clearinghouse, address orderControl
    );
    event EpochBumped(address indexed account, uint32 epoch);
    /// @dev `assets` is what arrived, and what was credited to `account`.
    event Deposited(address indexed sender, address indexed account, uint256 assets);
    event PaidOut(address indexed account, uint256 assets);

    error NotSettler(address caller);
    error NotOrderControl(address caller);
    /// @dev The account's epoch is not the one that the cancel was signed for.
    error WrongEpoch(uint32 expected, uint32 actual);
    error NotQueue(address caller);
    error NotConnected();
    error AlreadyConnected();
    error ZeroAddress();
    error ZeroAmount();
    error CxptUnavailable();
    error LengthMismatch();
    /// @dev The account's shares would exceed 2^128-1.
    error SharesOverflow(address account);
    /// @dev `index` is the entry of the settle call.
    error StaleEpoch(uint256 index);
    error InsufficientBalance(uint256 index);
    error UnbalancedDeltas(int256 sum);

    /// @notice Take `assets` from the caller and credit what arrived to `account`.
    /// @return credited shares, equal to the assets that arrived
    function deposit(uint256 assets, address account) external returns (uint256 credited);

    /// @notice Open (or replace) the caller's withdrawal request in the queue.
    /// @param asCxpt pay in CXPT instead of USDC; refused with CxptUnavailable until the token exists
    function withdraw(uint256 assets, bool asCxpt) external;

    /// @notice Apply one batch's changes. Engine or Clearinghouse only. Balances stay >= 0 and the deltas sum to 0.
    /// @dev    Entries are applied in order, also of one account; each is checked for StaleEpoch, then
    ///         InsufficientBalance, then SharesOverflow, and the first failure reverts everything. UnbalancedDeltas
    ///         comes last. An entry of an account that signed nothing, with neither a delta nor fees, reads nothing.
    /// @param  entries account 160 (bits 96-255), epoch 32 (64-95; 2^32-1: nothing signed), fees 64 (0-63)
    /// @param  deltas  change of the entry's account
    function settle(uint256[] calldata entries, int256[] calldata deltas) external;

    /// @notice Bump the account's epoch at once, if it is `epoch`. OrderControl only.
    function bumpEpoch(address account, uint32 epoch) external;

    /// @notice Pay min(assets, balance) to `account`. WithdrawalQueue only.
    /// @return paid what left the account
    function payOut(address account, uint256 assets) external returns (uint256 paid);

    /// @notice Name the contracts that the Vault obeys. Owner only, once.
    function connect(address engine, address queue, address clearinghouse, address orderControl) external;

    /// @return the USDC token
    function asset() external view returns (address);

    /// @return the only caller of `settle`; zero before `connect`
    function engine() external view returns (address);

    /// @return the only caller of `payOut`; zero before `connect`
    function queue() external view returns (address);

    /// @return the sum of all accounts' shares
    function totalAssets() external view returns (uint256);

    function sharesOf(address account) external view returns (uint256);

    function epochOf(address account) external view returns (uint32);

    /// @return what the Engine may pay out of its own account
    function collectableFees() external view returns (uint256);

    /// @return held what the Vault holds of the asset; owed what it owes to all accounts
    function solvency() external view returns (uint256 held, uint256 owed);
}
