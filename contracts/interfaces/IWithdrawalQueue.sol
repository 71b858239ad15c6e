// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  Withdrawals
/// @notice One request per account and asset; a new one replaces it and restarts the clock. Settling pays
///         min(requested, balance) to the owner: by the operator's release at once, by anyone after the window. Amounts
///         are micro-USDC or quanta of the instrument; times are seconds of the Engine's window clock, which stands
///         still during a halt. A request that is ready stays payable during a halt.
interface IWithdrawalQueue {
    /// @notice What is withdrawn. `instrument` is 0 unless the kind is INSTRUMENT.
    enum Kind {
        USDC,
        USDC_AS_CXPT,
        INSTRUMENT
    }

    struct Request {
        uint128 amount;
        uint40 requestedAt; // window clock
    }

    event WithdrawalRequested(
        address indexed account, Kind indexed kind, uint32 indexed instrument, uint256 amount, uint40 requestedAt
    );
    event WithdrawalCanceled(address indexed account, Kind indexed kind, uint32 indexed instrument);
    /// @dev `paid` is min(requested, balance), possibly 0; the request is closed either way.
    event WithdrawalSettled(
        address indexed account,
        Kind indexed kind,
        uint32 indexed instrument,
        uint256 requested,
        uint256 paid,
        bool released
    );

    error ZeroAddress();
    error NotVault(address caller);
    error NotOperator(address caller);
    error CxptUnavailable();
    error ZeroAmount();
    /// @dev Requests hold up to 2^128-1.
    error AmountTooLarge(uint256 amount);
    error UnknownInstrument(uint32 instrument);
    error NoRequest(address account, Kind kind, uint32 instrument);
    error WindowOpen(uint40 readyAt);
    /// @dev The owner replaced the request after the operator looked at it.
    error RequestChanged(uint256 expected, uint256 actual);

    /// @notice Open the caller's request, or replace it and restart its clock.
    function request(Kind kind, uint32 instrument, uint256 amount) external;

    /// @notice The Vault's door to `request` for the account that called it. Vault only.
    function requestFor(address account, Kind kind, uint256 amount) external;

    /// @notice Withdraw the caller's request.
    function cancel(Kind kind, uint32 instrument) external;

    /// @notice Pay a request before its window has passed, if it still asks for `amount`. Operator only.
    /// @dev    The operator releases what leaves enough for the owner's matches that are not settled yet; naming the
    ///         amount keeps the owner from replacing the request by a larger one in the meantime.
    /// @return paid min(requested, balance)
    function release(address account, Kind kind, uint32 instrument, uint256 amount) external returns (uint256 paid);

    /// @notice Pay a request whose window has passed. Anyone.
    /// @dev    If the transfer to the owner fails, the call reverts and the request stays open; no other request
    ///         notices.
    /// @return paid min(requested, balance)
    function settle(address account, Kind kind, uint32 instrument) external returns (uint256 paid);

    /// @return the open request; amount 0 if there is none
    function requestOf(address account, Kind kind, uint32 instrument) external view returns (Request memory);

    /// @return seconds of the window clock between a request and its forced settlement
    function WINDOW() external view returns (uint40);

    function vault() external view returns (address);

    function engine() external view returns (address);

    function registry() external view returns (address);
}
