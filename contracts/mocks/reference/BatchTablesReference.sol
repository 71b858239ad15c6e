// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {BatchCodec} from "../../libraries/BatchCodec.sol";
import {FillRow, GroupRow, OrderRow} from "../../libraries/BatchRows.sol";
import {BatchTables} from "../../libraries/BatchTables.sol";
import {Entry, FillWord, OrderTerms} from "../../libraries/BatchWords.sol";
import {Guards} from "./Guards.sol";

/// @title  BatchTables' rows beside plain Solidity
/// @notice For tests only: rows in memory beside slices of calldata.
contract BatchTablesReference {
    using Guards for uint256[];

    /// @notice The length that a header asks for: what BatchCodec expects.
    function lengthOf(bytes calldata header) public pure returns (uint256 length) {
        uint8[8] memory sizes = [24, 14, 6, 67, 32, 35, 8, 9];
        length = 27;
        for (uint256 table; table < 8; ++table) {
            length += uint256(sizes[table]) * _countOf(header, table);
        }
    }

    /// @notice Every row of a packed batch by the library.
    function rows(bytes memory packed) external view returns (uint256[] memory words, bool isIntact) {
        uint256[] memory before = Guards.make();
        BatchTables memory tables = BatchCodec.open(packed);
        uint256[] memory behind = Guards.make();
        words = new uint256[](2 + tables.accountCount + 2 * tables.marketCount + tables.positionCount
                + 3 * tables.groupCount + tables.absentCount + 2 * tables.orderCount + tables.limitCount
                + tables.fillCount);
        (words[0], words[1]) = (tables.number, tables.matchedAt);
        uint256 next = 2;
        for (uint256 i; i < tables.accountCount; ++i) {
            words[next++] = Entry.unwrap(tables.accountRow(i));
        }
        for (uint256 i; i < tables.marketCount; ++i) {
            (words[next], words[next + 1]) = tables.marketRow(i);
            next += 2;
        }
        for (uint256 i; i < tables.positionCount; ++i) {
            words[next++] = tables.positionRow(i);
        }
        for (GroupRow row = tables.groupRows; row.isBefore(tables.endOfGroups()); row = row.next()) {
            (bytes32 r, bytes32 vs) = row.signature();
            (words[next], words[next + 1], words[next + 2]) = (row.head(), uint256(r), uint256(vs));
            next += 3;
        }
        for (uint256 i; i < tables.absentCount; ++i) {
            words[next++] = uint256(tables.absentHash(i));
        }
        for (OrderRow row = tables.orderRows; row.isBefore(tables.endOfOrders()); row = row.next()) {
            words[next++] = OrderTerms.unwrap(row.terms());
            words[next++] = (row.links().group() << 8) | row.links().leaf();
        }
        for (uint256 i; i < tables.limitCount; ++i) {
            words[next++] = tables.limit(i);
        }
        for (FillRow row = tables.fillRows; row.isBefore(tables.endOfFills()); row = row.next()) {
            FillWord fill = row.fill();
            words[next++] = (fill.maker() << 56) | (fill.taker() << 40) | fill.quantity();
        }
        isIntact = before.isIntact() && behind.isIntact() && next == words.length;
    }

    /// @notice The index that each row of the group, order and fill table has, beside a count.
    function indices(bytes memory packed) external view returns (uint256[] memory actual, uint256[] memory expected) {
        BatchTables memory tables = BatchCodec.open(packed);
        uint256 length = tables.groupCount + tables.orderCount + tables.fillCount;
        (actual, expected) = (new uint256[](length), new uint256[](length));
        uint256 next;
        for (GroupRow row = tables.groupRows; row.isBefore(tables.endOfGroups()); row = row.next()) {
            (expected[next], actual[next]) = (next, tables.indexOfGroup(row));
            ++next;
        }
        for (OrderRow row = tables.orderRows; row.isBefore(tables.endOfOrders()); row = row.next()) {
            (expected[next], actual[next]) = (next - tables.groupCount, tables.indexOfOrder(row));
            ++next;
        }
        for (FillRow row = tables.fillRows; row.isBefore(tables.endOfFills()); row = row.next()) {
            (expected[next], actual[next]) = (next - tables.groupCount - tables.orderCount, tables.indexOfFill(row));
            ++next;
        }
        assert(next == length);
    }

    /// @notice The same as `rows` by plain Solidity.
    function plainRows(bytes calldata packed) external pure returns (uint256[] memory words) {
        uint8[][8] memory fields = [
            _sizes(24, 0, 0), // account
            _sizes(4, 10, 0), // market
            _sizes(6, 0, 0), // position
            _sizes(3, 32, 32), // group
            _sizes(32, 0, 0), // absent
            _sizes(32, 3, 0), // order
            _sizes(8, 0, 0), // limit
            _sizes(9, 0, 0) // fill
        ];
        uint256 length = 2;
        for (uint256 table; table < 8; ++table) {
            length += fields[table].length * _countOf(packed, table);
        }
        words = new uint256[](length);
        (words[0], words[1]) = (_number(packed[:6]), _number(packed[6:11]));
        (uint256 next, uint256 offset) = (2, 27);
        for (uint256 table; table < 8; ++table) {
            for (uint256 i; i < _countOf(packed, table); ++i) {
                for (uint256 field; field < fields[table].length; ++field) {
                    words[next] = _number(packed[offset:offset + fields[table][field]]);
                    if (table == 0) words[next] <<= 64; // an entry without fees
                    offset += fields[table][field];
                    ++next;
                }
            }
        }
    }

    /// @dev Bytes of a row's fields, of which there are one to three.
    function _sizes(uint8 a, uint8 b, uint8 c) private pure returns (uint8[] memory sizes) {
        sizes = new uint8[](c != 0 ? 3 : b != 0 ? 2 : 1);
        sizes[0] = a;
        if (b != 0) sizes[1] = b;
        if (c != 0) sizes[2] = c;
    }

    function _countOf(bytes calldata header, uint256 table) private pure returns (uint256) {
        return _number(header[11 + 2 * table:13 + 2 * table]);
    }

    function _number(bytes calldata data) private pure returns (uint256 number) {
        for (uint256 i; i < data.length; ++i) {
            number = (number << 8) | uint8(data[i]);
        }
    }
}
