// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  Custody of USDC
/// @notice Every account's USDC in shares; one share is one micro-USDC. Assets are tracked internally, so a donation
///         changes nothing. The fees of the exchange collect in the Engine's own account. All amounts are micro-USDC.
interface IVault {
    event Connected(address indexed engine, address indexed queue);
    /// @dev `assets` is what arrived, and what was credited to `account`.
    event Deposited(address indexed sender, address indexed account, uint256 assets);
    event PaidOut(address indexed account, uint256 assets);

    error NotEngine(address caller);
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

    /// @notice Apply one batch's changes. Engine only. `epochs[i]` is what account i's orders sign, 2^32-1 if it signed
    ///         nothing; balances stay >= 0 and the deltas sum to 0.
    /// @dev    Entries are applied in order; each is checked for StaleEpoch, then InsufficientBalance, then
    ///         SharesOverflow, and the first failure reverts everything. UnbalancedDeltas comes last.
    function settle(address[] calldata accounts, uint32[] calldata epochs, int256[] calldata deltas) external;

    /// @notice Pay min(assets, balance) to `account`. WithdrawalQueue only.
    /// @return paid what left the account
    function payOut(address account, uint256 assets) external returns (uint256 paid);

    /// @notice Name the Engine and the WithdrawalQueue. Owner only, once.
    function connect(address engine, address queue) external;

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

    /// @return held what the Vault holds of the asset; owed what it owes to all accounts
    function solvency() external view returns (uint256 held, uint256 owed);
}
