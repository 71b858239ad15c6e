// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ICXPT} from "./interfaces/ICXPT.sol";
import {IEngine} from "./interfaces/IEngine.sol";
import {IMarketRegistry} from "./interfaces/IMarketRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {IWithdrawalQueue} from "./interfaces/IWithdrawalQueue.sol";
import {SignatureLib} from "./libraries/SignatureLib.sol";

/// @title  WithdrawalQueue
/// @notice The only way out of the Vault and the Engine; see IWithdrawalQueue. It has no owner and cannot be upgraded.
contract WithdrawalQueue is ReentrancyGuardTransient, IWithdrawalQueue {
    using SafeERC20 for ICXPT;

    // ---------------------------------------------------------------------------------------------------------------
    // Constants and immutables
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IWithdrawalQueue
    uint40 public constant override WINDOW = 3600;

    /// @inheritdoc IWithdrawalQueue
    uint40 public constant override REDEEM_DELAY = 48 hours;

    bytes32 private constant WITHDRAW_TYPEHASH = keccak256(
        "Withdraw(address account,uint8 kind,uint32 instrument,uint256 amount,uint64 nonce,uint64 expiry)"
    );

    /// @inheritdoc IWithdrawalQueue
    address public immutable override vault;

    /// @inheritdoc IWithdrawalQueue
    address public immutable override engine;

    /// @inheritdoc IWithdrawalQueue
    address public immutable override registry;

    // ---------------------------------------------------------------------------------------------------------------
    // Storage
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev asset = kind << 32 | instrument
    mapping(address account => mapping(uint256 asset => Request)) private _requests;

    mapping(address account => uint64) private _nonces;

    // ---------------------------------------------------------------------------------------------------------------
    // Construction
    // ---------------------------------------------------------------------------------------------------------------

    constructor(address vault_, address engine_, address registry_) {
        if (vault_ == address(0) || engine_ == address(0) || registry_ == address(0)) revert ZeroAddress();
        vault = vault_;
        engine = engine_;
        registry = registry_;
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Requests
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IWithdrawalQueue
    function request(Kind kind, uint32 instrument, uint256 amount) external {
        _request(msg.sender, kind, instrument, amount);
    }

    /// @inheritdoc IWithdrawalQueue
    function requestBySig(
        address account,
        Kind kind,
        uint32 instrument,
        uint256 amount,
        uint64 nonce,
        uint64 expiry,
        bytes32 r,
        bytes32 vs
    ) external {
        if (block.timestamp > expiry) revert SignatureExpired(expiry);
        uint64 expected = _nonces[account];
        if (nonce != expected) revert WrongNonce(expected, nonce);
        bytes32 hash = keccak256(abi.encode(WITHDRAW_TYPEHASH, account, kind, instrument, amount, nonce, expiry));
        bytes32 digest = MessageHashUtils.toTypedDataHash(IEngine(engine).domainSeparator(), hash);
        address signer = SignatureLib.recover(digest, r, vs);
        if (signer == address(0) || signer != account) revert InvalidSignature();
        _useNonce(account);
        _request(account, kind, instrument, amount);
    }

    /// @inheritdoc IWithdrawalQueue
    function useNonce() external {
        _useNonce(msg.sender);
    }

    /// @inheritdoc IWithdrawalQueue
    /// @dev    No other kind, so that not even another version of the Vault takes CXPT from a wallet.
    function requestFor(address account, uint256 amount, bool asCxpt) external {
        if (msg.sender != vault) revert NotVault(msg.sender);
        _request(account, asCxpt ? Kind.USDC_AS_CXPT : Kind.USDC, 0, amount);
    }

    /// @inheritdoc IWithdrawalQueue
    function cancel(Kind kind, uint32 instrument) external {
        Request memory taken = _take(msg.sender, kind, instrument);
        emit WithdrawalCanceled(msg.sender, kind, instrument);
        if (kind == Kind.CXPT_REDEEM) _cxpt().safeTransfer(msg.sender, taken.amount);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Settlement
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IWithdrawalQueue
    function release(address account, Kind kind, uint32 instrument, uint256 amount)
        external
        nonReentrant
        returns (uint256 paid)
    {
        if (msg.sender != IEngine(engine).operator()) revert NotOperator(msg.sender);
        if (kind == Kind.CXPT_REDEEM) revert NotReleasable();
        Request memory taken = _take(account, kind, instrument);
        if (taken.amount != amount) revert RequestChanged(amount, taken.amount);
        return _pay(account, kind, instrument, taken.amount, true);
    }

    /// @inheritdoc IWithdrawalQueue
    function settle(address account, Kind kind, uint32 instrument) external nonReentrant returns (uint256 paid) {
        Request memory taken = _take(account, kind, instrument);
        uint40 readyAt = taken.requestedAt + (kind == Kind.CXPT_REDEEM ? REDEEM_DELAY : WINDOW);
        if (_clockOf(kind) < readyAt) revert WindowOpen(readyAt);
        return _pay(account, kind, instrument, taken.amount, false);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Views
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IWithdrawalQueue
    function requestOf(address account, Kind kind, uint32 instrument) external view returns (Request memory) {
        return _requests[account][_assetOf(kind, instrument)];
    }

    /// @inheritdoc IWithdrawalQueue
    function nonceOf(address account) external view returns (uint64) {
        return _nonces[account];
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Internals
    // ---------------------------------------------------------------------------------------------------------------

    function _request(address account, Kind kind, uint32 instrument, uint256 amount) private {
        bool isInstrument = kind == Kind.INSTRUMENT;
        bool isKnown = isInstrument ? IMarketRegistry(registry).asset(instrument).synth != address(0) : instrument == 0;
        if (!isKnown) revert UnknownInstrument(instrument);
        if (amount == 0) revert ZeroAmount();
        if (amount > type(uint128).max) revert AmountTooLarge(amount);
        if (kind == Kind.USDC_AS_CXPT) _cxpt(); // it exists
        uint40 requestedAt = _clockOf(kind);
        Request storage stored = _requests[account][_assetOf(kind, instrument)];
        uint256 replaced = stored.amount;
        // The cast is exact: the amount was bounded above.
        (stored.amount, stored.requestedAt) = (uint128(amount), requestedAt);
        emit WithdrawalRequested(account, kind, instrument, amount, requestedAt);
        if (kind == Kind.CXPT_REDEEM) _lock(_cxpt(), account, replaced, amount);
    }

    /// @dev Hold `amount` of the account's CXPT, of which `held` is here already.
    function _lock(ICXPT token, address account, uint256 held, uint256 amount) private {
        if (amount > held) token.safeTransferFrom(account, address(this), amount - held);
        if (amount < held) token.safeTransfer(account, held - amount);
    }

    function _useNonce(address account) private {
        uint64 nonce = _nonces[account]++;
        emit NonceUsed(account, nonce);
    }

    /// @dev Close the request and return what it was.
    function _take(address account, Kind kind, uint32 instrument) private returns (Request memory taken) {
        mapping(uint256 => Request) storage requests = _requests[account];
        uint256 asset = _assetOf(kind, instrument);
        taken = requests[asset];
        if (taken.amount == 0) revert NoRequest(account, kind, instrument);
        delete requests[asset];
    }

    function _pay(address account, Kind kind, uint32 instrument, uint256 requested, bool released)
        private
        returns (uint256 paid)
    {
        if (kind == Kind.USDC) {
            paid = IVault(vault).payOut(account, requested);
        } else if (kind == Kind.USDC_AS_CXPT) {
            paid = IVault(vault).payOutAsCxpt(account, requested);
        } else if (kind == Kind.INSTRUMENT) {
            paid = IEngine(engine).payOut(account, instrument, requested);
        } else {
            IVault(vault).redeemCxpt(account, requested);
            paid = requested;
        }
        emit WithdrawalSettled(account, kind, instrument, requested, paid, released);
    }

    /// @dev The clock of a kind's requests: redemption is not delayed by a halt.
    function _clockOf(Kind kind) private view returns (uint40) {
        return kind == Kind.CXPT_REDEEM ? SafeCast.toUint40(block.timestamp) : IEngine(engine).clock();
    }

    /// @dev The token that the Vault mints; it is set once.
    function _cxpt() private view returns (ICXPT token) {
        token = ICXPT(IVault(vault).cxpt());
        if (address(token) == address(0)) revert CxptUnavailable();
    }

    function _assetOf(Kind kind, uint32 instrument) private pure returns (uint256) {
        return uint256(kind) << 32 | instrument;
    }
}
