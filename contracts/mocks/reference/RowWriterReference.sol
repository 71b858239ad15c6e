// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {RowCursor, RowWriter} from "../../libraries/RowWriter.sol";
import {Guards} from "./Guards.sol";

/// @title  RowWriter beside plain Solidity
/// @notice For tests only.
contract RowWriterReference {
    using Guards for uint256[];

    struct Field {
        uint8 size;
        uint256 value;
    }

    /// @notice Fields written over `background`, which is as long as they are or longer.
    function write(bytes calldata background, Field[] calldata fields)
        external
        pure
        returns (bytes memory actual, bytes memory expected, bool isIntact)
    {
        uint256[] memory before = Guards.make();
        RowCursor cursor;
        (actual, cursor) = RowWriter.allocate(background.length);
        uint256[] memory behind = Guards.make();
        for (uint256 i; i < background.length; ++i) {
            actual[i] = background[i];
        }
        for (uint256 i; i < fields.length; ++i) {
            cursor = cursor.put(fields[i].size, fields[i].value);
        }
        isIntact = before.isIntact() && behind.isIntact();

        expected = background;
        uint256 position;
        for (uint256 i; i < fields.length; ++i) {
            for (uint256 left = fields[i].size; left != 0; --left) {
                expected[position++] = bytes1(uint8(fields[i].value >> (8 * (left - 1))));
            }
        }
    }
}
