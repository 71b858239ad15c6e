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
/// Flags: bit 0 side, bits 1-2 time in force, bit 3 reduce-only, bit 4 takes a conversion limit, bit 5 forced, bits 6-7
/// must be zero.
type OrderTerms is uint256;

/// @notice Where an order's signature is: group index 16 (bits 8-23), leaf 8 (0-7).
type OrderLinks is uint256;

/// @notice A fill as one word, its packed record: maker order index 16 (bits 56-71), taker order index 16 (40-55),
///         quantity 40 (0-39).
type FillWord is uint256;

/// @notice An account as the Vault takes it, and as the first 32 bytes of its packed record have it.
///
///   255                                96 95             64 63                                       0
///  +-------------------------------------+-----------------+------------------------------------------+
///  | account 160                         | epoch 32        | fees 64                                  |
///  +-------------------------------------+-----------------+------------------------------------------+
///
/// Fees are the micro-USDC that the account paid in this batch.
type Entry is uint256;

/// @notice A group of orders under one signature while its orders are read, as one word.
///
///   255                                      49 48               32 31         16 15               0
///  +-------------------------------------------+-------------------+-------------+-----------------+
///  | 0                                         | account + 1    17 | last leaf 16| done 16         |
///  +-------------------------------------------+-------------------+-------------+-----------------+
///
/// Done are the leaves, bit by bit, that are absent or set by an order; the account is an index, and the field 0 until
/// an order has set the first leaf. So zero is a group of one order that is still missing.
type Group is uint256;

/// @notice What fills need to know of a market, as one word.
///
///      255          254      253                       192 191          128 127                      0
///  +------------+-----------+-----------------------------+----------------+--------------------------+
///  |derivative 1|hasForced 1| 0                           | rate 64        | lotSize 128              |
///  +------------+-----------+-----------------------------+----------------+--------------------------+
///
/// The rate is that of a cross-quoted market, micro-USDC per whole quote unit, else 0; hasForced says that a forced
/// order of the batch is in the market.
type MarketTerms is uint256;

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
using EntryLib for Entry global;
using GroupLib for Group global;
using MarketTermsLib for MarketTerms global;
using PositionLib for Position global;

/// @title  Fields of OrderTerms
library OrderTermsLib {
    uint256 internal constant SIDE = 1 << 0;
    uint256 internal constant REDUCE_ONLY = 1 << 3;
    uint256 internal constant HAS_CONVERSION_LIMIT = 1 << 4;
    uint256 internal constant FORCED = 1 << 5;
    uint256 internal constant UNKNOWN_FLAGS = 3 << 6;
    uint256 private constant RARE_FLAGS = UNKNOWN_FLAGS | FORCED | REDUCE_ONLY | HAS_CONVERSION_LIMIT;
    uint256 internal constant FLAGS_SHIFT = 216;
    uint256 private constant MARKET_MASK = uint256(type(uint16).max) << 8; // beside the flags
    uint256 private constant TIME_IN_FORCE_SHIFT = 1;
    uint256 private constant IMMEDIATE = 1 << 2; // the upper bit of time in force: IOC or FOK
    uint256 private constant GTC = 0;
    uint256 private constant IOC = 2;
    uint256 private constant FOK = 3;

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

    /// @notice The flags that most orders do not have.
    function rareFlags(OrderTerms terms) internal pure returns (uint256) {
        return (OrderTerms.unwrap(terms) >> FLAGS_SHIFT) & RARE_FLAGS;
    }

    function isSell(OrderTerms terms) internal pure returns (bool) {
        return has(terms, SIDE);
    }

    function isReduceOnly(OrderTerms terms) internal pure returns (bool) {
        return has(terms, REDUCE_ONLY);
    }

    /// @notice Whether it is the protocol's own order and so without a signature.
    function isForced(OrderTerms terms) internal pure returns (bool) {
        return has(terms, FORCED);
    }

    /// @notice Whether it is IOC or FOK.
    function isImmediate(OrderTerms terms) internal pure returns (bool) {
        return has(terms, IMMEDIATE);
    }

    function isIoc(OrderTerms terms) internal pure returns (bool) {
        return timeInForce(terms) == IOC;
    }

    function isFok(OrderTerms terms) internal pure returns (bool) {
        return timeInForce(terms) == FOK;
    }

    function isGtc(OrderTerms terms) internal pure returns (bool) {
        return timeInForce(terms) == GTC;
    }

    /// @notice Whether the orders are on the two sides of one market.
    function isOpposite(OrderTerms terms, OrderTerms other) internal pure returns (bool) {
        uint256 difference = OrderTerms.unwrap(terms) ^ OrderTerms.unwrap(other);
        return (difference >> FLAGS_SHIFT) & (MARKET_MASK | SIDE) == SIDE;
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

    function price(OrderTerms terms) internal pure returns (uint64) {
        return uint56(OrderTerms.unwrap(terms) >> 96);
    }

    /// @return lots
    function quantity(OrderTerms terms) internal pure returns (uint64) {
        return uint40(OrderTerms.unwrap(terms) >> 56);
    }

    /// @return the record's expiry in Unix seconds, which is 0 for GTC
    function expiry(OrderTerms terms) internal pure returns (uint64) {
        return uint40(OrderTerms.unwrap(terms) >> 16);
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
    OrderLinks internal constant UNSIGNED = OrderLinks.wrap(uint256(type(uint16).max) << 8);

    /// @notice Whether it names no signature, as forced orders do.
    function isUnsigned(OrderLinks links) internal pure returns (bool) {
        return OrderLinks.unwrap(links) == OrderLinks.unwrap(UNSIGNED);
    }

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

/// @title  Fields of Entry
library EntryLib {
    uint32 internal constant NOTHING_SIGNED = type(uint32).max;
    uint256 private constant ACCOUNT_SHIFT = 96;
    uint256 private constant EPOCH_SHIFT = 64;
    uint256 private constant FEES_MASK = type(uint64).max;

    /// @notice An entry without a signature and fees.
    function unsigned(address account_) internal pure returns (Entry) {
        return Entry.wrap((uint256(uint160(account_)) << ACCOUNT_SHIFT) | (uint256(NOTHING_SIGNED) << EPOCH_SHIFT));
    }

    /// @notice The entry of a packed record, of which `row` are the first 32 bytes.
    function ofRow(uint256 row) internal pure returns (Entry) {
        return Entry.wrap(row & ~FEES_MASK);
    }

    function account(Entry entry) internal pure returns (address) {
        return address(uint160(Entry.unwrap(entry) >> ACCOUNT_SHIFT));
    }

    function epoch(Entry entry) internal pure returns (uint32) {
        return uint32(Entry.unwrap(entry) >> EPOCH_SHIFT);
    }

    /// @notice The entry, which has no fees, with fees of which it holds what 64 bits can.
    function withFees(Entry entry, uint256 fees) internal pure returns (Entry) {
        return Entry.wrap(Entry.unwrap(entry) | (fees < FEES_MASK ? fees : FEES_MASK));
    }
}

/// @title  Fields of Group
library GroupLib {
    uint256 private constant ACCOUNT_SHIFT = 32;
    uint256 private constant LAST_LEAF_SHIFT = 16;

    /// @notice A group of which some leaves are absent.
    function make(uint256 leafCount_, uint256 absentMask) internal pure returns (Group) {
        return Group.wrap(((leafCount_ - 1) << LAST_LEAF_SHIFT) | absentMask);
    }

    function leafCount(Group group) internal pure returns (uint256) {
        unchecked {
            return lastLeaf(group) + 1;
        }
    }

    function isSingle(Group group) internal pure returns (bool) {
        return lastLeaf(group) == 0;
    }

    /// @notice Whether leaves are neither absent nor set.
    function isIncomplete(Group group) internal pure returns (bool) {
        unchecked {
            return uint16(Group.unwrap(group)) != (2 << lastLeaf(group)) - 1;
        }
    }

    /// @notice Whether a leaf is absent or set.
    function isDone(Group group, uint256 leaf) internal pure returns (bool) {
        return (Group.unwrap(group) >> leaf) & 1 != 0;
    }

    /// @notice Whether orders of this account may be in the group: it is that of the first order.
    function isOf(Group group, uint256 account_) internal pure returns (bool) {
        uint256 next = Group.unwrap(group) >> ACCOUNT_SHIFT;
        unchecked {
            return next == 0 || next == account_ + 1;
        }
    }

    /// @notice The account's index, once an order has set a leaf.
    function account(Group group) internal pure returns (uint256) {
        unchecked {
            return (Group.unwrap(group) >> ACCOUNT_SHIFT) - 1;
        }
    }

    /// @notice The group with a leaf that an order of `account_` set, which `isOf` it.
    function withLeaf(Group group, uint256 leaf, uint256 account_) internal pure returns (Group) {
        unchecked {
            return Group.wrap(Group.unwrap(group) | ((account_ + 1) << ACCOUNT_SHIFT) | (1 << leaf));
        }
    }

    function lastLeaf(Group group) private pure returns (uint256) {
        return uint16(Group.unwrap(group) >> LAST_LEAF_SHIFT);
    }
}

/// @title  Fields of MarketTerms
library MarketTermsLib {
    uint256 private constant DERIVATIVE = 1 << 255;
    uint256 private constant HAS_FORCED = 1 << 254;
    uint256 private constant RATE_SHIFT = 128;

    /// @notice The terms of a spot market; the rate is 0 unless it is cross-quoted.
    function spot(uint256 lotSize_, uint64 rate_) internal pure returns (MarketTerms) {
        return MarketTerms.wrap((uint256(rate_) << RATE_SHIFT) | lotSize_);
    }

    function derivative() internal pure returns (MarketTerms) {
        return MarketTerms.wrap(DERIVATIVE);
    }

    function withForced(MarketTerms terms) internal pure returns (MarketTerms) {
        return MarketTerms.wrap(MarketTerms.unwrap(terms) | HAS_FORCED);
    }

    /// @notice What is zero for a spot market that is quoted in USDC only.
    function special(MarketTerms terms) internal pure returns (uint256) {
        return MarketTerms.unwrap(terms) >> RATE_SHIFT;
    }

    function isDerivative(MarketTerms terms) internal pure returns (bool) {
        return MarketTerms.unwrap(terms) & DERIVATIVE != 0;
    }

    function hasForced(MarketTerms terms) internal pure returns (bool) {
        return MarketTerms.unwrap(terms) & HAS_FORCED != 0;
    }

    /// @return micro-USDC per whole quote unit, 0 unless the market is cross-quoted
    function rate(MarketTerms terms) internal pure returns (uint256) {
        return uint64(MarketTerms.unwrap(terms) >> RATE_SHIFT);
    }

    /// @return quanta per lot of a spot market
    function lotSize(MarketTerms terms) internal pure returns (uint256) {
        return uint128(MarketTerms.unwrap(terms));
    }
}

/// @title  Fields of Position
library PositionLib {
    uint256 private constant SLOT_MASK = type(uint256).max << 64;

    function make(Entry entry, uint256 accountIndex_, uint32 instrument_) internal pure returns (Position) {
        uint256 upper = PositionSlot.unwrap(PositionSlotLib.first(entry.account(), instrument_));
        return Position.wrap(upper | (uint256(entry.epoch()) << 32) | accountIndex_);
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
