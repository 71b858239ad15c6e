// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IEngine} from "./IEngine.sol";

/// @title  What traders control apart from trading: delegates and cancels
/// @notice What an account does alone takes effect one window later, so that no match fails to settle; with the
///         operator's consent it is immediate. All signatures are compact (EIP-2098) and of the Engine's EIP-712 domain:
///
///         Delegate(address account,address delegate,uint64 validUntil,uint64 nonce)
///         Cancel(address account,bytes32 orderHash)
///         CancelAll(address account,uint32 epoch)
///
/// # Delegates
/// A delegate signs orders and cancels of an account until `validUntil` (Unix seconds, inclusive). It can do nothing
/// else: neither withdraw nor name delegates. Naming one and prolonging its time is immediate. Shortening never ends it
/// before one window from now, so validUntil becomes max(new, min(old, now + WINDOW)).
///
/// # Cancels
/// A cancel ends a sequence of a nonce key and all below it. `requestCancel` waits a window of the Engine's clock, then
/// anyone applies it. The operator submits what a trader has signed at once. A cancel acts once: it only ever raises the
/// key's sequence.
interface IOrderControl {
    // ---------------------------------------------------------------------------------------------------------------
    // Types
    // ---------------------------------------------------------------------------------------------------------------

    struct CancelRequest {
        uint32 sequence; // the highest that ends
        uint40 requestedAt; // by the Engine's clock
        bool isOpen;
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Events
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev `validUntil` is what holds now, which may be later than what was asked for.
    event DelegateSet(address indexed account, address indexed delegate, uint64 validUntil);
    /// @dev `requestedAt` by the Engine's clock.
    event CancelRequested(
        address indexed account, uint32 indexed instrument, uint32 indexed key, uint32 sequence, uint40 requestedAt
    );
    /// @dev Sequences up to `sequence` of the key have ended.
    event CancelApplied(address indexed account, uint32 indexed instrument, uint32 indexed key, uint32 sequence);
    event OrderCanceled(address indexed account, bytes32 indexed orderHash);
    /// @dev Orders that sign `epoch` have ended.
    event AllCanceled(address indexed account, uint32 epoch);

    // ---------------------------------------------------------------------------------------------------------------
    // Errors
    // ---------------------------------------------------------------------------------------------------------------

    error ZeroAddress();
    error NotOperator(address caller);
    error WrongNonce(uint64 expected, uint64 actual);
    error InvalidSignature();
    error UnknownMarket(uint32 market);
    error SequenceExhausted();
    /// @dev The nonce key of forced orders in a derivative market cannot be ended.
    error ReservedKey();
    error NoRequest(address account, uint32 instrument, uint32 key);
    error WindowOpen(uint40 readyAt);

    // ---------------------------------------------------------------------------------------------------------------
    // Delegates
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Let `delegate` sign for the caller until `validUntil`; 0 revokes. Uses up the account's delegate nonce, so
    ///         that nothing signed before undoes it.
    function setDelegate(address delegate, uint64 validUntil) external;

    /// @notice The same for an account that signed it itself; `nonce` is its delegate nonce. Anyone submits it.
    function setDelegateBySig(
        address account,
        address delegate,
        uint64 validUntil,
        uint64 nonce,
        bytes32 r,
        bytes32 vs
    ) external;

    // ---------------------------------------------------------------------------------------------------------------
    // Cancels
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Ask to end the caller's `sequence` of a nonce key and all below it. A new request for the key replaces the
    ///         one before and restarts its window.
    function requestCancel(uint32 instrument, uint32 key, uint32 sequence) external;

    /// @notice Carry out a request whose window has passed: the key's sequence becomes max(stored, sequence + 1).
    function applyCancel(address account, uint32 instrument, uint32 key) external;

    /// @notice End an order, and all below it of its nonce key, whose Cancel the account or its delegate signed.
    ///         Operator only.
    function cancelBySig(IEngine.Order calldata order, bytes32 r, bytes32 vs) external;

    /// @notice End all orders of an account that sign `epoch`, its current one; the CancelAll is signed by the account or
    ///         its delegate. Operator only.
    function cancelAllBySig(address account, uint32 epoch, bytes32 r, bytes32 vs) external;

    // ---------------------------------------------------------------------------------------------------------------
    // Views
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Seconds of the settlement window.
    function WINDOW() external view returns (uint40);

    function engine() external view returns (address);

    function vault() external view returns (address);

    /// @return until when `delegate` signs for `account`, in Unix seconds; 0 if it never did
    function delegateUntil(address account, address delegate) external view returns (uint64);

    /// @return the nonce of the account's next Delegate message
    function delegateNonce(address account) external view returns (uint64);

    function cancelRequestOf(address account, uint32 instrument, uint32 key)
        external
        view
        returns (CancelRequest memory);
}
