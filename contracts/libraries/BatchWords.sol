// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {PositionSlot, PositionSlotLib} from "./PositionSlot.sol";

/// @notice An order's terms as one word: the first 32 bytes of its packed record.
///
///   255        240 239      224 223   216 215      152 151       96 95       56 55     16 15         0
///  +--------------+------------+---------+------------+------------+-----------+---------+------------+
///  | position 16  | market 16  | flags 8 | nonce 64   | price 56   |quantity 40|expiry 40| maxFeeBps16|
///  +--------------+------------+---------+------------+------------+-----------+---------+------------+
///
/// Flags: bit 0 side, bits 1-2 time in force, bit 3 reduce-only, bit 4 conversion limit present, bits 5-7 must be zero.
type OrderTerms is uint256;

/// @notice Where an order's signature is: group index 16 (bits 8-23), leaf 8 (0-7).
type OrderLinks is uint256;

/// @notice A fill as one word, its packed record: maker order index 16 (bits 56-71), taker order index 16 (40-55),
///         quantity 40 (0-39).
type FillWord is uint256;

/// @notice A position with its account resolved, as one word.
///
///   255                                96 95             64 63         32 31       16 15             0
///  +-------------------------------------+-----------------+-------------+-----------+----------------+
///  | account 160                         | instrument 32   | epoch 32    | 0         |account index 16|
///  +-------------------------------------+-----------------+-------------+-----------+----------------+
///
/// The upper 192 bits are those of the position's first PositionSlot.
type Position is uint256;

using OrderTermsLib for OrderTerms global;
using OrderLinksLib for OrderLinks global;
using FillWordLib for FillWord global;
using PositionLib for Position global;

/// @title  Fields of OrderTerms
library OrderTermsLib {
    uint256 internal constant SIDE = 1 << 0;
    uint256 internal constant REDUCE_ONLY = 1 << 3;
    uint256 internal constant HAS_CONVERSION_LIMIT = 1 << 4;
    uint256 internal constant UNKNOWN_FLAGS = 7 << 5;
    uint256 internal constant REFUSED_FLAGS = UNKNOWN_FLAGS | REDUCE_ONLY | HAS_CONVERSION_LIMIT;
    uint256 internal constant FLAGS_SHIFT = 216;
    uint256 private constant TIME_IN_FORCE_SHIFT = 1;
    uint256 private constant IMMEDIATE = 1 << 2; // the upper bit of time in force: IOC or FOK
    uint256 private constant FOK = 3;
    uint256 private constant GTC = 0;

    function position(OrderTerms terms) internal pure returns (uint256) {
        return OrderTerms.unwrap(terms) >> 240;
    }

    function market(OrderTerms terms) internal pure returns (uint256) {
        return uint16(OrderTerms.unwrap(terms) >> 224);
    }

    /// @notice Whether one of the given flags is set.
    function has(OrderTerms terms, uint256 flags) internal pure returns (bool) {
        return (OrderTerms.unwrap(terms) >> FLAGS_SHIFT) & flags != 0;
    }

    function isSell(OrderTerms terms) internal pure returns (bool) {
        return has(terms, SIDE);
    }

    /// @notice Whether it is IOC or FOK.
    function isImmediate(OrderTerms terms) internal pure returns (bool) {
        return has(terms, IMMEDIATE);
    }

    function isFok(OrderTerms terms) internal pure returns (bool) {
        return timeInForce(terms) == FOK;
    }

    function isGtc(OrderTerms terms) internal pure returns (bool) {
        return timeInForce(terms) == GTC;
    }

    function side(OrderTerms terms) internal pure returns (uint8) {
        return uint8((OrderTerms.unwrap(terms) >> FLAGS_SHIFT) & SIDE);
    }

    function timeInForce(OrderTerms terms) internal pure returns (uint8) {
        return uint8((OrderTerms.unwrap(terms) >> (FLAGS_SHIFT + TIME_IN_FORCE_SHIFT)) & 3);
    }

    function nonce(OrderTerms terms) internal pure returns (uint64) {
        return uint64(OrderTerms.unwrap(terms) >> 152);
    }

    /// @notice The nonce's upper half.
    function key(OrderTerms terms) internal pure returns (uint32) {
        return uint32(OrderTerms.unwrap(terms) >> 184);
    }

    /// @notice The nonce's lower half.
    function sequence(OrderTerms terms) internal pure returns (uint32) {
        return uint32(OrderTerms.unwrap(terms) >> 152);
    }

    /// @return micro-USDC per lot
    function price(OrderTerms terms) internal pure returns (uint64) {
        return uint56(OrderTerms.unwrap(terms) >> 96);
    }

    /// @return lots
    function quantity(OrderTerms terms) internal pure returns (uint64) {
        return uint40(OrderTerms.unwrap(terms) >> 56);
    }

    /// @return the record's expiry in Unix seconds, which is 0 for GTC; see `signedExpiry`
    function expiry(OrderTerms terms) internal pure returns (uint64) {
        return uint40(OrderTerms.unwrap(terms) >> 16);
    }

    /// @return the expiry that the trader signs, 2^64-1 for GTC
    function signedExpiry(OrderTerms terms) internal pure returns (uint64) {
        return isGtc(terms) ? type(uint64).max : expiry(terms);
    }

    function maxFeeBps(OrderTerms terms) internal pure returns (uint16) {
        return uint16(OrderTerms.unwrap(terms));
    }

    /// @notice Position and nonce in one number: what the order table is sorted by.
    function sortKey(OrderTerms terms) internal pure returns (uint256) {
        return (position(terms) << 64) | nonce(terms);
    }
}

/// @title  Fields of OrderLinks
library OrderLinksLib {
    function group(OrderLinks links) internal pure returns (uint256) {
        return uint16(OrderLinks.unwrap(links) >> 8);
    }

    function leaf(OrderLinks links) internal pure returns (uint256) {
        return uint8(OrderLinks.unwrap(links));
    }
}

/// @title  Fields of FillWord
library FillWordLib {
    function maker(FillWord fill) internal pure returns (uint256) {
        return uint16(FillWord.unwrap(fill) >> 56);
    }

    function taker(FillWord fill) internal pure returns (uint256) {
        return uint16(FillWord.unwrap(fill) >> 40);
    }

    /// @return lots
    function quantity(FillWord fill) internal pure returns (uint256) {
        return uint40(FillWord.unwrap(fill));
    }
}

/// @title  Fields of Position
library PositionLib {
    uint256 private constant SLOT_MASK = type(uint256).max << 64;

    function make(address account_, uint32 instrument_, uint32 epoch_, uint256 accountIndex_)
        internal
        pure
        returns (Position)
    {
        uint256 upper = PositionSlot.unwrap(PositionSlotLib.first(account_, instrument_));
        return Position.wrap(upper | (uint256(epoch_) << 32) | accountIndex_);
    }

    function account(Position position) internal pure returns (address) {
        return address(uint160(Position.unwrap(position) >> 96));
    }

    function accountIndex(Position position) internal pure returns (uint256) {
        return uint16(Position.unwrap(position));
    }

    function epoch(Position position) internal pure returns (uint32) {
        return uint32(Position.unwrap(position) >> 32);
    }

    function instrument(Position position) internal pure returns (uint32) {
        return uint32(Position.unwrap(position) >> 64);
    }

    /// @notice Where the position's balance and nonce key 0 are stored.
    function slot(Position position) internal pure returns (PositionSlot) {
        return PositionSlot.wrap(Position.unwrap(position) & SLOT_MASK);
    }
}
