// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {BatchCodec} from "../../libraries/BatchCodec.sol";
import {BatchTables, OrderState} from "../../libraries/BatchTables.sol";
import {Entry, FillWord, OrderLinks, OrderTerms} from "../../libraries/BatchWords.sol";
import {Guards} from "./Guards.sol";

/// @title  BatchTables' records beside plain Solidity
/// @notice For tests only: rows beside slices of calldata, the state of orders beside structs.
contract BatchTablesReference {
    using Guards for uint256[];

    enum Action {
        SET_NONCE,
        USE,
        CLOSE,
        CLAIM_KEY
    }

    struct Operation {
        Action action;
        uint8 order;
        uint8 keyHead;
        uint64 value;
    }

    struct PlainOrder {
        uint256 terms;
        bytes32 hash;
        uint256 account;
        uint256 slot;
        uint256 keyHead; // index
        uint256 latest; // index plus 1
        uint64 filled;
        bool isUsed;
        bool isClosed;
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Rows
    // ---------------------------------------------------------------------------------------------------------------

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
        for (uint256 i; i < tables.groupCount; ++i) {
            (bytes32 r, bytes32 vs) = tables.signature(i);
            (words[next], words[next + 1], words[next + 2]) = (tables.groupHead(i), uint256(r), uint256(vs));
            next += 3;
        }
        for (uint256 i; i < tables.absentCount; ++i) {
            words[next++] = uint256(tables.absentHash(i));
        }
        for (uint256 i; i < tables.orderCount; ++i) {
            words[next++] = OrderTerms.unwrap(tables.terms(i));
            words[next++] = OrderLinks.unwrap(tables.links(i));
        }
        for (uint256 i; i < tables.limitCount; ++i) {
            words[next++] = tables.limit(i);
        }
        for (uint256 i; i < tables.fillCount; ++i) {
            words[next++] = FillWord.unwrap(tables.fill(i));
        }
        isIntact = before.isIntact() && behind.isIntact() && next == words.length;
    }

    /// @notice The same by plain Solidity.
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

    // ---------------------------------------------------------------------------------------------------------------
    // Orders
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Orders with these terms, changed by the operations.
    /// @return actual what claims answered, and then what is known of every order
    function runOrders(uint256[] calldata terms, Operation[] calldata operations)
        external
        pure
        returns (uint256[] memory actual, uint256[] memory expected, bool isIntact)
    {
        uint256[] memory before = Guards.make();
        BatchTables memory tables;
        tables.orders = new uint256[](terms.length * 7);
        uint256[] memory behind = Guards.make();
        PlainOrder[] memory plain = new PlainOrder[](terms.length);
        OrderState order = tables.order(0);
        for (uint256 i; i < terms.length; ++i) {
            bytes32 hash = keccak256(abi.encode(terms[i], i));
            order.setIdentity(OrderTerms.wrap(terms[i]), hash, type(uint256).max - i);
            order.setNonce(i, order, 0);
            (plain[i].terms, plain[i].hash, plain[i].account) = (terms[i], hash, type(uint256).max - i);
            (plain[i].slot, plain[i].keyHead) = (i, i);
            order = order.next();
        }
        uint256 length = operations.length + terms.length * 9;
        (actual, expected) = (new uint256[](length), new uint256[](length));
        for (uint256 i; i < operations.length; ++i) {
            actual[i] = _apply(tables, operations[i]) ? 1 : 0;
            expected[i] = _applyPlain(plain, operations[i]) ? 1 : 0;
        }
        for (uint256 i; i < terms.length; ++i) {
            _list(actual, operations.length + 9 * i, tables, tables.order(i));
            _listPlain(expected, operations.length + 9 * i, plain[i], i);
        }
        isIntact = before.isIntact() && behind.isIntact();
    }

    function _apply(BatchTables memory tables, Operation calldata operation) private pure returns (bool) {
        OrderState order = tables.order(operation.order);
        if (operation.action == Action.SET_NONCE) {
            order.setNonce(operation.value, tables.order(operation.keyHead), operation.value);
        }
        if (operation.action == Action.USE) order.use(operation.value);
        if (operation.action == Action.CLOSE) order.close();
        return operation.action == Action.CLAIM_KEY && order.claimKey();
    }

    function _applyPlain(PlainOrder[] memory orders, Operation calldata operation) private pure returns (bool) {
        PlainOrder memory order = orders[operation.order];
        if (operation.action == Action.SET_NONCE) {
            (order.slot, order.keyHead, order.filled) = (operation.value, operation.keyHead, operation.value);
            (order.isUsed, order.isClosed) = (false, false);
        }
        if (operation.action == Action.USE) {
            (order.filled, order.isUsed, order.isClosed) = (operation.value, true, false);
        }
        if (operation.action == Action.CLOSE) order.isClosed = true;
        if (operation.action != Action.CLAIM_KEY) return false;
        PlainOrder memory head = orders[order.keyHead];
        if (head.latest > uint256(operation.order) + 1) return false;
        head.latest = uint256(operation.order) + 1;
        return true;
    }

    function _list(uint256[] memory words, uint256 at, BatchTables memory tables, OrderState order) private pure {
        words[at] = tables.indexOf(order);
        words[at + 1] = OrderTerms.unwrap(order.terms());
        words[at + 2] = uint256(order.hash());
        words[at + 3] = order.account();
        words[at + 4] = order.slot();
        words[at + 5] = tables.indexOf(order.keyHead());
        words[at + 6] = order.filled();
        words[at + 7] = order.isUsed() ? 1 : 0;
        words[at + 8] = order.isClosed() ? 1 : 0;
    }

    function _listPlain(uint256[] memory words, uint256 at, PlainOrder memory order, uint256 index) private pure {
        words[at] = index;
        words[at + 1] = order.terms;
        words[at + 2] = uint256(order.hash);
        words[at + 3] = order.account;
        words[at + 4] = order.slot;
        words[at + 5] = order.keyHead;
        words[at + 6] = order.filled;
        words[at + 7] = order.isUsed ? 1 : 0;
        words[at + 8] = order.isClosed ? 1 : 0;
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Leaves
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice The hashes of two groups, whose leaves are set in turns from the last on.
    function leaves(bytes32[] calldata first, bytes32[] calldata second)
        external
        pure
        returns (bytes32[2] memory actual, bytes32[2] memory expected, bool isIntact)
    {
        BatchTables memory tables;
        tables.leaves = new uint256[](2);
        uint256[] memory before = Guards.make();
        tables.allocateLeaves(0, first.length);
        tables.allocateLeaves(1, second.length);
        uint256[] memory behind = Guards.make();
        for (uint256 left = first.length > second.length ? first.length : second.length; left != 0; --left) {
            if (left <= first.length) tables.setLeafHash(0, left - 1, first[left - 1]);
            if (left <= second.length) tables.setLeafHash(1, left - 1, second[left - 1]);
        }
        isIntact = before.isIntact() && behind.isIntact();
        actual = [tables.concatenatedHash(0, first.length), tables.concatenatedHash(1, second.length)];
        expected = [keccak256(abi.encodePacked(first)), keccak256(abi.encodePacked(second))];
    }
}
