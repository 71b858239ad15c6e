// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Bools} from "./Bools.sol";
import {MarketWord} from "./MarketWord.sol";
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

/// @notice Where an order's signature is, as one word, of which the upper 24 bits are the end of its packed record:
///         group index 16 (bits 240-255), leaf 8 (232-239).
type OrderLinks is uint256;

/// @notice A fill as one word, of which the upper 72 bits are its packed record: maker order index 16 (bits 240-255),
///         taker order index 16 (224-239), quantity 40 (184-223).
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

/// @notice What sets a market apart from spot markets that are quoted in USDC, for which it is zero, as one word.
///
///   255                                              66        65            64           63         0
///  +---------------------------------------------------+-------------+--------------+----------------+
///  | 0                                                 | hasForced 1 | derivative 1 | rate 64        |
///  +---------------------------------------------------+-------------+--------------+----------------+
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

/// @notice How far an order is filled.
///
///   255                                       66 65                                2      1         0
///  +--------------------------------------------+----------------------------------+----------+--------+
///  | 0                                          | filled 64                        | closed 1 | used 1 |
///  +--------------------------------------------+----------------------------------+----------+--------+
///
/// Filled are lots, with those of earlier batches; used says that the order has a fill in this batch, closed that it is
/// an IOC or FOK order whose group of fills has ended.
type Progress is uint256;

using OrderTermsLib for OrderTerms global;
using OrderLinksLib for OrderLinks global;
using FillWordLib for FillWord global;
using EntryLib for Entry global;
using GroupLib for Group global;
using MarketTermsLib for MarketTerms global;
using PositionLib for Position global;
using ProgressLib for Progress global;

/// @title  Fields of OrderTerms
library OrderTermsLib {
    uint256 internal constant SIDE = 1 << 0;
    uint256 internal constant REDUCE_ONLY = 1 << REDUCE_ONLY_SHIFT;
    uint256 internal constant HAS_CONVERSION_LIMIT = 1 << 4;
    uint256 internal constant FORCED = 1 << 5;
    uint256 internal constant UNKNOWN_FLAGS = 3 << 6;
    uint256 private constant RARE_FLAGS = UNKNOWN_FLAGS | FORCED | REDUCE_ONLY | HAS_CONVERSION_LIMIT;
    uint256 internal constant FLAGS_SHIFT = 216;
    uint256 private constant KEY_SHIFT = 184;
    uint256 private constant SORT_MASK = (uint256(type(uint16).max) << 240) | (uint256(type(uint64).max) << 152);
    uint256 private constant MARKET_MASK = uint256(type(uint16).max) << 8; // beside the flags
    uint256 private constant REDUCE_ONLY_SHIFT = 3;
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

    /// @notice The flags that most orders do not have, where the terms have them.
    function rareFlags(OrderTerms terms) internal pure returns (uint256) {
        return OrderTerms.unwrap(terms) & (RARE_FLAGS << FLAGS_SHIFT);
    }

    function isSell(OrderTerms terms) internal pure returns (bool) {
        return has(terms, SIDE);
    }

    function isReduceOnly(OrderTerms terms) internal pure returns (bool) {
        return has(terms, REDUCE_ONLY);
    }

    /// @return 1 if it is reduce-only, else 0
    function reduceOnly(OrderTerms terms) internal pure returns (uint256) {
        return (OrderTerms.unwrap(terms) >> (FLAGS_SHIFT + REDUCE_ONLY_SHIFT)) & 1;
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

    /// @notice What is not zero if it is IOC or FOK.
    function immediate(OrderTerms terms) internal pure returns (uint256) {
        return OrderTerms.unwrap(terms) & (IMMEDIATE << FLAGS_SHIFT);
    }

    /// @notice What is not zero unless the orders are on the two sides of one market.
    function unlike(OrderTerms terms, OrderTerms other) internal pure returns (uint256) {
        uint256 difference = OrderTerms.unwrap(terms) ^ OrderTerms.unwrap(other) ^ (SIDE << FLAGS_SHIFT);
        return difference & ((MARKET_MASK | SIDE) << FLAGS_SHIFT);
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
        return uint32(OrderTerms.unwrap(terms) >> KEY_SHIFT);
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

    /// @notice Position and nonce where the terms have them: what the order table is sorted by.
    function sortKey(OrderTerms terms) internal pure returns (uint256) {
        return OrderTerms.unwrap(terms) & SORT_MASK;
    }

    /// @notice Whether two sort keys differ in position or nonce key.
    function isOtherKey(uint256 sortKey_, uint256 other) internal pure returns (bool) {
        return (sortKey_ ^ other) >> KEY_SHIFT != 0;
    }
}

/// @title  Fields of OrderLinks
library OrderLinksLib {
    uint256 private constant UNSIGNED = uint256(type(uint16).max) << 8; // group and leaf

    /// @notice Whether it names no signature, as forced orders do.
    function isUnsigned(OrderLinks links) internal pure returns (bool) {
        return OrderLinks.unwrap(links) >> 232 == UNSIGNED;
    }

    function group(OrderLinks links) internal pure returns (uint256) {
        return OrderLinks.unwrap(links) >> 240;
    }

    function leaf(OrderLinks links) internal pure returns (uint256) {
        return uint8(OrderLinks.unwrap(links) >> 232);
    }
}

/// @title  Fields of FillWord
library FillWordLib {
    function maker(FillWord fill) internal pure returns (uint256) {
        return FillWord.unwrap(fill) >> 240;
    }

    function taker(FillWord fill) internal pure returns (uint256) {
        return uint16(FillWord.unwrap(fill) >> 224);
    }

    /// @return lots
    function quantity(FillWord fill) internal pure returns (uint256) {
        return uint40(FillWord.unwrap(fill) >> 184);
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

    /// @notice Whether the leaf is that of a group of one order, which is still missing.
    function isVacant(Group group, uint256 leaf) internal pure returns (bool) {
        return Group.unwrap(group) | leaf == 0;
    }

    function hasLeaf(Group group, uint256 leaf) internal pure returns (bool) {
        return leaf <= lastLeaf(group);
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
            return Bools.either(next == 0, next == account_ + 1);
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
    uint256 private constant DERIVATIVE = 1 << 64;
    uint256 private constant HAS_FORCED = 1 << 65;

    /// @notice The terms of a spot market; the rate is 0 unless it is cross-quoted.
    function spot(uint64 rate_) internal pure returns (MarketTerms) {
        return MarketTerms.wrap(rate_);
    }

    function derivative() internal pure returns (MarketTerms) {
        return MarketTerms.wrap(DERIVATIVE);
    }

    function withForced(MarketTerms terms) internal pure returns (MarketTerms) {
        return MarketTerms.wrap(MarketTerms.unwrap(terms) | HAS_FORCED);
    }

    /// @notice Whether it is a spot market that is quoted in USDC.
    function isPlain(MarketTerms terms) internal pure returns (bool) {
        return MarketTerms.unwrap(terms) == 0;
    }

    function isDerivative(MarketTerms terms) internal pure returns (bool) {
        return MarketTerms.unwrap(terms) & DERIVATIVE != 0;
    }

    function hasForced(MarketTerms terms) internal pure returns (bool) {
        return MarketTerms.unwrap(terms) & HAS_FORCED != 0;
    }

    /// @return micro-USDC per whole quote unit, 0 unless the market is cross-quoted
    function rate(MarketTerms terms) internal pure returns (uint256) {
        return uint64(MarketTerms.unwrap(terms));
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

    /// @notice What is zero if the market is of the position's instrument.
    function mismatch(Position position, MarketWord market) internal pure returns (uint256) {
        return ((Position.unwrap(position) << 160) ^ MarketWord.unwrap(market)) >> 224;
    }

    /// @notice Where the position's balance and nonce key 0 are stored.
    function slot(Position position) internal pure returns (PositionSlot) {
        return PositionSlot.wrap(Position.unwrap(position) & SLOT_MASK);
    }
}

/// @title  Fields of Progress
library ProgressLib {
    uint256 private constant USED = 1 << 0;
    uint256 private constant CLOSED = 1 << 1;
    uint256 private constant FILLED_SHIFT = 2;

    /// @notice An order of which earlier batches filled `filled_` lots.
    function make(uint64 filled_) internal pure returns (Progress) {
        return Progress.wrap(uint256(filled_) << FILLED_SHIFT);
    }

    function filled(Progress progress) internal pure returns (uint256) {
        return Progress.unwrap(progress) >> FILLED_SHIFT;
    }

    function isUsed(Progress progress) internal pure returns (bool) {
        return Progress.unwrap(progress) & USED != 0;
    }

    function isClosed(Progress progress) internal pure returns (bool) {
        return closed(progress) != 0;
    }

    /// @notice What is not zero if it is closed.
    function closed(Progress progress) internal pure returns (uint256) {
        return Progress.unwrap(progress) & CLOSED;
    }

    /// @notice The same after a fill. The caller bounds what is filled below 2^64.
    function withFill(Progress progress, uint256 quantity) internal pure returns (Progress) {
        unchecked {
            return Progress.wrap((Progress.unwrap(progress) + (quantity << FILLED_SHIFT)) | USED);
        }
    }

    function close(Progress progress) internal pure returns (Progress) {
        return Progress.wrap(Progress.unwrap(progress) | CLOSED);
    }
}
