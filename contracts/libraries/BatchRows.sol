// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {FillWord, OrderLinks, OrderTerms} from "./BatchWords.sol";
import {MemoryWords} from "./MemoryWords.sol";

/// @notice Pointer to a row of a packed batch in memory: of the order, the group and the fill table, which settlement
///         walks through row by row. What a row has beyond its own bytes is cut off.
type OrderRow is uint256;

type GroupRow is uint256;

type FillRow is uint256;

using OrderRowLib for OrderRow global;
using GroupRowLib for GroupRow global;
using FillRowLib for FillRow global;

/// @title  Rows of the order table
library OrderRowLib {
    uint256 internal constant SIZE = 35;

    function isBefore(OrderRow row, OrderRow other) internal pure returns (bool) {
        return OrderRow.unwrap(row) < OrderRow.unwrap(other);
    }

    function next(OrderRow row) internal pure returns (OrderRow) {
        unchecked {
            return OrderRow.wrap(OrderRow.unwrap(row) + SIZE);
        }
    }

    function terms(OrderRow row) internal pure returns (OrderTerms) {
        return OrderTerms.wrap(MemoryWords.load(OrderRow.unwrap(row)));
    }

    function links(OrderRow row) internal pure returns (OrderLinks) {
        unchecked {
            return OrderLinks.wrap(MemoryWords.load(OrderRow.unwrap(row) + 32));
        }
    }
}

/// @title  Rows of the group table
library GroupRowLib {
    uint256 internal constant SIZE = 67;

    function isBefore(GroupRow row, GroupRow other) internal pure returns (bool) {
        return GroupRow.unwrap(row) < GroupRow.unwrap(other);
    }

    function next(GroupRow row) internal pure returns (GroupRow) {
        unchecked {
            return GroupRow.wrap(GroupRow.unwrap(row) + SIZE);
        }
    }

    /// @return leaf count 8 (bits 16-23), mask of absent leaves 16 (0-15)
    function head(GroupRow row) internal pure returns (uint256) {
        return MemoryWords.load(GroupRow.unwrap(row)) >> 232;
    }

    function signature(GroupRow row) internal pure returns (bytes32 r, bytes32 vs) {
        unchecked {
            r = bytes32(MemoryWords.load(GroupRow.unwrap(row) + 3));
            vs = bytes32(MemoryWords.load(GroupRow.unwrap(row) + 35));
        }
    }
}

/// @title  Rows of the fill table
library FillRowLib {
    uint256 internal constant SIZE = 9;

    function isBefore(FillRow row, FillRow other) internal pure returns (bool) {
        return FillRow.unwrap(row) < FillRow.unwrap(other);
    }

    function next(FillRow row) internal pure returns (FillRow) {
        return skip(row, 1);
    }

    /// @notice The row `count` rows behind this one, if there is one.
    function skip(FillRow row, uint256 count) internal pure returns (FillRow) {
        unchecked {
            return FillRow.wrap(FillRow.unwrap(row) + count * SIZE);
        }
    }

    function fill(FillRow row) internal pure returns (FillWord) {
        return FillWord.wrap(MemoryWords.load(FillRow.unwrap(row)));
    }
}
