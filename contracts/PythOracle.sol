// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IPyth} from "./interfaces/external/IPyth.sol";
import {PriceOracle} from "./PriceOracle.sol";

/// @title  PythOracle
/// @notice A Pyth feed of USD per whole unit, in rounds of this contract's own; see IPriceOracle. Pyth signs prices off
///         chain and anybody may bring one here: it becomes the next round if it is later than all before, fresh, and
///         its confidence interval is narrow. So rounds are as dense as somebody makes them, one per second at most.
contract PythOracle is PriceOracle {
    // ---------------------------------------------------------------------------------------------------------------
    // Types, constants and immutables
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev One storage word: the price with 18 decimals, and Pyth's publish time.
    struct StoredRound {
        uint216 price;
        uint40 updatedAt;
    }

    int256 private constant STORED_EXPONENT = -18;
    uint256 private constant MAX_CONFIDENCE_BPS = 1_000;
    uint256 private constant BPS = 10_000;

    IPyth public immutable pyth;

    /// @notice Pyth's id of the price.
    bytes32 public immutable priceId;

    /// @notice The widest confidence interval that is accepted, to one side, in basis points of the price.
    uint256 public immutable maxConfidenceBps;

    // ---------------------------------------------------------------------------------------------------------------
    // Storage
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice The id of the latest round; 0 before the first.
    uint80 public lastRound;

    mapping(uint80 id => StoredRound) private _rounds;

    // ---------------------------------------------------------------------------------------------------------------
    // Events and errors
    // ---------------------------------------------------------------------------------------------------------------

    event RoundStored(uint80 indexed round, uint256 price, uint40 updatedAt);

    /// @dev The update is not later than the latest round: an old one, or the same once more.
    error NotLater(uint40 publishTime, uint40 updatedAt);
    error WideConfidence(int64 price, uint64 confidence);
    error InsufficientFee(uint256 required, uint256 paid);
    error RefundFailed();

    // ---------------------------------------------------------------------------------------------------------------
    // Construction
    // ---------------------------------------------------------------------------------------------------------------

    constructor(
        IPyth pyth_,
        bytes32 priceId_,
        uint256 maxAge_,
        uint256 minPrice_,
        uint256 maxPrice_,
        uint256 maxConfidenceBps_
    ) PriceOracle(maxAge_, minPrice_, maxPrice_) {
        if (address(pyth_).code.length == 0) revert InvalidParameter("pyth");
        if (priceId_ == 0) revert InvalidParameter("priceId");
        if (maxConfidenceBps_ == 0 || maxConfidenceBps_ > MAX_CONFIDENCE_BPS) revert InvalidParameter("maxConfidenceBps");
        pyth = pyth_;
        priceId = priceId_;
        maxConfidenceBps = maxConfidenceBps_;
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Updates
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Store the price in `updateData`, which Pyth has signed, as the next round. The value pays Pyth's fee; what
    ///         is above it is paid back.
    /// @return id of the new round
    function update(bytes[] calldata updateData) external payable returns (uint80 id) {
        uint256 fee = pyth.getUpdateFee(updateData);
        if (msg.value < fee) revert InsufficientFee(fee, msg.value);
        id = _store(_verified(updateData, fee));
        if (msg.value > fee) {
            (bool success,) = msg.sender.call{value: msg.value - fee}("");
            if (!success) revert RefundFailed();
        }
    }

    /// @dev Pyth checks signatures, the id and that the time is within what is fresh: less than TOLERANCE ago, so that the
    ///      round that anybody had used before is still good for every time up to now.
    function _verified(bytes[] calldata updateData, uint256 fee) private returns (IPyth.Price memory) {
        bytes32[] memory ids = new bytes32[](1);
        ids[0] = priceId;
        uint64 time = uint64(block.timestamp);
        uint64 earliest = time - uint64(TOLERANCE) + 1;
        return pyth.parsePriceFeedUpdates{value: fee}(updateData, ids, earliest, time)[0].price;
    }

    function _store(IPyth.Price memory price) private returns (uint80 id) {
        id = lastRound;
        uint40 publishTime = uint40(price.publishTime);
        uint40 updatedAt = _rounds[id].updatedAt;
        if (publishTime <= updatedAt) revert NotLater(publishTime, updatedAt);

        lastRound = ++id;
        uint256 price18 = _priceOf(Round(id, true, publishTime, price.value, price.expo));
        bool isNarrow = uint256(price.conf) * BPS <= uint256(uint64(price.value)) * maxConfidenceBps;
        if (!isNarrow) revert WideConfidence(price.value, price.conf);
        _rounds[id] = StoredRound(uint216(price18), publishTime);
        emit RoundStored(id, price18, publishTime);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Rounds
    // ---------------------------------------------------------------------------------------------------------------

    function _latestRound() internal view override returns (Round memory) {
        return _roundOf(lastRound);
    }

    function _roundOf(uint80 id) internal view override returns (Round memory) {
        StoredRound memory stored = _rounds[id];
        return Round(id, stored.updatedAt != 0, stored.updatedAt, int256(uint256(stored.price)), STORED_EXPONENT);
    }

    function _successorOf(uint80 id) internal view override returns (bool, Round memory) {
        return (true, _roundOf(id + 1));
    }
}
