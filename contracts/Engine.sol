// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Ownable2StepUpgradeable} from "@openzeppelin/contracts-upgradeable/access/Ownable2StepUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {EngineBase} from "./engine/EngineBase.sol";
import {EngineCustody} from "./engine/EngineCustody.sol";
import {Settlement} from "./engine/Settlement.sol";
import {IBatchPacker} from "./interfaces/IBatchPacker.sol";
import {IEngine} from "./interfaces/IEngine.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Entry, EntryLib} from "./libraries/BatchWords.sol";
import {OrderLib} from "./libraries/OrderLib.sol";

/// @title  Engine
/// @notice The settlement engine, spot balances and order state; see IEngine.
contract Engine is Ownable2StepUpgradeable, UUPSUpgradeable, Settlement, EngineCustody {
    using Address for address;

    // ---------------------------------------------------------------------------------------------------------------
    // Construction and wiring
    // ---------------------------------------------------------------------------------------------------------------

    constructor(address vault_, address registry_, address packer_) EngineBase(vault_, registry_, packer_) {
        _disableInitializers();
    }

    /// @notice Set the roles and the fee. Called by the proxy's constructor.
    /// @param feeBps_ basis points of the notional per side, at most MAX_FEE_BPS
    function initialize(address owner_, address operator_, address guardian_, uint16 feeBps_) external initializer {
        if (feeBps_ > MAX_FEE_BPS) revert FeeTooHigh(feeBps_, MAX_FEE_BPS);
        __Ownable_init(owner_);
        _setOperator(operator_);
        _setGuardian(guardian_);
        _engineStorage().feeBps = feeBps_;
    }

    /// @inheritdoc IEngine
    function connect(address queue_, address orderControl_, address clearinghouse_) external onlyOwner {
        EngineStorage storage $ = _engineStorage();
        if ($.queue != address(0)) revert AlreadyConnected();
        if (queue_ == address(0) || orderControl_ == address(0) || clearinghouse_ == address(0)) revert ZeroAddress();
        $.queue = queue_;
        $.orderControl = orderControl_;
        $.clearinghouse = clearinghouse_;
        emit Connected(queue_, orderControl_, clearinghouse_);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Settlement
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev Whoever may settle now: the operator, unless settlement is halted.
    modifier onlySettling() {
        EngineStorage storage $ = _engineStorage();
        if (msg.sender != $.operator) revert NotOperator(msg.sender);
        if ($.halted && block.timestamp < $.haltedUntil) revert EngineHalted($.haltedUntil);
        _;
    }

    /// @inheritdoc IEngine
    function settleBatch(bytes calldata packed) external onlySettling {
        _settle(packed);
    }

    /// @inheritdoc IEngine
    /// @dev The packer takes the same arguments, so they are handed on as they came.
    function settleBatch(Batch calldata) external onlySettling {
        bytes memory call = bytes.concat(IBatchPacker.pack.selector, msg.data[4:]);
        _settle(abi.decode(packer.functionStaticCall(call), (bytes)));
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Guardian
    // ---------------------------------------------------------------------------------------------------------------

    modifier onlyGuardian() {
        if (msg.sender != _engineStorage().guardian) revert NotGuardian(msg.sender);
        _;
    }

    /// @inheritdoc IEngine
    function halt() external onlyGuardian {
        EngineStorage storage $ = _engineStorage();
        (uint40 from, uint40 until) = ($.haltedAt, $.haltedUntil);
        if (until != 0 && block.timestamp < until + HALT_PAUSE) revert HaltTooSoon(until + HALT_PAUSE);
        uint40 time = _now();
        $.haltedTotal += until - from;
        $.haltedAt = time;
        $.haltedUntil = time + MAX_HALT;
        $.halted = true;
        emit HaltStarted(time + MAX_HALT);
    }

    /// @inheritdoc IEngine
    function endHalt() external onlyGuardian {
        EngineStorage storage $ = _engineStorage();
        uint40 time = _now();
        if (time >= $.haltedUntil) revert NotHalted();
        $.haltedUntil = time;
        emit HaltEnded(time);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Owner
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IEngine
    function setOperator(address operator_) external onlyOwner {
        _setOperator(operator_);
    }

    /// @inheritdoc IEngine
    function setGuardian(address guardian_) external onlyOwner {
        _setGuardian(guardian_);
    }

    /// @inheritdoc IEngine
    function scheduleFee(uint16 feeBps_, uint40 at) external onlyOwner {
        EngineStorage storage $ = _engineStorage();
        if (feeBps_ > MAX_FEE_BPS) revert FeeTooHigh(feeBps_, MAX_FEE_BPS);
        uint40 notBefore = _now() + WINDOW;
        if (at < notBefore) revert FeeChangeTooSoon(notBefore);
        uint40 pending = $.feeChangeAt;
        if (pending != 0 && pending < notBefore) {
            // A batch from before it may still come. (If it has not begun, one from now at least.)
            if (_lowestMatch($) < pending) revert FeeChangePending(pending);
            $.feeBps = $.nextFeeBps;
        }
        $.nextFeeBps = feeBps_;
        $.feeChangeAt = at;
        emit FeeScheduled(feeBps_, at);
    }

    /// @inheritdoc IEngine
    function collectFees(address recipient) external onlyOwner {
        if (recipient == address(0)) revert ZeroAddress();
        uint256 amount = IVault(vault).collectableFees();
        if (amount == 0) revert ZeroAmount();
        uint256[] memory entries = new uint256[](2);
        int256[] memory deltas = new int256[](2);
        entries[0] = Entry.unwrap(EntryLib.unsigned(address(this)));
        entries[1] = Entry.unwrap(EntryLib.unsigned(recipient));
        // The casts are exact: shares are below 2^128.
        (deltas[0], deltas[1]) = (-int256(amount), int256(amount));
        emit FeesCollected(recipient, amount);
        IVault(vault).settle(entries, deltas);
    }

    function _setOperator(address operator_) private {
        if (operator_ == address(0)) revert ZeroAddress();
        _engineStorage().operator = operator_;
        emit OperatorChanged(operator_);
    }

    function _setGuardian(address guardian_) private {
        if (guardian_ == address(0)) revert ZeroAddress();
        _engineStorage().guardian = guardian_;
        emit GuardianChanged(guardian_);
    }

    /// @dev Upgrades are the owner's alone.
    function _authorizeUpgrade(address) internal override onlyOwner {}

    // ---------------------------------------------------------------------------------------------------------------
    // Views
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IEngine
    function clock() external view returns (uint40) {
        EngineStorage storage $ = _engineStorage();
        uint40 time = _now();
        uint40 until = $.haltedUntil;
        return time - $.haltedTotal - ((until < time ? until : time) - $.haltedAt);
    }

    /// @inheritdoc IEngine
    function operator() external view returns (address) {
        return _engineStorage().operator;
    }

    /// @inheritdoc IEngine
    function guardian() external view returns (address) {
        return _engineStorage().guardian;
    }

    /// @inheritdoc IEngine
    function queue() external view returns (address) {
        return _engineStorage().queue;
    }

    /// @inheritdoc IEngine
    function orderControl() external view returns (address) {
        return _engineStorage().orderControl;
    }

    /// @inheritdoc IEngine
    function clearinghouse() external view returns (address) {
        return _engineStorage().clearinghouse;
    }

    /// @inheritdoc IEngine
    function lastBatch() external view returns (uint48 number, uint40 matchedAt) {
        EngineStorage storage $ = _engineStorage();
        return ($.batch, $.matchedAt);
    }

    /// @inheritdoc IEngine
    function lastHalt() external view returns (uint40 startedAt, uint40 until) {
        EngineStorage storage $ = _engineStorage();
        return ($.haltedAt, $.haltedUntil);
    }

    /// @inheritdoc IEngine
    function feeBps() external view returns (uint16) {
        return _feeAt(_engineStorage(), _now());
    }

    /// @inheritdoc IEngine
    function feeSchedule() external view returns (uint16 current, uint16 next, uint40 at) {
        EngineStorage storage $ = _engineStorage();
        return ($.feeBps, $.nextFeeBps, $.feeChangeAt);
    }

    /// @inheritdoc IEngine
    function domainSeparator() external view returns (bytes32) {
        return OrderLib.domainSeparator(address(this));
    }

    /// @inheritdoc IEngine
    function hashOrder(Order calldata order) external pure returns (bytes32) {
        return OrderLib.hash(order);
    }

    /// @inheritdoc IEngine
    function orderDigest(Order calldata order) external view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(OrderLib.domainSeparator(address(this)), OrderLib.hash(order));
    }
}
