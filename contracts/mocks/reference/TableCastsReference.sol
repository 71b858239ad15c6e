// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {MarketWord} from "../../libraries/MarketWord.sol";
import {TableCasts} from "../../libraries/TableCasts.sol";

/// @title  TableCasts beside plain Solidity
/// @notice For tests only: every function answers the array that the library gives and a copy, entry by entry.
contract TableCastsReference {
    function toUint32s(uint256[] memory table)
        external
        pure
        returns (uint32[] memory actual, uint32[] memory expected)
    {
        actual = TableCasts.toUint32s(table);
        expected = new uint32[](table.length);
        for (uint256 i; i < table.length; ++i) {
            expected[i] = uint32(table[i]);
        }
    }

    function toUint80s(uint256[] memory table)
        external
        pure
        returns (uint80[] memory actual, uint80[] memory expected)
    {
        actual = TableCasts.toUint80s(table);
        expected = new uint80[](table.length);
        for (uint256 i; i < table.length; ++i) {
            expected[i] = uint80(table[i]);
        }
    }

    function toInt256s(uint256[] memory table)
        external
        pure
        returns (int256[] memory actual, int256[] memory expected)
    {
        actual = TableCasts.toInt256s(table);
        expected = new int256[](table.length);
        for (uint256 i; i < table.length; ++i) {
            expected[i] = int256(table[i]);
        }
    }

    function ofMarketWords(MarketWord[] memory array)
        external
        pure
        returns (uint256[] memory actual, uint256[] memory expected)
    {
        actual = TableCasts.ofMarketWords(array);
        expected = new uint256[](array.length);
        for (uint256 i; i < array.length; ++i) {
            expected[i] = MarketWord.unwrap(array[i]);
        }
    }
}
