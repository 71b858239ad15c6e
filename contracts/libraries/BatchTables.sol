// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {FillWord, OrderLinks, OrderTerms, Position} from "./BatchWords.sol";
import {MarketWord} from "./MarketWord.sol";
import {PositionSlot, PositionWord} from "./PositionSlot.sol";

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
    uint256 orderRows;
    uint256 orderCount;
    uint256 fillRows;
    uint256 fillCount;
    // for the Vault; the last entry of each is the Engine itself, which collects the fees
    uint256[] accounts; // address
    uint256[] epochs; // uint32
    uint256[] usdcDeltas; // int256, micro-USDC
    // by market
    uint256[] marketIds; // uint32
    uint256[] markets; // MarketWord
    uint256[] lotSizes; // quanta per lot
    // by position
    uint256[] positions; // Position
    uint256[] baseDeltas; // int256, quanta
    // by group
    uint256[] leavesSet; // 1 once an order has set the group's leaf
    // by order
    uint256[] orders; // seven words each, see OrderState
    // storage words in use; word p is position p's first
    uint256[] slots; // PositionSlot
    uint256[] words; // PositionWord
    uint256 slotCount;
}

using OrderStateLib for OrderState global;
using BatchTablesLib for BatchTables global;
using WordTable for uint256[];

/// @title  Tables of words without bounds checks
/// @notice The compiler's check costs more than the access, and settlement makes a hundred accesses per fill. Callers
///         index with a loop counter below the table's length, or with an index that was compared with the length when
///         it was read from the batch (IndexOutOfRange) or that was made here (slots).
library WordTable {
    function get(uint256[] memory table, uint256 index) internal pure returns (uint256 word) {
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

/// @title  Access to the rows and tables
library BatchTablesLib {
    uint256 private constant ACCOUNT_SIZE = 24;
    uint256 private constant MARKET_SIZE = 4;
    uint256 private constant POSITION_SIZE = 6;
    uint256 private constant GROUP_SIZE = 65;
    uint256 private constant ORDER_SIZE = 35;
    uint256 private constant FILL_SIZE = 9;

    uint256 private constant STATE_WORDS = 7;
    uint256 private constant STATE_SIZE = 7 * 32;

    // ---------------------------------------------------------------------------------------------------------------
    // Layout
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Point to the rows of a packed batch whose counts are set and whose first row is at `start`.
    /// @return end pointer behind the last row, if no order carries a conversion limit
    function locate(BatchTables memory tables, uint256 start) internal pure returns (uint256 end) {
        // Counts are below 2^16.
        unchecked {
            tables.accountRows = start;
            tables.marketRows = tables.accountRows + tables.accountCount * ACCOUNT_SIZE;
            tables.positionRows = tables.marketRows + tables.marketCount * MARKET_SIZE;
            tables.groupRows = tables.positionRows + tables.positionCount * POSITION_SIZE;
            tables.orderRows = tables.groupRows + tables.groupCount * GROUP_SIZE;
            tables.fillRows = tables.orderRows + tables.orderCount * ORDER_SIZE;
            return tables.fillRows + tables.fillCount * FILL_SIZE;
        }
    }

    /// @notice Reserve the tables, with the fee entry behind the accounts.
    function allocate(BatchTables memory tables) internal view {
        (uint256 accounts, uint256 positions, uint256 orders) =
            (tables.accountCount, tables.positionCount, tables.orderCount);
        tables.accounts = new uint256[](accounts + 1);
        tables.epochs = new uint256[](accounts + 1);
        tables.usdcDeltas = new uint256[](accounts + 1);
        setAccount(tables, accounts, address(this), type(uint32).max);
        tables.marketIds = new uint256[](tables.marketCount);
        tables.lotSizes = new uint256[](tables.marketCount);
        tables.positions = new uint256[](positions);
        tables.baseDeltas = new uint256[](positions);
        tables.leavesSet = new uint256[](tables.groupCount);
        tables.orders = new uint256[](orders * STATE_WORDS);
        tables.slots = new uint256[](positions + orders);
        tables.words = new uint256[](positions + orders);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Rows. Their indices are below the table's count; what a row has beyond its own bytes is cut off.
    // ---------------------------------------------------------------------------------------------------------------

    function accountRow(BatchTables memory tables, uint256 index)
        internal
        pure
        returns (address account_, uint32 epoch_)
    {
        uint256 row = _row(tables.accountRows, index, ACCOUNT_SIZE, 0);
        return (address(uint160(row >> 96)), uint32(row >> 64));
    }

    function marketRow(BatchTables memory tables, uint256 index) internal pure returns (uint256 id) {
        return _row(tables.marketRows, index, MARKET_SIZE, 0) >> 224;
    }

    /// @return entry account index 16 (bits 32-47), instrument 32 (0-31)
    function positionRow(BatchTables memory tables, uint256 index) internal pure returns (uint256 entry) {
        return _row(tables.positionRows, index, POSITION_SIZE, 0) >> 208;
    }

    function leafCount(BatchTables memory tables, uint256 group) internal pure returns (uint256) {
        return _row(tables.groupRows, group, GROUP_SIZE, 0) >> 248;
    }

    function signature(BatchTables memory tables, uint256 group) internal pure returns (bytes32 r, bytes32 vs) {
        r = bytes32(_row(tables.groupRows, group, GROUP_SIZE, 1));
        vs = bytes32(_row(tables.groupRows, group, GROUP_SIZE, 33));
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
    function _row(uint256 rows, uint256 index, uint256 size, uint256 offset) private pure returns (uint256 word_) {
        assembly ("memory-safe") {
            word_ := mload(add(add(rows, mul(index, size)), offset))
        }
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Tables
    // ---------------------------------------------------------------------------------------------------------------

    function setAccount(BatchTables memory tables, uint256 index, address account_, uint32 epoch_) internal pure {
        tables.accounts.put(index, uint256(uint160(account_)));
        tables.epochs.put(index, epoch_);
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
        return address(uint160(tables.accounts.get(index)));
    }

    function epoch(BatchTables memory tables, uint256 index) internal pure returns (uint32) {
        return uint32(tables.epochs.get(index));
    }

    function marketId(BatchTables memory tables, uint256 index) internal pure returns (uint32) {
        return uint32(tables.marketIds.get(index));
    }

    function market(BatchTables memory tables, uint256 index) internal pure returns (MarketWord) {
        return MarketWord.wrap(tables.markets.get(index));
    }

    function position(BatchTables memory tables, uint256 index) internal pure returns (Position) {
        return Position.wrap(tables.positions.get(index));
    }

    /// @notice The order of an index below the table's count.
    function order(BatchTables memory tables, uint256 index) internal pure returns (OrderState record) {
        uint256[] memory table = tables.orders;
        assembly ("memory-safe") {
            record := add(add(table, 0x20), mul(index, STATE_SIZE))
        }
    }

    /// @notice The index of an order.
    function indexOf(BatchTables memory tables, OrderState record) internal pure returns (uint256 index) {
        uint256[] memory table = tables.orders;
        assembly ("memory-safe") {
            index := div(sub(record, add(table, 0x20)), STATE_SIZE)
        }
    }

    function slot(BatchTables memory tables, uint256 index) internal pure returns (PositionSlot) {
        return PositionSlot.wrap(tables.slots.get(index));
    }

    function word(BatchTables memory tables, uint256 index) internal pure returns (PositionWord) {
        return PositionWord.wrap(tables.words.get(index));
    }

    // The next four reinterpret a table for an external call. Every entry was masked to its type when it was written.

    function marketIdArray(BatchTables memory tables) internal pure returns (uint32[] memory array) {
        uint256[] memory table = tables.marketIds;
        assembly ("memory-safe") {
            array := table
        }
    }

    /// @notice The entries of IVault.settle.
    function entryArray(BatchTables memory tables) internal pure returns (uint256[] memory array) {
        array = new uint256[](tables.accounts.length);
        for (uint256 i; i < array.length; ++i) {
            array[i] = uint256(uint160(account(tables, i))) << 96 | uint256(epoch(tables, i)) << 64;
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

/// @title  Fields of OrderState
/// @notice Pointers are only ever obtained from BatchTablesLib.order, which makes the memory accesses safe.
library OrderStateLib {
    uint256 private constant USED = 1 << 64;
    uint256 private constant CLOSED = 1 << 65;

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
