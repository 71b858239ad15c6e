// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IPriceOracle} from "./interfaces/IPriceOracle.sol";

/// @title  What all price oracles have in common
/// @notice Which round is the right one for a time, and which prices are believed; see IPriceOracle. Everything is fixed
///         at construction and nobody has a role in it: a market that needs another oracle is another market.
abstract contract PriceOracle is IPriceOracle {
    // ---------------------------------------------------------------------------------------------------------------
    // Types, constants and immutables
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev `exists` means that the round has an answer of its own. `answer` has `exponent` as its power of ten.
    struct Round {
        uint80 id;
        bool exists;
        uint40 updatedAt;
        int256 answer;
        int256 exponent;
    }

    /// @dev A round may be used this long after its successor came, so that a settlement that was built on it passes.
    uint256 internal constant TOLERANCE = 60 seconds;
    int256 private constant PRICE_DECIMALS = 18;

    /// @dev Powers of ten that an answer may be scaled by, either way, without overflowing or losing all of it.
    int256 private constant MAX_SCALE = 36;

    /// @notice How old, in seconds, a round may become before its successor is missed.
    uint256 public immutable maxAge;

    /// @notice Bounds of the prices that are believed, inclusive, with 18 decimals.
    uint256 public immutable minPrice;
    uint256 public immutable maxPrice;

    /// @dev `field` names the constructor's argument that is out of range.
    error InvalidParameter(string field);

    // ---------------------------------------------------------------------------------------------------------------
    // Construction
    // ---------------------------------------------------------------------------------------------------------------

    constructor(uint256 maxAge_, uint256 minPrice_, uint256 maxPrice_) {
        if (maxAge_ == 0 || maxAge_ > 7 days) revert InvalidParameter("maxAge");
        if (minPrice_ == 0) revert InvalidParameter("minPrice");
        if (maxPrice_ < minPrice_ || maxPrice_ > type(uint128).max) revert InvalidParameter("maxPrice");
        maxAge = maxAge_;
        minPrice = minPrice_;
        maxPrice = maxPrice_;
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Prices
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IPriceOracle
    function latest() external view returns (uint80 id, uint256 price, uint40 updatedAt) {
        _checkLive();
        Round memory round = _latestRound();
        if (!round.exists) revert IncompleteRound(round.id);
        bool isFresh = round.updatedAt <= block.timestamp && block.timestamp - round.updatedAt <= maxAge;
        if (!isFresh) revert StalePrice(round.id, round.updatedAt);
        return (round.id, _priceOf(round), round.updatedAt);
    }

    /// @inheritdoc IPriceOracle
    function priceAt(uint80 id, uint40 time) external view returns (uint256) {
        _checkLive();
        Round memory round = _roundOf(id);
        bool isRight = round.exists && round.updatedAt <= time && time - round.updatedAt <= maxAge;
        if (!isRight) revert WrongRound(id, time);
        (bool isKnown, Round memory successor) = _successorOf(id);
        isRight = isKnown && (!successor.exists || successor.updatedAt + TOLERANCE > time);
        if (!isRight) revert WrongRound(id, time);
        return _priceOf(round);
    }

    /// @inheritdoc IPriceOracle
    function priceAcross(uint80 id, uint40 time) external view returns (uint256) {
        Round memory round = _roundOf(id);
        if (!round.exists || round.updatedAt > time) revert WrongRound(id, time);
        (bool isKnown, Round memory successor) = _successorOf(id);
        if (!isKnown || !successor.exists || successor.updatedAt <= time) revert WrongRound(id, time);
        return _priceOf(round);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // What a feed provides
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev Reverts while the chain was not reachable for everybody.
    function _checkLive() internal view virtual {}

    function _latestRound() internal view virtual returns (Round memory);

    /// @dev A round that the feed does not know does not exist.
    function _roundOf(uint80 id) internal view virtual returns (Round memory);

    /// @dev The successor of an existing round, which does not exist if the round is the latest; or `isKnown` false if
    ///      the feed does not say which it is.
    function _successorOf(uint80 id) internal view virtual returns (bool isKnown, Round memory successor);

    // ---------------------------------------------------------------------------------------------------------------
    // Internals
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev The round's price with 18 decimals, if it is believed. Digits beyond that are cut off.
    function _priceOf(Round memory round) internal view returns (uint256 price) {
        int256 scale = PRICE_DECIMALS + round.exponent;
        bool isValid = round.answer > 0 && round.answer <= type(int128).max && scale >= -MAX_SCALE && scale <= MAX_SCALE;
        if (!isValid) revert InvalidAnswer(round.id, round.answer);
        uint256 answer = uint256(round.answer);
        price = scale >= 0 ? answer * 10 ** uint256(scale) : answer / 10 ** uint256(-scale);
        if (price < minPrice || price > maxPrice) revert PriceOutOfBounds(round.id, price);
    }
}
