// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @notice A checked fill in a derivative market, as one word: what the Engine hands to the Clearinghouse.
///
///   255       240 239        224 223       208 207    200 199      184 183     128 127        88 87      0
///  +-------------+--------------+-------------+----------+------------+-----------+-------------+---------+
///  | buyer pos 16| seller pos 16| market 16   | flags 8  | fill 16    | price 56  | quantity 40 | 0       |
///  +-------------+--------------+-------------+----------+------------+-----------+-------------+---------+
///
/// Positions and market are indices into the batch's tables, `fill` is the index in its fill table. The price is in
/// micro-USDC per lot, the quantity in lots. Flags: bit 0 the buyer's order is reduce-only, bit 1 the seller's; bit 2
/// the buyer's order is forced (the protocol's own), bit 3 the seller's; bits 4-7 are zero.
type DerivativeFill is uint256;

using DerivativeFillLib for DerivativeFill global;

/// @title  Fields of DerivativeFill
library DerivativeFillLib {
    uint256 internal constant BUYER_REDUCE_ONLY = 1 << 0;
    uint256 internal constant SELLER_REDUCE_ONLY = 1 << 1;
    uint256 internal constant BUYER_FORCED = 1 << 2;
    uint256 internal constant SELLER_FORCED = 1 << 3;

    uint256 private constant BUYER_SHIFT = 240;
    uint256 private constant SELLER_SHIFT = 224;
    uint256 private constant MARKET_SHIFT = 208;
    uint256 private constant FLAGS_SHIFT = 200;
    uint256 private constant FILL_SHIFT = 184;
    uint256 private constant PRICE_SHIFT = 128;
    uint256 private constant QUANTITY_SHIFT = 88;

    /// @notice Make the word. Every argument fits its field: the caller took it from a field of that width.
    function make(
        uint256 buyer_,
        uint256 seller_,
        uint256 market_,
        uint256 flags_,
        uint256 fill_,
        uint256 price_,
        uint256 quantity_
    ) internal pure returns (DerivativeFill) {
        return DerivativeFill.wrap(
            (buyer_ << BUYER_SHIFT) | (seller_ << SELLER_SHIFT) | (market_ << MARKET_SHIFT) | (flags_ << FLAGS_SHIFT)
                | (fill_ << FILL_SHIFT) | (price_ << PRICE_SHIFT) | (quantity_ << QUANTITY_SHIFT)
        );
    }

    /// @return index of the buyer's position
    function buyer(DerivativeFill word) internal pure returns (uint256) {
        return DerivativeFill.unwrap(word) >> BUYER_SHIFT;
    }

    /// @return index of the seller's position
    function seller(DerivativeFill word) internal pure returns (uint256) {
        return uint16(DerivativeFill.unwrap(word) >> SELLER_SHIFT);
    }

    /// @return index of the market
    function market(DerivativeFill word) internal pure returns (uint256) {
        return uint16(DerivativeFill.unwrap(word) >> MARKET_SHIFT);
    }

    /// @notice Whether one of the given flags is set.
    function has(DerivativeFill word, uint256 flags_) internal pure returns (bool) {
        return (DerivativeFill.unwrap(word) >> FLAGS_SHIFT) & flags_ != 0;
    }

    /// @return index of the position of one side
    function position(DerivativeFill word, bool ofSeller) internal pure returns (uint256) {
        return ofSeller ? seller(word) : buyer(word);
    }

    /// @notice Whether the order of one side is reduce-only.
    function isReduceOnly(DerivativeFill word, bool ofSeller) internal pure returns (bool) {
        return has(word, ofSeller ? SELLER_REDUCE_ONLY : BUYER_REDUCE_ONLY);
    }

    /// @notice Whether the order of one side is forced.
    function isForced(DerivativeFill word, bool ofSeller) internal pure returns (bool) {
        return has(word, ofSeller ? SELLER_FORCED : BUYER_FORCED);
    }

    /// @return index in the batch's fill table
    function fill(DerivativeFill word) internal pure returns (uint256) {
        return uint16(DerivativeFill.unwrap(word) >> FILL_SHIFT);
    }

    /// @return micro-USDC per lot
    function price(DerivativeFill word) internal pure returns (uint256) {
        return uint56(DerivativeFill.unwrap(word) >> PRICE_SHIFT);
    }

    /// @return lots
    function quantity(DerivativeFill word) internal pure returns (uint256) {
        return uint40(DerivativeFill.unwrap(word) >> QUANTITY_SHIFT);
    }
}
