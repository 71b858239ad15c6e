// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IBatchPacker} from "./interfaces/IBatchPacker.sol";
import {IEngine} from "./interfaces/IEngine.sol";
import {OrderTermsLib} from "./libraries/BatchWords.sol";
import {RowCursor, RowWriter} from "./libraries/RowWriter.sol";

/// @title  BatchPacker
/// @notice Writes a readable batch in packed form; see IBatchPacker. It has no state and no owner.
contract BatchPacker is IBatchPacker {
    // ---------------------------------------------------------------------------------------------------------------
    // Packing
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IBatchPacker
    /// @dev Values that the packed form cannot hold are refused here, or written as others that are always refused with
    ///      the error of an invalid value.
    function pack(IEngine.Batch calldata batch) external pure returns (bytes memory) {
        (uint256 absents, uint256 limits) = (_countAbsents(batch), _countLimits(batch));
        bytes memory header = abi.encodePacked(
            batch.number,
            batch.matchedAt,
            _countOf(batch.accounts.length),
            _countOf(batch.markets.length),
            _countOf(batch.positions.length),
            _countOf(batch.groups.length),
            _countOf(absents),
            _countOf(batch.orders.length),
            _countOf(limits),
            _countOf(batch.fills.length)
        );
        return bytes.concat(
            header,
            _packAccounts(batch.accounts),
            _packMarkets(batch.markets),
            _packPositions(batch.positions),
            _packGroups(batch.groups),
            _packAbsents(batch.groups, absents),
            _packOrders(batch.orders),
            _packLimits(batch.orders, limits),
            _packFills(batch.fills)
        );
    }

    /// @dev A table of either form has at most 65,535 entries.
    function _countOf(uint256 length) private pure returns (uint16) {
        if (length > type(uint16).max) revert IEngine.MalformedBatch(length);
        return uint16(length);
    }

    function _countAbsents(IEngine.Batch calldata batch) private pure returns (uint256 count) {
        for (uint256 i; i < batch.groups.length; ++i) {
            count += batch.groups[i].absent.length;
        }
    }

    function _countLimits(IEngine.Batch calldata batch) private pure returns (uint256 count) {
        for (uint256 i; i < batch.orders.length; ++i) {
            if (batch.orders[i].conversionLimit != 0) ++count;
        }
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Tables
    // ---------------------------------------------------------------------------------------------------------------

    function _packAccounts(IEngine.AccountEntry[] calldata entries) private pure returns (bytes memory rows) {
        RowCursor cursor;
        (rows, cursor) = RowWriter.allocate(entries.length * 24);
        for (uint256 i; i < entries.length; ++i) {
            cursor = cursor.put(20, uint160(entries[i].account));
            cursor = cursor.put(4, entries[i].epoch);
        }
    }

    function _packMarkets(IEngine.MarketEntry[] calldata entries) private pure returns (bytes memory rows) {
        RowCursor cursor;
        (rows, cursor) = RowWriter.allocate(entries.length * 14);
        for (uint256 i; i < entries.length; ++i) {
            cursor = cursor.put(4, entries[i].id);
            cursor = cursor.put(10, entries[i].round);
        }
    }

    function _packPositions(IEngine.PositionEntry[] calldata entries) private pure returns (bytes memory rows) {
        RowCursor cursor;
        (rows, cursor) = RowWriter.allocate(entries.length * 6);
        for (uint256 i; i < entries.length; ++i) {
            cursor = cursor.put(2, entries[i].account);
            cursor = cursor.put(4, entries[i].instrument);
        }
    }

    function _packGroups(IEngine.GroupEntry[] calldata entries) private pure returns (bytes memory rows) {
        RowCursor cursor;
        (rows, cursor) = RowWriter.allocate(entries.length * 67);
        for (uint256 i; i < entries.length; ++i) {
            IEngine.GroupEntry calldata entry = entries[i];
            if (_countBits(entry.absentMask) != entry.absent.length) revert IEngine.InvalidAbsentMask(i);
            cursor = cursor.put(1, entry.leafCount);
            cursor = cursor.put(2, entry.absentMask);
            cursor = cursor.put(32, uint256(entry.r));
            cursor = cursor.put(32, uint256(entry.vs));
        }
    }

    function _packAbsents(IEngine.GroupEntry[] calldata entries, uint256 count)
        private
        pure
        returns (bytes memory rows)
    {
        RowCursor cursor;
        (rows, cursor) = RowWriter.allocate(count * 32);
        for (uint256 i; i < entries.length; ++i) {
            for (uint256 j; j < entries[i].absent.length; ++j) {
                cursor = cursor.put(32, uint256(entries[i].absent[j]));
            }
        }
    }

    function _packOrders(IEngine.OrderEntry[] calldata entries) private pure returns (bytes memory rows) {
        RowCursor cursor;
        (rows, cursor) = RowWriter.allocate(entries.length * 35);
        for (uint256 i; i < entries.length; ++i) {
            cursor = cursor.put(32, _termsOf(entries[i]));
            cursor = cursor.put(2, entries[i].group);
            cursor = cursor.put(1, entries[i].leaf);
        }
    }

    function _packLimits(IEngine.OrderEntry[] calldata entries, uint256 count)
        private
        pure
        returns (bytes memory rows)
    {
        RowCursor cursor;
        (rows, cursor) = RowWriter.allocate(count * 8);
        for (uint256 i; i < entries.length; ++i) {
            uint256 limit = entries[i].conversionLimit;
            if (limit != 0) cursor = cursor.put(8, limit);
        }
    }

    function _packFills(IEngine.FillEntry[] calldata entries) private pure returns (bytes memory rows) {
        RowCursor cursor;
        (rows, cursor) = RowWriter.allocate(entries.length * 9);
        for (uint256 i; i < entries.length; ++i) {
            IEngine.FillEntry calldata entry = entries[i];
            if (entry.quantity > type(uint40).max) revert IEngine.Overfill(i, entry.maker);
            cursor = cursor.put(2, entry.maker);
            cursor = cursor.put(2, entry.taker);
            cursor = cursor.put(5, entry.quantity);
        }
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Fields
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev What does not fit becomes a price or quantity of 0, an unknown flag, or an expiry that contradicts the time
    ///      in force.
    function _termsOf(IEngine.OrderEntry calldata entry) private pure returns (uint256) {
        uint256 flags = (uint256(entry.timeInForce) << 1) | entry.side;
        if (entry.side > 1 || entry.timeInForce > 3) flags = OrderTermsLib.UNKNOWN_FLAGS;
        if (entry.reduceOnly) flags |= OrderTermsLib.REDUCE_ONLY;
        if (entry.conversionLimit != 0) flags |= OrderTermsLib.HAS_CONVERSION_LIMIT;
        if (entry.forced) flags |= OrderTermsLib.FORCED;
        uint256 price = entry.price > type(uint56).max ? 0 : entry.price;
        uint256 quantity = entry.quantity > type(uint40).max ? 0 : entry.quantity;
        return (uint256(entry.position) << 240) | (uint256(entry.market) << 224) | (flags << OrderTermsLib.FLAGS_SHIFT)
            | (uint256(entry.nonce) << 152) | (price << 96) | (quantity << 56) | (_expiryOf(entry) << 16)
            | entry.maxFeeBps;
    }

    /// @dev The readable form carries the expiry that is signed, 2^64-1 for GTC, where the packed row has 0. So 0
    ///      stands for "no expiry" there, and a GTC order with an expiry or another order without one is refused.
    function _expiryOf(IEngine.OrderEntry calldata entry) private pure returns (uint256) {
        if (entry.timeInForce == 0) return entry.expiry == type(uint64).max ? 0 : 1;
        return entry.expiry > type(uint40).max ? 0 : entry.expiry;
    }

    function _countBits(uint256 mask) private pure returns (uint256 count) {
        for (; mask != 0; mask &= mask - 1) {
            ++count;
        }
    }
}
