// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IEngine} from "./interfaces/IEngine.sol";
import {IMarketRegistry} from "./interfaces/IMarketRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {IWithdrawalQueue} from "./interfaces/IWithdrawalQueue.sol";

/// @title  WithdrawalQueue
/// @notice The only way out of the Vault and the Engine; see IWithdrawalQueue. It has no owner and cannot be upgraded.
contract WithdrawalQueue is ReentrancyGuardTransient, IWithdrawalQueue {
    // ---------------------------------------------------------------------------------------------------------------
    // Constants and immutables
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IWithdrawalQueue
    uint40 public constant override WINDOW = 3600;

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
    function requestFor(address account, Kind kind, uint256 amount) external {
        if (msg.sender != vault) revert NotVault(msg.sender);
        _request(account, kind, 0, amount);
    }

    /// @inheritdoc IWithdrawalQueue
    function cancel(Kind kind, uint32 instrument) external {
        _take(msg.sender, kind, instrument);
        emit WithdrawalCanceled(msg.sender, kind, instrument);
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
        Request memory taken = _take(account, kind, instrument);
        if (taken.amount != amount) revert RequestChanged(amount, taken.amount);
        return _pay(account, kind, instrument, taken.amount, true);
    }

    /// @inheritdoc IWithdrawalQueue
    function settle(address account, Kind kind, uint32 instrument) external nonReentrant returns (uint256 paid) {
        Request memory taken = _take(account, kind, instrument);
        uint40 readyAt = taken.requestedAt + WINDOW;
        if (IEngine(engine).clock() < readyAt) revert WindowOpen(readyAt);
        return _pay(account, kind, instrument, taken.amount, false);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Views
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IWithdrawalQueue
    function requestOf(address account, Kind kind, uint32 instrument) external view returns (Request memory) {
        return _requests[account][_assetOf(kind, instrument)];
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Internals
    // ---------------------------------------------------------------------------------------------------------------

    function _request(address account, Kind kind, uint32 instrument, uint256 amount) private {
        if (kind == Kind.USDC_AS_CXPT) revert CxptUnavailable();
        bool isInstrument = kind == Kind.INSTRUMENT;
        bool isKnown = isInstrument ? IMarketRegistry(registry).asset(instrument).synth != address(0) : instrument == 0;
        if (!isKnown) revert UnknownInstrument(instrument);
        if (amount == 0) revert ZeroAmount();
        if (amount > type(uint128).max) revert AmountTooLarge(amount);
        uint40 requestedAt = IEngine(engine).clock();
        // The cast is exact: the amount was bounded above.
        _requests[account][_assetOf(kind, instrument)] = Request(uint128(amount), requestedAt);
        emit WithdrawalRequested(account, kind, instrument, amount, requestedAt);
    }

    /// @dev Close the request and return what it was.
    function _take(address account, Kind kind, uint32 instrument) private returns (Request memory taken) {
        mapping(uint256 => Request) storage requests = _requests[account];
        uint256 asset = _assetOf(kind, instrument);
        taken = requests[asset];
        if (taken.amount == 0) revert NoRequest(account, kind, instrument);
        delete requests[asset];
    }

    /// @dev Only USDC and INSTRUMENT requests exist, see `_request`.
    function _pay(address account, Kind kind, uint32 instrument, uint256 requested, bool released)
        private
        returns (uint256 paid)
    {
        paid = kind == Kind.INSTRUMENT
            ? IEngine(engine).payOut(account, instrument, requested)
            : IVault(vault).payOut(account, requested);
        emit WithdrawalSettled(account, kind, instrument, requested, paid, released);
    }

    function _assetOf(Kind kind, uint32 instrument) private pure returns (uint256) {
        return uint256(kind) << 32 | instrument;
    }
}
