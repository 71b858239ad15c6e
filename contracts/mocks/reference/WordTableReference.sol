// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {MemoryWords} from "../../libraries/MemoryWords.sol";
import {WordTable} from "../../libraries/WordTable.sol";
import {Guards} from "./Guards.sol";

/// @title  WordTable beside plain Solidity
/// @notice For tests only: the same operations on two tables, of which one is a plain array.
contract WordTableReference {
    using Guards for uint256[];
    using WordTable for uint256[];

    enum Action {
        GET,
        PUT,
        ADD,
        ADD_AT
    }

    struct Operation {
        Action action;
        uint256 index;
        uint256 word;
    }

    /// @return actual every entry that an operation has read, and then the table
    function run(uint256[] calldata entries, Operation[] calldata operations)
        external
        pure
        returns (uint256[] memory actual, uint256[] memory expected, bool isIntact)
    {
        uint256[] memory before = Guards.make();
        uint256[] memory table = entries;
        uint256[] memory behind = Guards.make();
        uint256[] memory plain = entries;
        (actual, expected) =
            (new uint256[](operations.length + entries.length), new uint256[](operations.length + entries.length));
        for (uint256 i; i < operations.length; ++i) {
            actual[i] = _apply(table, operations[i]);
            expected[i] = _applyPlain(plain, operations[i]);
        }
        for (uint256 i; i < entries.length; ++i) {
            (actual[operations.length + i], expected[operations.length + i]) = (table[i], plain[i]);
        }
        isIntact = before.isIntact() && behind.isIntact() && table.length == entries.length;
    }

    /// @notice A table that was made shorter, then as long again as it was, and the pointer to its first entry.
    function shorten(uint256[] calldata entries, uint256 length)
        external
        pure
        returns (uint256[] memory actual, uint256[] memory expected, bool isIntact)
    {
        uint256[] memory before = Guards.make();
        actual = entries;
        uint256[] memory behind = Guards.make();
        expected = entries[:length];
        isIntact = entries.length == 0 || MemoryWords.load(actual.start()) == entries[0];
        actual.setLength(length);
        actual.setLength(entries.length);
        for (uint256 i; i < entries.length; ++i) {
            isIntact = isIntact && actual[i] == entries[i];
        }
        actual.setLength(length);
        isIntact = isIntact && before.isIntact() && behind.isIntact();
    }

    function _apply(uint256[] memory table, Operation calldata operation) private pure returns (uint256) {
        (uint256 index, uint256 word) = (operation.index, operation.word);
        if (operation.action == Action.GET) return table.get(index);
        if (operation.action == Action.PUT) table.put(index, word);
        if (operation.action == Action.ADD) table.add(index, int256(word));
        if (operation.action == Action.ADD_AT) table.addAt(WordTable.placeOf(index), int256(word));
        return 0;
    }

    function _applyPlain(uint256[] memory table, Operation calldata operation) private pure returns (uint256) {
        (uint256 index, uint256 word) = (operation.index, operation.word);
        unchecked {
            if (operation.action == Action.GET) return table[index];
            if (operation.action == Action.PUT) table[index] = word;
            bool isSum = operation.action == Action.ADD || operation.action == Action.ADD_AT;
            if (isSum) table[index] = uint256(int256(table[index]) + int256(word));
        }
        return 0;
    }
}
