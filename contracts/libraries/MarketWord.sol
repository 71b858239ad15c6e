// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Bools} from "./Bools.sol";

/// @notice What settlement needs to know of a market, in one storage word.
///
///   255         224 223  216 215    208 207       168 167              112
///  +---------------+--------+----------+-------------+--------------------+
///  | instrument 32 | kind 8 | status 8 | statusAt 40 | maxPricePerLot 56  |
///  +---------------+--------+----------+-------------+--------------------+
///   111          72 71        40 39           16 15            8 7         0
///  +---------------+------------+---------------+---------------+----------+
///  |maxQuantity 40 |tickPerLot32|lotMantissa 24 | lotExponent 8 | flags 8  |
///  +---------------+------------+---------------+---------------+----------+
///   flags:   7            6   5   4                                      0
///          +--------------+-------+----------------------------------------+
///          |crossQuoted 1 |   0   | baseDecimals 5                         |
///          +--------------+-------+----------------------------------------+
///
/// The instrument is the base asset of a spot market and the market itself of a derivative. lotSize = lotMantissa *
/// 10^lotExponent quanta of the base asset, whose whole unit has 10^baseDecimals. tickPerLot and maxPricePerLot are in
/// the unit of the market's order prices: micro-USDC per lot, or 10^-12 whole quote units per lot if it is quoted in
/// another asset than USDC. kind and status are the values of IMarketRegistry's enums; statusAt is in Unix seconds. The
/// word of an unknown market is zero.
type MarketWord is uint256;

using MarketWordLib for MarketWord global;

/// @title  Accessors of the market word
library MarketWordLib {
    uint256 private constant INSTRUMENT_SHIFT = 224;
    uint256 private constant KIND_SHIFT = 216;
    uint256 private constant STATUS_SHIFT = 208;
    uint256 private constant STATUS_AT_SHIFT = 168;
    uint256 private constant MAX_PRICE_SHIFT = 112;
    uint256 private constant MAX_QUANTITY_SHIFT = 72;
    uint256 private constant TICK_SHIFT = 40;
    uint256 private constant LOT_MANTISSA_SHIFT = 16;
    uint256 private constant LOT_EXPONENT_SHIFT = 8;
    uint256 private constant CROSS_QUOTED_BIT = 1 << 7;
    uint256 private constant BASE_DECIMALS_MASK = (1 << 5) - 1;
    uint256 private constant STATUS_MASK = (uint256(type(uint8).max) << STATUS_SHIFT)
        | (uint256(type(uint40).max) << STATUS_AT_SHIFT);

    /// @dev baseDecimals_ must be below 32; the registry allows 24.
    function pack(
        uint32 instrument_,
        uint8 kind_,
        uint8 status_,
        uint40 statusAt_,
        uint56 maxPricePerLot_,
        uint40 maxQuantity_,
        uint32 tickPerLot_,
        uint24 lotMantissa_,
        uint8 lotExponent_,
        uint8 baseDecimals_,
        bool isCrossQuoted_
    ) internal pure returns (MarketWord) {
        return MarketWord.wrap(
            (uint256(instrument_) << INSTRUMENT_SHIFT) | (uint256(kind_) << KIND_SHIFT)
                | (uint256(status_) << STATUS_SHIFT) | (uint256(statusAt_) << STATUS_AT_SHIFT)
                | (uint256(maxPricePerLot_) << MAX_PRICE_SHIFT) | (uint256(maxQuantity_) << MAX_QUANTITY_SHIFT)
                | (uint256(tickPerLot_) << TICK_SHIFT) | (uint256(lotMantissa_) << LOT_MANTISSA_SHIFT)
                | (uint256(lotExponent_) << LOT_EXPONENT_SHIFT) | uint256(baseDecimals_)
                | (isCrossQuoted_ ? CROSS_QUOTED_BIT : 0)
        );
    }

    /// @notice The same word with another status.
    function withStatus(MarketWord word, uint8 status_, uint40 statusAt_) internal pure returns (MarketWord) {
        return MarketWord.wrap(
            (MarketWord.unwrap(word) & ~STATUS_MASK) | (uint256(status_) << STATUS_SHIFT)
                | (uint256(statusAt_) << STATUS_AT_SHIFT)
        );
    }

    function instrument(MarketWord word) internal pure returns (uint32) {
        return uint32(MarketWord.unwrap(word) >> INSTRUMENT_SHIFT);
    }

    function kind(MarketWord word) internal pure returns (uint8) {
        return uint8(MarketWord.unwrap(word) >> KIND_SHIFT);
    }

    function status(MarketWord word) internal pure returns (uint8) {
        return uint8(MarketWord.unwrap(word) >> STATUS_SHIFT);
    }

    function statusAt(MarketWord word) internal pure returns (uint40) {
        return uint40(MarketWord.unwrap(word) >> STATUS_AT_SHIFT);
    }

    function maxPricePerLot(MarketWord word) internal pure returns (uint56) {
        return uint56(MarketWord.unwrap(word) >> MAX_PRICE_SHIFT);
    }

    function maxQuantity(MarketWord word) internal pure returns (uint40) {
        return uint40(MarketWord.unwrap(word) >> MAX_QUANTITY_SHIFT);
    }

    function tickPerLot(MarketWord word) internal pure returns (uint32) {
        return uint32(MarketWord.unwrap(word) >> TICK_SHIFT);
    }

    /// @notice Whether a price is a multiple of the tick.
    function isOnTick(MarketWord word, uint256 price) internal pure returns (bool) {
        return Bools.isMultiple(price, tickPerLot(word));
    }

    function lotMantissa(MarketWord word) internal pure returns (uint24) {
        return uint24(MarketWord.unwrap(word) >> LOT_MANTISSA_SHIFT);
    }

    function lotExponent(MarketWord word) internal pure returns (uint8) {
        return uint8(MarketWord.unwrap(word) >> LOT_EXPONENT_SHIFT);
    }

    /// @notice Quanta of the base asset in one lot.
    function lotSize(MarketWord word) internal pure returns (uint256) {
        return uint256(lotMantissa(word)) * 10 ** uint256(lotExponent(word));
    }

    /// @notice Decimals of the base asset: a whole unit has 10^baseDecimals quanta.
    function baseDecimals(MarketWord word) internal pure returns (uint256) {
        return MarketWord.unwrap(word) & BASE_DECIMALS_MASK;
    }

    /// @notice Whether prices are in another asset than USDC, so that a fill needs the quote asset's rate.
    function isCrossQuoted(MarketWord word) internal pure returns (bool) {
        return MarketWord.unwrap(word) & CROSS_QUOTED_BIT != 0;
    }

    /// @notice The index I in micro-USDC per lot at a price of `price18` USD per whole base unit with 18 decimals.
    function indexPerLot(MarketWord word, uint256 price18) internal pure returns (uint256) {
        return price18 * lotSize(word) / 10 ** (baseDecimals(word) + 12);
    }
}
