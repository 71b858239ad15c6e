// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {
    GroupState,
    GroupStateLib,
    MarketState,
    MarketStateLib,
    OrderState,
    OrderStateLib,
    PositionState,
    PositionStateLib,
    StoredWord,
    StoredWordLib
} from "./BatchRecords.sol";
import {FillRow, FillRowLib, GroupRow, GroupRowLib, OrderRow, OrderRowLib} from "./BatchRows.sol";
import {Entry, EntryLib, Position} from "./BatchWords.sol";
import {DerivativeFill} from "./DerivativeFill.sol";
import {MarketWord} from "./MarketWord.sol";
import {MemoryWords} from "./MemoryWords.sol";
import {TableCasts} from "./TableCasts.sol";
import {WordTable} from "./WordTable.sol";

/// @notice A batch in memory: pointers to the rows of its packed form, and the tables that settlement makes of them.
/// @dev    Tables of words are read and written with WordTable and the accessors below, records of several words
///         through pointers; `new Struct[](n)` would allocate n structs of zeros and check every index, which costs
///         more than the work itself.
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
    GroupRow groupRows;
    uint256 groupCount;
    uint256 absentRows;
    uint256 absentCount;
    OrderRow orderRows;
    uint256 orderCount;
    uint256 limitRows;
    uint256 limitCount;
    FillRow fillRows;
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
    // records: pointer to the first
    MarketState marketStates;
    PositionState positionStates;
    GroupState groupStates;
    OrderState orderStates;
    StoredWord lastWord; // the last of the storage words other than positions' first ones
    // fills in derivative markets; room for all fills if there is such a market
    uint256[] derivativeFills; // DerivativeFill
    uint256 derivativeFillCount;
}

using BatchTablesLib for BatchTables global;
using WordTable for uint256[];

/// @title  Access to the rows and tables
library BatchTablesLib {
    uint256 private constant ACCOUNT_SIZE = 24;
    uint256 private constant MARKET_SIZE = 14;
    uint256 private constant POSITION_SIZE = 6;
    uint256 private constant ABSENT_SIZE = 32;
    uint256 private constant LIMIT_SIZE = 8;

    uint256 private constant PROTOCOL_ENTRIES = 3;

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
            uint256 next = tables.positionRows + tables.positionCount * POSITION_SIZE;
            tables.groupRows = GroupRow.wrap(next);
            tables.absentRows = next + tables.groupCount * GroupRowLib.SIZE;
            next = tables.absentRows + tables.absentCount * ABSENT_SIZE;
            tables.orderRows = OrderRow.wrap(next);
            tables.limitRows = next + tables.orderCount * OrderRowLib.SIZE;
            next = tables.limitRows + tables.limitCount * LIMIT_SIZE;
            tables.fillRows = FillRow.wrap(next);
            return next + tables.fillCount * FillRowLib.SIZE;
        }
    }

    /// @notice Reserve the tables, with the Engine's entry behind the accounts. Only groups must be zero at first:
    ///         every other record is set as a whole before it is read.
    function allocate(BatchTables memory tables) internal view {
        (uint256 accounts, uint256 markets, uint256 groups) =
            (tables.accountCount, tables.marketCount, tables.groupCount);
        tables.entries = new uint256[](accounts + PROTOCOL_ENTRIES);
        tables.usdcDeltas = new uint256[](accounts + PROTOCOL_ENTRIES);
        _setProtocolEntries(tables, 1);
        setEntry(tables, accounts, EntryLib.unsigned(address(this)));
        tables.fees = new uint256[](accounts);
        tables.marketIds = new uint256[](markets);
        tables.rounds = new uint256[](markets);
        tables.groupStates = GroupState.wrap(new uint256[](groups * GroupStateLib.WORDS).start());
        tables.marketStates = MarketState.wrap(MemoryWords.allocate(markets * MarketStateLib.WORDS));
        tables.positionStates =
            PositionState.wrap(MemoryWords.allocate(tables.positionCount * PositionStateLib.WORDS));
        tables.orderStates = OrderState.wrap(MemoryWords.allocate(tables.orderCount * OrderStateLib.WORDS));
        tables.lastWord = StoredWordLib.begin();
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
        return EntryLib.ofRow(_row(tables.accountRows, index, ACCOUNT_SIZE));
    }

    function marketRow(BatchTables memory tables, uint256 index) internal pure returns (uint256 id, uint256 round_) {
        uint256 row = _row(tables.marketRows, index, MARKET_SIZE);
        return (row >> 224, uint80(row >> 144));
    }

    /// @return entry account index 16 (bits 32-47), instrument 32 (0-31)
    function positionRow(BatchTables memory tables, uint256 index) internal pure returns (uint256 entry) {
        return _row(tables.positionRows, index, POSITION_SIZE) >> 208;
    }

    function absentHash(BatchTables memory tables, uint256 index) internal pure returns (bytes32) {
        return bytes32(_row(tables.absentRows, index, ABSENT_SIZE));
    }

    function limit(BatchTables memory tables, uint256 index) internal pure returns (uint64) {
        return uint64(_row(tables.limitRows, index, LIMIT_SIZE) >> 192);
    }

    /// @return end what is behind the last row
    function endOfGroups(BatchTables memory tables) internal pure returns (GroupRow end) {
        return GroupRow.wrap(tables.absentRows);
    }

    /// @return end what is behind the last row
    function endOfOrders(BatchTables memory tables) internal pure returns (OrderRow end) {
        return OrderRow.wrap(tables.limitRows);
    }

    /// @return end what is behind the last row
    function endOfFills(BatchTables memory tables) internal pure returns (FillRow end) {
        return tables.fillRows.skip(tables.fillCount);
    }

    /// @notice The index of a group's row.
    function indexOfGroup(BatchTables memory tables, GroupRow row) internal pure returns (uint256) {
        unchecked {
            return (GroupRow.unwrap(row) - GroupRow.unwrap(tables.groupRows)) / GroupRowLib.SIZE;
        }
    }

    /// @notice The index of an order's row.
    function indexOfOrder(BatchTables memory tables, OrderRow row) internal pure returns (uint256) {
        unchecked {
            return (OrderRow.unwrap(row) - OrderRow.unwrap(tables.orderRows)) / OrderRowLib.SIZE;
        }
    }

    /// @notice The index of a fill's row.
    function indexOfFill(BatchTables memory tables, FillRow row) internal pure returns (uint256) {
        unchecked {
            return (FillRow.unwrap(row) - FillRow.unwrap(tables.fillRows)) / FillRowLib.SIZE;
        }
    }

    /// @dev The first 32 bytes of a row.
    function _row(uint256 rows, uint256 index, uint256 size) private pure returns (uint256) {
        unchecked {
            return MemoryWords.load(rows + index * size);
        }
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Tables
    // ---------------------------------------------------------------------------------------------------------------

    function setEntry(BatchTables memory tables, uint256 index, Entry entry_) internal pure {
        tables.entries.put(index, Entry.unwrap(entry_));
    }

    /// @notice Add a fill for the Clearinghouse.
    function push(BatchTables memory tables, DerivativeFill fill_) internal pure {
        uint256 count = tables.derivativeFillCount;
        tables.derivativeFills.put(count, DerivativeFill.unwrap(fill_));
        unchecked {
            tables.derivativeFillCount = count + 1; // at most fillCount
        }
    }

    function entry(BatchTables memory tables, uint256 index) internal pure returns (Entry) {
        return Entry.wrap(tables.entries.get(index));
    }

    function marketId(BatchTables memory tables, uint256 index) internal pure returns (uint32) {
        return uint32(tables.marketIds.get(index));
    }

    function round(BatchTables memory tables, uint256 index) internal pure returns (uint80) {
        return uint80(tables.rounds.get(index));
    }

    function marketWord(BatchTables memory tables, uint256 index) internal pure returns (MarketWord) {
        return MarketWord.wrap(tables.markets.get(index));
    }

    // The records of indices below the table's count.

    function market(BatchTables memory tables, uint256 index) internal pure returns (MarketState) {
        unchecked {
            return MarketState.wrap(MarketState.unwrap(tables.marketStates) + index * MarketStateLib.SIZE);
        }
    }

    function position(BatchTables memory tables, uint256 index) internal pure returns (PositionState) {
        unchecked {
            return PositionState.wrap(PositionState.unwrap(tables.positionStates) + index * PositionStateLib.SIZE);
        }
    }

    function group(BatchTables memory tables, uint256 index) internal pure returns (GroupState) {
        unchecked {
            return GroupState.wrap(GroupState.unwrap(tables.groupStates) + index * GroupStateLib.SIZE);
        }
    }

    function order(BatchTables memory tables, uint256 index) internal pure returns (OrderState) {
        unchecked {
            return OrderState.wrap(OrderState.unwrap(tables.orderStates) + index * OrderStateLib.SIZE);
        }
    }

    /// @notice The index of an order.
    function indexOf(BatchTables memory tables, OrderState record) internal pure returns (uint256) {
        unchecked {
            return (OrderState.unwrap(record) - OrderState.unwrap(tables.orderStates)) / OrderStateLib.SIZE;
        }
    }

    // Arrays for external calls: the tables themselves, whose every entry was masked to its type when it was written,
    // and a copy of the positions.

    function marketIdArray(BatchTables memory tables) internal pure returns (uint32[] memory) {
        return TableCasts.toUint32s(tables.marketIds);
    }

    function roundArray(BatchTables memory tables) internal pure returns (uint80[] memory) {
        return TableCasts.toUint80s(tables.rounds);
    }

    /// @return array the positions, Position by Position
    function positionArray(BatchTables memory tables) internal pure returns (uint256[] memory array) {
        uint256 count = tables.positionCount;
        array = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            array[i] = Position.unwrap(position(tables, i).position());
        }
    }

    function usdcDeltaArray(BatchTables memory tables) internal pure returns (int256[] memory) {
        return TableCasts.toInt256s(tables.usdcDeltas);
    }

    /// @notice Keep the registry's answer as the table of markets.
    function setMarkets(BatchTables memory tables, MarketWord[] memory array) internal pure {
        tables.markets = TableCasts.ofMarketWords(array);
    }
}
