// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  Withdrawals
/// @notice One request per account and asset; a new one replaces it and restarts the clock. Settling pays
///         min(requested, balance) to the owner: by the operator's release at once, by anyone after the window. Amounts
///         are micro-USDC or quanta of the instrument; times are seconds of the Engine's window clock, which stands
///         still during a halt. A request that is ready stays payable during a halt.
///
///         CXPT is redeemed under a rule of its own: the request takes the CXPT from the wallet, where it cannot vote
///         any more, and is paid REDEEM_DELAY of plain time later, never before; canceling gives the CXPT back.
///
///         `Withdraw(address account,uint8 kind,uint32 instrument,uint256 amount,uint64 nonce,uint64 expiry)` is typed
///         data of the Engine's domain (IEngine.domainSeparator).
interface IWithdrawalQueue {
    /// @notice What is withdrawn. `instrument` is 0 unless the kind is INSTRUMENT.
    enum Kind {
        USDC, // from the Vault to the wallet
        USDC_AS_CXPT, // from the Vault; the wallet receives CXPT
        INSTRUMENT, // a spot balance, from the Engine to the wallet
        CXPT_REDEEM // from the wallet; it receives USDC
    }

    struct Request {
        uint128 amount;
        uint40 requestedAt; // window clock; of CXPT_REDEEM: Unix time
    }

    /// @dev `requestedAt` is the request's, see Request.
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
    /// @dev `nonce` will not be accepted any more.
    event NonceUsed(address indexed account, uint64 nonce);

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
    /// @dev CXPT in redemption is never released early.
    error NotReleasable();
    error SignatureExpired(uint64 expiry);
    error WrongNonce(uint64 expected, uint64 actual);
    error InvalidSignature();

    /// @notice Open the caller's request, or replace it and restart its clock.
    /// @dev    CXPT_REDEEM takes the CXPT (of a replacement: the difference) from the caller's wallet, without an
    ///         allowance.
    function request(Kind kind, uint32 instrument, uint256 amount) external;

    /// @notice The same for the account that signed `Withdraw`. Anyone. Only the account's own signature counts, not
    ///         its delegate's.
    /// @param  nonce  the account's `nonceOf`, which grows by one
    /// @param  expiry last second at which the signature is accepted
    /// @param  r      with `vs` the compact signature (EIP-2098)
    function requestBySig(
        address account,
        Kind kind,
        uint32 instrument,
        uint256 amount,
        uint64 nonce,
        uint64 expiry,
        bytes32 r,
        bytes32 vs
    ) external;

    /// @notice Use up the caller's nonce, so that what it signed with it is never accepted.
    function useNonce() external;

    /// @notice The Vault's door to `request` for the account that called it: USDC, paid as CXPT or as it is. Vault only.
    function requestFor(address account, uint256 amount, bool asCxpt) external;

    /// @notice Withdraw the caller's request.
    function cancel(Kind kind, uint32 instrument) external;

    /// @notice Pay a request before its window has passed, if it still asks for `amount`. Operator only.
    /// @dev    The operator releases what leaves enough for the owner's matches that are not settled yet; naming the
    ///         amount keeps the owner from replacing the request by a larger one in the meantime.
    /// @return paid min(requested, balance)
    function release(address account, Kind kind, uint32 instrument, uint256 amount) external returns (uint256 paid);

    /// @notice Pay a request whose window (of CXPT_REDEEM: delay) has passed. Anyone.
    /// @dev    If the transfer to the owner fails, the call reverts and the request stays open; no other request
    ///         notices.
    /// @return paid min(requested, balance)
    function settle(address account, Kind kind, uint32 instrument) external returns (uint256 paid);

    /// @return the open request; amount 0 if there is none
    function requestOf(address account, Kind kind, uint32 instrument) external view returns (Request memory);

    /// @return what the account's next signed request must carry
    function nonceOf(address account) external view returns (uint64);

    /// @return seconds of the window clock between a request and its forced settlement
    function WINDOW() external view returns (uint40);

    /// @return seconds between a request to redeem CXPT and its payment
    function REDEEM_DELAY() external view returns (uint40);

    function vault() external view returns (address);

    function engine() external view returns (address);

    function registry() external view returns (address);
}
