// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Entry, EntryLib, FillWord, Group, MarketTerms, OrderLinks, OrderTerms, Position} from "./BatchWords.sol";
import {DerivativeFill} from "./DerivativeFill.sol";
import {MarketWord} from "./MarketWord.sol";
import {MemoryWords} from "./MemoryWords.sol";
import {PositionSlot, PositionWord} from "./PositionSlot.sol";
import {TableCasts} from "./TableCasts.sol";
import {WordTable} from "./WordTable.sol";

/// @notice What is known of an order in memory: a pointer to seven words.
///
/// | word | content                                                                                      |
/// |------|----------------------------------------------------------------------------------------------|
/// | 0    | terms                                                                                        |
/// | 1    | hash: EIP-712 struct hash                                                                    |
/// | 2    | account: index of the account                                                                |
/// | 3    | slot: index of the storage word that holds the nonce key                                     |
/// | 4    | keyHead: the first order of this batch under the same nonce key                              |
/// | 5    | latest: on the key's head, the last order of the key that acts in this batch; 0 if none does |
/// | 6    | filled: lots, with what earlier batches filled (bits 0-63), isUsed (64), isClosed (65)       |
///
/// All orders lie in one piece of memory in table order, so an order's pointer grows with its index.
type OrderState is uint256;

/// @notice A batch in memory: pointers to the rows of its packed form, and the tables that settlement makes of them.
/// @dev    Tables of words are read and written with WordTable and the accessors below; `new Struct[](n)` would
///         allocate n structs of zeros and check every index, which costs more than the work itself.
struct BatchTables {
    uint256 number;
    uint256 matchedAt; // Unix seconds
    // rows of the packed form: pointer to the first and how many there are
    uint256 accountRows;
    uint256 accountCount;
    uint256 marketRows;
    uint256 marketCount;
    uint256 positionRows;
    uint256 positionCount;
    uint256 groupRows;
    uint256 groupCount;
    uint256 absentRows;
    uint256 absentCount;
    uint256 orderRows;
    uint256 orderCount;
    uint256 limitRows;
    uint256 limitCount;
    uint256 fillRows;
    uint256 fillCount;
    // by account, and behind the accounts the entries of the protocol: the Engine's, which collects the fees, and, if
    // derivatives trade, those of the Clearinghouse and its fund
    uint256[] entries; // Entry
    uint256[] usdcDeltas; // int256, micro-USDC
    uint256[] fees; // micro-USDC that the account paid
    // by market
    uint256[] marketIds; // uint32
    uint256[] rounds; // uint80
    uint256[] markets; // MarketWord
    uint256[] marketTerms; // MarketTerms
    // by position
    uint256[] positions; // Position
    uint256[] baseDeltas; // int256, quanta
    // by group
    uint256[] groups; // Group
    uint256[] leaves; // hash of the order, or pointer to the hashes of several
    // by order
    uint256[] orders; // seven words each, see OrderState
    // storage words in use; word p is position p's first
    uint256[] slots; // PositionSlot
    uint256[] words; // PositionWord
    uint256 slotCount;
    // fills in derivative markets; room for all fills if there is such a market
    uint256[] derivativeFills; // DerivativeFill
    uint256 derivativeFillCount;
}

using OrderStateLib for OrderState global;
using BatchTablesLib for BatchTables global;
using WordTable for uint256[];

/// @title  Access to the rows and tables
library BatchTablesLib {
    uint256 private constant ACCOUNT_SIZE = 24;
    uint256 private constant MARKET_SIZE = 14;
    uint256 private constant POSITION_SIZE = 6;
    uint256 private constant GROUP_SIZE = 67;
    uint256 private constant ABSENT_SIZE = 32;
    uint256 private constant ORDER_SIZE = 35;
    uint256 private constant LIMIT_SIZE = 8;
    uint256 private constant FILL_SIZE = 9;

    uint256 private constant PROTOCOL_ENTRIES = 3;
    uint256 private constant STATE_WORDS = 7;
    uint256 internal constant STATE_SIZE = 7 * 32;

    // ---------------------------------------------------------------------------------------------------------------
    // Layout
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Point to the rows of a packed batch whose counts are set and whose first row is at `start`.
    /// @return end pointer behind the last row
    function locate(BatchTables memory tables, uint256 start) internal pure returns (uint256 end) {
        // Counts are below 2^16.
        unchecked {
            tables.accountRows = start;
            tables.marketRows = tables.accountRows + tables.accountCount * ACCOUNT_SIZE;
            tables.positionRows = tables.marketRows + tables.marketCount * MARKET_SIZE;
            tables.groupRows = tables.positionRows + tables.positionCount * POSITION_SIZE;
            tables.absentRows = tables.groupRows + tables.groupCount * GROUP_SIZE;
            tables.orderRows = tables.absentRows + tables.absentCount * ABSENT_SIZE;
            tables.limitRows = tables.orderRows + tables.orderCount * ORDER_SIZE;
            tables.fillRows = tables.limitRows + tables.limitCount * LIMIT_SIZE;
            return tables.fillRows + tables.fillCount * FILL_SIZE;
        }
    }

    /// @notice Reserve the tables, with the Engine's entry behind the accounts.
    function allocate(BatchTables memory tables) internal view {
        (uint256 accounts, uint256 positions, uint256 orders) =
            (tables.accountCount, tables.positionCount, tables.orderCount);
        tables.entries = new uint256[](accounts + PROTOCOL_ENTRIES);
        tables.usdcDeltas = new uint256[](accounts + PROTOCOL_ENTRIES);
        _setProtocolEntries(tables, 1);
        setEntry(tables, accounts, EntryLib.unsigned(address(this)));
        tables.fees = new uint256[](accounts);
        tables.marketIds = new uint256[](tables.marketCount);
        tables.rounds = new uint256[](tables.marketCount);
        tables.marketTerms = new uint256[](tables.marketCount);
        tables.positions = new uint256[](positions);
        tables.baseDeltas = new uint256[](positions);
        tables.groups = new uint256[](tables.groupCount);
        tables.leaves = new uint256[](tables.groupCount);
        tables.orders = new uint256[](orders * STATE_WORDS);
        tables.slots = new uint256[](positions + orders);
        tables.words = new uint256[](positions + orders);
    }

    /// @notice Reserve the table of fills in derivative markets.
    function allocateDerivativeFills(BatchTables memory tables) internal pure {
        if (tables.derivativeFills.length == 0) tables.derivativeFills = new uint256[](tables.fillCount);
    }

    /// @notice Add the entries of the Clearinghouse and its fund.
    function addClearing(
        BatchTables memory tables,
        address clearinghouse,
        int256 ownDelta,
        address fund,
        uint256 penalties
    ) internal pure {
        _setProtocolEntries(tables, PROTOCOL_ENTRIES);
        uint256 index = tables.accountCount + 1;
        setEntry(tables, index, EntryLib.unsigned(clearinghouse));
        tables.usdcDeltas.add(index, ownDelta);
        setEntry(tables, index + 1, EntryLib.unsigned(fund));
        tables.usdcDeltas.add(index + 1, int256(penalties));
    }

    function _setProtocolEntries(BatchTables memory tables, uint256 count) private pure {
        tables.entries.setLength(tables.accountCount + count);
        tables.usdcDeltas.setLength(tables.accountCount + count);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Rows. Their indices are below the table's count; what a row has beyond its own bytes is cut off.
    // ---------------------------------------------------------------------------------------------------------------

    /// @return the entry of an account that paid no fees yet
    function accountRow(BatchTables memory tables, uint256 index) internal pure returns (Entry) {
        return EntryLib.ofRow(_row(tables.accountRows, index, ACCOUNT_SIZE, 0));
    }

    function marketRow(BatchTables memory tables, uint256 index) internal pure returns (uint256 id, uint256 round_) {
        uint256 row = _row(tables.marketRows, index, MARKET_SIZE, 0);
        return (row >> 224, uint80(row >> 144));
    }

    /// @return entry account index 16 (bits 32-47), instrument 32 (0-31)
    function positionRow(BatchTables memory tables, uint256 index) internal pure returns (uint256 entry) {
        return _row(tables.positionRows, index, POSITION_SIZE, 0) >> 208;
    }

    /// @return head leaf count 8 (bits 16-23), mask of absent leaves 16 (0-15)
    function groupHead(BatchTables memory tables, uint256 index) internal pure returns (uint256 head) {
        return _row(tables.groupRows, index, GROUP_SIZE, 0) >> 232;
    }

    function signature(BatchTables memory tables, uint256 group_) internal pure returns (bytes32 r, bytes32 vs) {
        r = bytes32(_row(tables.groupRows, group_, GROUP_SIZE, 3));
        vs = bytes32(_row(tables.groupRows, group_, GROUP_SIZE, 35));
    }

    function absentHash(BatchTables memory tables, uint256 index) internal pure returns (bytes32) {
        return bytes32(_row(tables.absentRows, index, ABSENT_SIZE, 0));
    }

    function limit(BatchTables memory tables, uint256 index) internal pure returns (uint64) {
        return uint64(_row(tables.limitRows, index, LIMIT_SIZE, 0) >> 192);
    }

    function terms(BatchTables memory tables, uint256 order_) internal pure returns (OrderTerms) {
        return OrderTerms.wrap(_row(tables.orderRows, order_, ORDER_SIZE, 0));
    }

    function links(BatchTables memory tables, uint256 order_) internal pure returns (OrderLinks) {
        return OrderLinks.wrap(_row(tables.orderRows, order_, ORDER_SIZE, 32) >> 232);
    }

    function fill(BatchTables memory tables, uint256 index) internal pure returns (FillWord) {
        return FillWord.wrap(_row(tables.fillRows, index, FILL_SIZE, 0) >> 184);
    }

    /// @dev The 32 bytes at `offset` of a row.
    function _row(uint256 rows, uint256 index, uint256 size, uint256 offset) private pure returns (uint256) {
        unchecked {
            return MemoryWords.load(rows + index * size + offset);
        }
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Tables
    // ---------------------------------------------------------------------------------------------------------------

    function setEntry(BatchTables memory tables, uint256 index, Entry entry_) internal pure {
        tables.entries.put(index, Entry.unwrap(entry_));
    }

    function setGroup(BatchTables memory tables, uint256 index, Group group_) internal pure {
        tables.groups.put(index, Group.unwrap(group_));
    }

    /// @notice Reserve memory for the hashes of a group of several orders.
    function allocateLeaves(BatchTables memory tables, uint256 group_, uint256 count) internal pure {
        tables.leaves.put(group_, MemoryWords.allocate(count));
    }

    /// @notice Keep the hash of one of a group's several orders.
    function setLeafHash(BatchTables memory tables, uint256 group_, uint256 leaf, bytes32 hash) internal pure {
        unchecked {
            MemoryWords.store(tables.leaves.get(group_) + leaf * 32, uint256(hash));
        }
    }

    /// @return hash keccak256 of the hashes of a group's several orders, one after another
    function concatenatedHash(BatchTables memory tables, uint256 group_, uint256 count)
        internal
        pure
        returns (bytes32 hash)
    {
        return MemoryWords.hash(tables.leaves.get(group_), count);
    }

    function setTermsOf(BatchTables memory tables, uint256 market_, MarketTerms terms_) internal pure {
        tables.marketTerms.put(market_, MarketTerms.unwrap(terms_));
    }

    /// @notice Add a fill for the Clearinghouse.
    function push(BatchTables memory tables, DerivativeFill fill_) internal pure {
        uint256 count = tables.derivativeFillCount;
        tables.derivativeFills.put(count, DerivativeFill.unwrap(fill_));
        unchecked {
            tables.derivativeFillCount = count + 1; // at most fillCount
        }
    }

    /// @notice Enter a storage word that this batch may change.
    function setSlot(BatchTables memory tables, uint256 index, PositionSlot slot_, PositionWord word_) internal pure {
        tables.slots.put(index, PositionSlot.unwrap(slot_));
        tables.words.put(index, PositionWord.unwrap(word_));
    }

    function setWord(BatchTables memory tables, uint256 index, PositionWord word_) internal pure {
        tables.words.put(index, PositionWord.unwrap(word_));
    }

    function entry(BatchTables memory tables, uint256 index) internal pure returns (Entry) {
        return Entry.wrap(tables.entries.get(index));
    }

    function group(BatchTables memory tables, uint256 index) internal pure returns (Group) {
        return Group.wrap(tables.groups.get(index));
    }

    function termsOf(BatchTables memory tables, uint256 market_) internal pure returns (MarketTerms) {
        return MarketTerms.wrap(tables.marketTerms.get(market_));
    }

    function marketId(BatchTables memory tables, uint256 index) internal pure returns (uint32) {
        return uint32(tables.marketIds.get(index));
    }

    function round(BatchTables memory tables, uint256 index) internal pure returns (uint80) {
        return uint80(tables.rounds.get(index));
    }

    function market(BatchTables memory tables, uint256 index) internal pure returns (MarketWord) {
        return MarketWord.wrap(tables.markets.get(index));
    }

    function position(BatchTables memory tables, uint256 index) internal pure returns (Position) {
        return Position.wrap(tables.positions.get(index));
    }

    /// @notice The order of an index below the table's count.
    function order(BatchTables memory tables, uint256 index) internal pure returns (OrderState) {
        unchecked {
            return OrderState.wrap(tables.orders.start() + index * STATE_SIZE);
        }
    }

    /// @notice The index of an order.
    function indexOf(BatchTables memory tables, OrderState record) internal pure returns (uint256) {
        unchecked {
            return (OrderState.unwrap(record) - tables.orders.start()) / STATE_SIZE;
        }
    }

    function slot(BatchTables memory tables, uint256 index) internal pure returns (PositionSlot) {
        return PositionSlot.wrap(tables.slots.get(index));
    }

    function word(BatchTables memory tables, uint256 index) internal pure returns (PositionWord) {
        return PositionWord.wrap(tables.words.get(index));
    }

    // The next three reinterpret a table for an external call. Every entry was masked to its type when it was written.

    function marketIdArray(BatchTables memory tables) internal pure returns (uint32[] memory) {
        return TableCasts.toUint32s(tables.marketIds);
    }

    function roundArray(BatchTables memory tables) internal pure returns (uint80[] memory) {
        return TableCasts.toUint80s(tables.rounds);
    }

    function usdcDeltaArray(BatchTables memory tables) internal pure returns (int256[] memory) {
        return TableCasts.toInt256s(tables.usdcDeltas);
    }

    /// @notice Keep the registry's answer as the table of markets.
    function setMarkets(BatchTables memory tables, MarketWord[] memory array) internal pure {
        tables.markets = TableCasts.ofMarketWords(array);
    }
}

/// @title  Fields of OrderState
/// @notice Pointers are only ever obtained from BatchTablesLib.order, which makes the memory accesses safe.
library OrderStateLib {
    uint256 private constant USED = 1 << 64;
    uint256 private constant CLOSED = 1 << 65;

    /// @notice The order behind this one, if there is one.
    function next(OrderState order) internal pure returns (OrderState) {
        unchecked {
            return OrderState.wrap(OrderState.unwrap(order) + BatchTablesLib.STATE_SIZE);
        }
    }

    function terms(OrderState order) internal pure returns (OrderTerms) {
        return OrderTerms.wrap(_word(order, 0x00));
    }

    function hash(OrderState order) internal pure returns (bytes32) {
        return bytes32(_word(order, 0x20));
    }

    function account(OrderState order) internal pure returns (uint256) {
        return _word(order, 0x40);
    }

    function slot(OrderState order) internal pure returns (uint256) {
        return _word(order, 0x60);
    }

    function keyHead(OrderState order) internal pure returns (OrderState) {
        return OrderState.wrap(_word(order, 0x80));
    }

    /// @notice Lots that are filled, with what earlier batches filled.
    function filled(OrderState order) internal pure returns (uint256) {
        return uint64(_word(order, 0xc0));
    }

    /// @notice Whether the order has a fill in this batch.
    function isUsed(OrderState order) internal pure returns (bool) {
        return _word(order, 0xc0) & USED != 0;
    }

    /// @notice Whether it is an IOC or FOK order whose group of fills has ended.
    function isClosed(OrderState order) internal pure returns (bool) {
        return _word(order, 0xc0) & CLOSED != 0;
    }

    function setIdentity(OrderState order, OrderTerms terms_, bytes32 hash_, uint256 account_) internal pure {
        _set(order, 0x00, OrderTerms.unwrap(terms_));
        _set(order, 0x20, uint256(hash_));
        _set(order, 0x40, account_);
    }

    function setNonce(OrderState order, uint256 slot_, OrderState keyHead_, uint64 filled_) internal pure {
        _set(order, 0x60, slot_);
        _set(order, 0x80, OrderState.unwrap(keyHead_));
        _set(order, 0xc0, filled_);
    }

    /// @notice Let the order act under its nonce key.
    /// @return whether it may: no order of the key with a higher sequence has acted
    function claimKey(OrderState order) internal pure returns (bool) {
        OrderState head = keyHead(order);
        if (_word(head, 0xa0) > OrderState.unwrap(order)) return false;
        _set(head, 0xa0, OrderState.unwrap(order));
        return true;
    }

    /// @notice Record a fill.
    function use(OrderState order, uint64 filled_) internal pure {
        _set(order, 0xc0, filled_ | USED);
    }

    function close(OrderState order) internal pure {
        _set(order, 0xc0, _word(order, 0xc0) | CLOSED);
    }

    function _word(OrderState order, uint256 offset) private pure returns (uint256) {
        unchecked {
            return MemoryWords.load(OrderState.unwrap(order) + offset);
        }
    }

    function _set(OrderState order, uint256 offset, uint256 word) private pure {
        unchecked {
            MemoryWords.store(OrderState.unwrap(order) + offset, word);
        }
    }
}
