// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {MarketWord} from "./MarketWord.sol";
import {PositionSlot, PositionSlotLib, PositionWord} from "./PositionSlot.sol";

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

/// @notice A fill as one word: maker order index 16 (bits 80-95), taker order index 16 (64-79), quantity 64 (0-63).
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
using OrderStateLib for OrderState global;
using FillWordLib for FillWord global;
using PositionLib for Position global;

/// @notice An order's record in memory: a pointer to eight words.
///
/// | word | content                                                                                      |
/// |------|----------------------------------------------------------------------------------------------|
/// | 0    | terms                                                                                        |
/// | 1    | links                                                                                        |
/// | 2    | hash: EIP-712 struct hash                                                                    |
/// | 3    | account: index of the account                                                                |
/// | 4    | slot: index of the storage word that holds the nonce key                                     |
/// | 5    | keyHead: record of the first order of this batch under the same nonce key                    |
/// | 6    | latest: on the key's head, the last order of the key that acts in this batch; 0 if none does |
/// | 7    | filled: lots, with what earlier batches filled (bits 0-63), isUsed (64), isClosed (65)       |
///
/// Records lie in one piece of memory in table order, so a record's address grows with its index.
type OrderState is uint256;

/// @notice A batch in memory, whichever form it came in.
/// @dev    Tables of words are read and written with WordTable and the accessors below; `new Struct[](n)` would allocate n structs
///         of zeros and check every index, which costs more than the work itself.
struct BatchTables {
    uint256 number;
    uint256 matchedAt; // Unix seconds
    uint256[] accounts; // address; the last entry of this and the next two is the Engine itself, which collects the fees
    uint256[] epochs;
    uint256[] usdcDeltas; // int256, micro-USDC
    uint256[] marketIds;
    uint256[] markets; // MarketWord
    uint256[] lotSizes; // quanta per lot, by market
    uint256[] positions; // Position; until it is resolved: account index 16 (bits 32-47), instrument 32 (0-31)
    uint256[] baseDeltas; // int256, quanta, by position
    uint256 signatures; // calldata offset of the first group's signature, r and vs
    uint256 signatureStride; // bytes from one to the next
    uint256[] leaves; // by group: leaf count 8 (bits 0-7), isSet (bit 8)
    uint256[] orders; // OrderState records of eight words each
    uint256 orderCount;
    uint256[] fills; // FillWord
    uint256[] slots; // PositionSlot: storage words in use; word p is position p's first
    uint256[] words; // PositionWord: their contents
    uint256 slotCount;
}

using BatchTablesLib for BatchTables global;
using WordTable for uint256[];

/// @title  Tables of words without bounds checks
/// @notice The compiler's check costs more than the access, and settlement makes a hundred accesses per fill. Callers index with
///         a loop counter below the table's length, or with an index that was compared with the length when it was read from
///         the batch (IndexOutOfRange) or that was made here (slots).
library WordTable {
    function at(uint256[] memory table, uint256 index) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(add(table, 0x20), shl(5, index)))
        }
    }

    function put(uint256[] memory table, uint256 index, uint256 word) internal pure {
        assembly ("memory-safe") {
            mstore(add(add(table, 0x20), shl(5, index)), word)
        }
    }

    /// @notice Add to an int256 entry. Unchecked: the caller bounds the sum.
    function add(uint256[] memory table, uint256 index, int256 amount) internal pure {
        assembly ("memory-safe") {
            let entry := add(add(table, 0x20), shl(5, index))
            mstore(entry, add(mload(entry), amount))
        }
    }
}

/// @title  Allocation of the tables and access to them
library BatchTablesLib {
    uint256 private constant ORDER_WORDS = 8;
    uint256 private constant ORDER_SIZE = 8 * 32;

    /// @notice Reserve tables for the given numbers of entries, with the fee entry behind the accounts.
    function allocate(
        BatchTables memory tables,
        uint256 accounts,
        uint256 markets,
        uint256 positions,
        uint256 groups,
        uint256 orders,
        uint256 fills
    ) internal view {
        tables.accounts = new uint256[](accounts + 1);
        tables.epochs = new uint256[](accounts + 1);
        tables.usdcDeltas = new uint256[](accounts + 1);
        tables.accounts[accounts] = uint256(uint160(address(this)));
        tables.epochs[accounts] = type(uint32).max;
        tables.marketIds = new uint256[](markets);
        tables.lotSizes = new uint256[](markets);
        tables.positions = new uint256[](positions);
        tables.baseDeltas = new uint256[](positions);
        tables.leaves = new uint256[](groups);
        tables.orders = new uint256[](orders * ORDER_WORDS);
        tables.orderCount = orders;
        tables.fills = new uint256[](fills);
        tables.slots = new uint256[](positions + orders);
        tables.words = new uint256[](positions + orders);
    }

    /// @notice Number of accounts without the fee entry.
    function accountCount(BatchTables memory tables) internal pure returns (uint256) {
        return tables.accounts.length - 1;
    }

    function setAccount(BatchTables memory tables, uint256 index, address account, uint32 epoch) internal pure {
        tables.accounts.put(index, uint256(uint160(account)));
        tables.epochs.put(index, epoch);
    }

    /// @notice Enter a storage word that this batch may change.
    function setSlot(BatchTables memory tables, uint256 index, PositionSlot slot_, PositionWord word_) internal pure {
        tables.slots.put(index, PositionSlot.unwrap(slot_));
        tables.words.put(index, PositionWord.unwrap(word_));
    }

    function setWord(BatchTables memory tables, uint256 index, PositionWord word_) internal pure {
        tables.words.put(index, PositionWord.unwrap(word_));
    }

    function account(BatchTables memory tables, uint256 index) internal pure returns (address) {
        return address(uint160(tables.accounts.at(index)));
    }

    function epoch(BatchTables memory tables, uint256 index) internal pure returns (uint32) {
        return uint32(tables.epochs.at(index));
    }

    function marketId(BatchTables memory tables, uint256 index) internal pure returns (uint32) {
        return uint32(tables.marketIds.at(index));
    }

    function market(BatchTables memory tables, uint256 index) internal pure returns (MarketWord) {
        return MarketWord.wrap(tables.markets.at(index));
    }

    function position(BatchTables memory tables, uint256 index) internal pure returns (Position) {
        return Position.wrap(tables.positions.at(index));
    }

    /// @notice r and vs of a group whose index is below the table's length.
    function signature(BatchTables memory tables, uint256 group) internal pure returns (bytes32 r, bytes32 vs) {
        // Neither product nor sum overflows: the calldata is that long.
        unchecked {
            uint256 offset = tables.signatures + group * tables.signatureStride;
            assembly ("memory-safe") {
                r := calldataload(offset)
                vs := calldataload(add(offset, 0x20))
            }
        }
    }

    /// @notice The record of an order whose index is below the table's length.
    function order(BatchTables memory tables, uint256 index) internal pure returns (OrderState record) {
        uint256[] memory table = tables.orders;
        assembly ("memory-safe") {
            record := add(add(table, 0x20), mul(index, ORDER_SIZE))
        }
    }

    /// @notice The index of an order's record.
    function indexOf(BatchTables memory tables, OrderState record) internal pure returns (uint256 index) {
        uint256[] memory table = tables.orders;
        assembly ("memory-safe") {
            index := div(sub(record, add(table, 0x20)), ORDER_SIZE)
        }
    }

    function fill(BatchTables memory tables, uint256 index) internal pure returns (FillWord) {
        return FillWord.wrap(tables.fills.at(index));
    }

    function slot(BatchTables memory tables, uint256 index) internal pure returns (PositionSlot) {
        return PositionSlot.wrap(tables.slots.at(index));
    }

    function word(BatchTables memory tables, uint256 index) internal pure returns (PositionWord) {
        return PositionWord.wrap(tables.words.at(index));
    }

    // The next four reinterpret a table for an external call. Every entry was masked to its type when it was written.

    function marketIdArray(BatchTables memory tables) internal pure returns (uint32[] memory array) {
        uint256[] memory table = tables.marketIds;
        assembly ("memory-safe") {
            array := table
        }
    }

    function accountArray(BatchTables memory tables) internal pure returns (address[] memory array) {
        uint256[] memory table = tables.accounts;
        assembly ("memory-safe") {
            array := table
        }
    }

    function epochArray(BatchTables memory tables) internal pure returns (uint32[] memory array) {
        uint256[] memory table = tables.epochs;
        assembly ("memory-safe") {
            array := table
        }
    }

    function usdcDeltaArray(BatchTables memory tables) internal pure returns (int256[] memory array) {
        uint256[] memory table = tables.usdcDeltas;
        assembly ("memory-safe") {
            array := table
        }
    }

    /// @notice Keep the registry's answer as the table of markets.
    function setMarkets(BatchTables memory tables, MarketWord[] memory array) internal pure {
        uint256[] memory table;
        assembly ("memory-safe") {
            table := array
        }
        tables.markets = table;
    }
}

/// @title  Fields of an order's record
/// @notice A record is only ever obtained from BatchTablesLib.order, which makes the memory accesses safe.
library OrderStateLib {
    uint256 private constant USED = 1 << 64;
    uint256 private constant CLOSED = 1 << 65;

    function terms(OrderState order) internal pure returns (OrderTerms) {
        return OrderTerms.wrap(_word(order, 0x00));
    }

    function links(OrderState order) internal pure returns (OrderLinks) {
        return OrderLinks.wrap(_word(order, 0x20));
    }

    function hash(OrderState order) internal pure returns (bytes32) {
        return bytes32(_word(order, 0x40));
    }

    function account(OrderState order) internal pure returns (uint256) {
        return _word(order, 0x60);
    }

    function slot(OrderState order) internal pure returns (uint256) {
        return _word(order, 0x80);
    }

    function keyHead(OrderState order) internal pure returns (OrderState) {
        return OrderState.wrap(_word(order, 0xa0));
    }

    /// @notice Lots that are filled, with what earlier batches filled.
    function filled(OrderState order) internal pure returns (uint256) {
        return uint64(_word(order, 0xe0));
    }

    /// @notice Whether the order has a fill in this batch.
    function isUsed(OrderState order) internal pure returns (bool) {
        return _word(order, 0xe0) & USED != 0;
    }

    /// @notice Whether it is an IOC or FOK order whose group of fills has ended.
    function isClosed(OrderState order) internal pure returns (bool) {
        return _word(order, 0xe0) & CLOSED != 0;
    }

    /// @notice Enter what the batch says of an order.
    function enter(OrderState order, OrderTerms terms_, OrderLinks links_) internal pure {
        _set(order, 0x00, OrderTerms.unwrap(terms_));
        _set(order, 0x20, OrderLinks.unwrap(links_));
    }

    function setIdentity(OrderState order, bytes32 hash_, uint256 account_) internal pure {
        _set(order, 0x40, uint256(hash_));
        _set(order, 0x60, account_);
    }

    function setNonce(OrderState order, uint256 slot_, OrderState keyHead_, uint64 filled_) internal pure {
        _set(order, 0x80, slot_);
        _set(order, 0xa0, OrderState.unwrap(keyHead_));
        _set(order, 0xe0, filled_);
    }

    /// @notice Let the order act under its nonce key.
    /// @return whether it may: no order of the key with a higher sequence has acted
    function claimKey(OrderState order) internal pure returns (bool) {
        OrderState head = keyHead(order);
        if (_word(head, 0xc0) > OrderState.unwrap(order)) return false;
        _set(head, 0xc0, OrderState.unwrap(order));
        return true;
    }

    /// @notice Record a fill.
    function use(OrderState order, uint64 filled_) internal pure {
        _set(order, 0xe0, filled_ | USED);
    }

    function close(OrderState order) internal pure {
        _set(order, 0xe0, _word(order, 0xe0) | CLOSED);
    }

    function _word(OrderState order, uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(order, offset))
        }
    }

    function _set(OrderState order, uint256 offset, uint256 word) private pure {
        assembly ("memory-safe") {
            mstore(add(order, offset), word)
        }
    }
}

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
        return uint16(FillWord.unwrap(fill) >> 80);
    }

    function taker(FillWord fill) internal pure returns (uint256) {
        return uint16(FillWord.unwrap(fill) >> 64);
    }

    /// @return lots
    function quantity(FillWord fill) internal pure returns (uint256) {
        return uint64(FillWord.unwrap(fill));
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
        PositionSlot slot = PositionSlotLib.first(account_, instrument_);
        return Position.wrap(PositionSlot.unwrap(slot) | (uint256(epoch_) << 32) | accountIndex_);
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
