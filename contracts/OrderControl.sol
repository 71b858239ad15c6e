// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IEngine} from "./interfaces/IEngine.sol";
import {IMarketRegistry} from "./interfaces/IMarketRegistry.sol";
import {IOrderControl} from "./interfaces/IOrderControl.sol";
import {IVault} from "./interfaces/IVault.sol";
import {MarketWord} from "./libraries/MarketWord.sol";
import {OrderLib} from "./libraries/OrderLib.sol";
import {SignatureLib} from "./libraries/SignatureLib.sol";

/// @title  OrderControl
/// @notice Delegates and cancels; see IOrderControl. It has no owner and cannot be upgraded.
contract OrderControl is IOrderControl {
    // ---------------------------------------------------------------------------------------------------------------
    // Constants and immutables
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IOrderControl
    uint40 public constant override WINDOW = 3600;

    bytes32 private constant DELEGATE_TYPEHASH =
        keccak256("Delegate(address account,address delegate,uint64 validUntil,uint64 nonce)");
    bytes32 private constant CANCEL_TYPEHASH = keccak256("Cancel(address account,bytes32 orderHash)");
    bytes32 private constant CANCEL_ALL_TYPEHASH = keccak256("CancelAll(address account,uint32 epoch)");

    /// @dev The nonce key of forced orders in derivative markets.
    uint32 private constant RESERVED_KEY = type(uint32).max;

    /// @inheritdoc IOrderControl
    address public immutable override engine;

    /// @inheritdoc IOrderControl
    address public immutable override vault;

    address private immutable _registry;

    // ---------------------------------------------------------------------------------------------------------------
    // Storage
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IOrderControl
    mapping(address account => mapping(address delegate => uint64 validUntil)) public override delegateUntil;

    /// @inheritdoc IOrderControl
    mapping(address account => uint64 nonce) public override delegateNonce;

    /// @dev nonceKey = instrument << 32 | key
    mapping(address account => mapping(uint256 nonceKey => CancelRequest)) private _requests;

    // ---------------------------------------------------------------------------------------------------------------
    // Construction
    // ---------------------------------------------------------------------------------------------------------------

    constructor(address engine_, address vault_) {
        if (engine_ == address(0) || vault_ == address(0)) revert ZeroAddress();
        engine = engine_;
        vault = vault_;
        _registry = IEngine(engine_).registry();
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Delegates
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IOrderControl
    function setDelegate(address delegate, uint64 validUntil) external {
        _setDelegate(msg.sender, delegate, validUntil);
    }

    /// @inheritdoc IOrderControl
    function setDelegateBySig(
        address account,
        address delegate,
        uint64 validUntil,
        uint64 nonce,
        bytes32 r,
        bytes32 vs
    ) external {
        uint64 expected = delegateNonce[account];
        if (nonce != expected) revert WrongNonce(expected, nonce);
        bytes32 hash = keccak256(abi.encode(DELEGATE_TYPEHASH, account, delegate, validUntil, nonce));
        if (_signerOf(hash, r, vs) != account) revert InvalidSignature();
        _setDelegate(account, delegate, validUntil);
    }

    /// @dev A signature may be in a match that has not settled yet, so its delegate's time is never cut at once.
    function _setDelegate(address account, address delegate, uint64 validUntil) private {
        // The zero address is the signer of malformed signatures, and what the zero account signs.
        if (account == address(0) || delegate == address(0)) revert ZeroAddress();
        uint64 earliest = SafeCast.toUint64(block.timestamp) + WINDOW;
        uint64 old = delegateUntil[account][delegate];
        uint64 kept = old < earliest ? old : earliest;
        if (validUntil < kept) validUntil = kept;
        delegateUntil[account][delegate] = validUntil;
        ++delegateNonce[account];
        emit DelegateSet(account, delegate, validUntil);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Cancels by the account alone
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IOrderControl
    function requestCancel(uint32 instrument, uint32 key, uint32 sequence) external {
        _checkCancel(instrument, key, sequence);
        uint40 requestedAt = IEngine(engine).clock();
        _requests[msg.sender][_nonceKey(instrument, key)] = CancelRequest(sequence, requestedAt, true);
        emit CancelRequested(msg.sender, instrument, key, sequence, requestedAt);
    }

    /// @inheritdoc IOrderControl
    function applyCancel(address account, uint32 instrument, uint32 key) external {
        uint256 nonceKey = _nonceKey(instrument, key);
        CancelRequest memory request = _requests[account][nonceKey];
        if (!request.isOpen) revert NoRequest(account, instrument, key);
        uint40 readyAt = request.requestedAt + WINDOW;
        if (IEngine(engine).clock() < readyAt) revert WindowOpen(readyAt);
        delete _requests[account][nonceKey];
        _end(account, instrument, key, request.sequence);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Cancels with the operator
    // ---------------------------------------------------------------------------------------------------------------

    modifier onlyOperator() {
        if (msg.sender != IEngine(engine).operator()) revert NotOperator(msg.sender);
        _;
    }

    /// @inheritdoc IOrderControl
    function cancelBySig(IEngine.Order calldata order, bytes32 r, bytes32 vs) external onlyOperator {
        bytes32 orderHash = OrderLib.hash(order);
        _checkSignature(order.account, keccak256(abi.encode(CANCEL_TYPEHASH, order.account, orderHash)), r, vs);
        uint32 instrument = _instrumentOf(order.market);
        // The casts take the nonce's halves.
        (uint32 key, uint32 sequence) = (uint32(order.nonce >> 32), uint32(order.nonce));
        _checkCancel(instrument, key, sequence);
        emit OrderCanceled(order.account, orderHash);
        _end(order.account, instrument, key, sequence);
    }

    /// @inheritdoc IOrderControl
    function cancelAllBySig(address account, uint32 epoch, bytes32 r, bytes32 vs) external onlyOperator {
        _checkSignature(account, keccak256(abi.encode(CANCEL_ALL_TYPEHASH, account, epoch)), r, vs);
        emit AllCanceled(account, epoch);
        IVault(vault).bumpEpoch(account, epoch);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Views
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IOrderControl
    function cancelRequestOf(address account, uint32 instrument, uint32 key)
        external
        view
        returns (CancelRequest memory)
    {
        return _requests[account][_nonceKey(instrument, key)];
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Internals
    // ---------------------------------------------------------------------------------------------------------------

    function _checkCancel(uint32 instrument, uint32 key, uint32 sequence) private view {
        if (sequence == type(uint32).max) revert SequenceExhausted();
        // What is no asset is a derivative. If its key could be ended, so could liquidations.
        bool isReserved =
            key == RESERVED_KEY && IMarketRegistry(_registry).asset(instrument).synth == address(0);
        if (isReserved) revert ReservedKey();
    }

    function _end(address account, uint32 instrument, uint32 key, uint32 sequence) private {
        emit CancelApplied(account, instrument, key, sequence);
        IEngine(engine).endKey(account, instrument, key, sequence + 1);
    }

    /// @dev Whether the account or its delegate signed.
    function _checkSignature(address account, bytes32 hash, bytes32 r, bytes32 vs) private view {
        address signer = _signerOf(hash, r, vs);
        if (signer == address(0)) revert InvalidSignature();
        if (signer != account && delegateUntil[account][signer] < block.timestamp) revert InvalidSignature();
    }

    function _signerOf(bytes32 hash, bytes32 r, bytes32 vs) private view returns (address) {
        bytes32 separator = OrderLib.domainSeparator(engine);
        return SignatureLib.recover(MessageHashUtils.toTypedDataHash(separator, hash), r, vs);
    }

    function _instrumentOf(uint32 market) private view returns (uint32) {
        uint32[] memory ids = new uint32[](1);
        ids[0] = market;
        MarketWord word = IMarketRegistry(_registry).marketWords(ids)[0];
        if (MarketWord.unwrap(word) == 0) revert UnknownMarket(market);
        return word.instrument();
    }

    function _nonceKey(uint32 instrument, uint32 key) private pure returns (uint256) {
        return uint256(instrument) << 32 | key;
    }
}
