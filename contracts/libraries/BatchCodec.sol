// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IEngine} from "../interfaces/IEngine.sol";
import {BatchTables} from "./BatchTables.sol";
import {OrderTerms, OrderTermsLib} from "./BatchWords.sol";

/// @title  The two forms of a batch
/// @notice The readable form is written as a packed one, and a packed one in memory is what settlement reads. Only
///         lengths are checked here; what the rows say is checked by the Engine, so that both forms fail alike.
library BatchCodec {
    uint256 private constant HEADER_SIZE = 23;
    uint256 private constant ORDER_SIZE = 35;
    uint256 private constant CONVERSION_LIMIT_SIZE = 8;

    // ---------------------------------------------------------------------------------------------------------------
    // Packed form
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Point to a packed batch's rows and reserve the tables for them.
    /// @dev    A row is read with the 32 bytes from its beginning, which may lie beyond the end of `packed`, but never
    ///         beyond the tables that are reserved behind it.
    function open(bytes memory packed) internal view returns (BatchTables memory tables) {
        if (packed.length < HEADER_SIZE) revert IEngine.MalformedBatch(HEADER_SIZE);
        uint256 header = _wordAt(packed, 0);
        tables.number = uint48(header >> 208);
        tables.matchedAt = uint40(header >> 168);
        tables.accountCount = uint16(header >> 152);
        tables.marketCount = uint16(header >> 136);
        tables.positionCount = uint16(header >> 120);
        tables.groupCount = uint16(header >> 104);
        tables.orderCount = uint16(header >> 88);
        tables.fillCount = uint16(header >> 72);

        uint256 start = _dataOf(packed);
        uint256 length = tables.locate(start + HEADER_SIZE) - start;
        if (packed.length != length) {
            _checkConversionLimits(packed, tables.orderRows - start, tables.orderCount, length);
        }
        tables.allocate();
    }

    /// @dev Check the length of a batch that is not as long as its counts say: orders with a conversion limit are
    ///      longer. No market takes one yet, so the first of them ends the batch and nothing behind it is read from its
    ///      place.
    function _checkConversionLimits(bytes memory packed, uint256 offset, uint256 orders, uint256 length) private pure {
        for (uint256 i; i < orders && length <= packed.length; ++i) {
            bool hasLimit = OrderTerms.wrap(_wordAt(packed, offset)).has(OrderTermsLib.HAS_CONVERSION_LIMIT);
            offset += ORDER_SIZE;
            if (!hasLimit) continue;
            offset += CONVERSION_LIMIT_SIZE;
            length += CONVERSION_LIMIT_SIZE;
        }
        if (packed.length != length) revert IEngine.MalformedBatch(length);
    }

    function _dataOf(bytes memory packed) private pure returns (uint256 start) {
        assembly ("memory-safe") {
            start := add(packed, 0x20)
        }
    }

    function _wordAt(bytes memory packed, uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(add(packed, 0x20), offset))
        }
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Readable form
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Write a readable batch in packed form.
    /// @dev    Values that the packed form cannot hold are refused here, or written as others that are always refused
    ///         with the error of an invalid value.
    function pack(IEngine.Batch calldata batch) internal pure returns (bytes memory packed) {
        BatchTables memory tables;
        tables.accountCount = _countOf(batch.accounts.length);
        tables.marketCount = _countOf(batch.markets.length);
        tables.positionCount = _countOf(batch.positions.length);
        tables.groupCount = _countOf(batch.groups.length);
        tables.orderCount = _countOf(batch.orders.length);
        tables.fillCount = _countOf(batch.fills.length);
        packed = new bytes(tables.locate(HEADER_SIZE));

        uint256 cursor = _dataOf(packed);
        cursor = _put(cursor, 6, batch.number);
        cursor = _put(cursor, 5, batch.matchedAt);
        cursor = _put(cursor, 2, tables.accountCount);
        cursor = _put(cursor, 2, tables.marketCount);
        cursor = _put(cursor, 2, tables.positionCount);
        cursor = _put(cursor, 2, tables.groupCount);
        cursor = _put(cursor, 2, tables.orderCount);
        cursor = _put(cursor, 2, tables.fillCount);
        cursor = _packAccounts(batch, cursor);
        cursor = _packOrders(batch, cursor);
        _packFills(batch, cursor);
    }

    function _packAccounts(IEngine.Batch calldata batch, uint256 cursor) private pure returns (uint256) {
        for (uint256 i; i < batch.accounts.length; ++i) {
            cursor = _put(cursor, 20, uint160(batch.accounts[i].account));
            cursor = _put(cursor, 4, batch.accounts[i].epoch);
        }
        for (uint256 i; i < batch.markets.length; ++i) {
            cursor = _put(cursor, 4, batch.markets[i]);
        }
        for (uint256 i; i < batch.positions.length; ++i) {
            cursor = _put(cursor, 2, batch.positions[i].account);
            cursor = _put(cursor, 4, batch.positions[i].instrument);
        }
        return cursor;
    }

    function _packOrders(IEngine.Batch calldata batch, uint256 cursor) private pure returns (uint256) {
        for (uint256 i; i < batch.groups.length; ++i) {
            cursor = _put(cursor, 1, batch.groups[i].leafCount);
            cursor = _put(cursor, 32, uint256(batch.groups[i].r));
            cursor = _put(cursor, 32, uint256(batch.groups[i].vs));
        }
        for (uint256 i; i < batch.orders.length; ++i) {
            IEngine.OrderEntry calldata entry = batch.orders[i];
            cursor = _put(cursor, 32, _termsOf(entry));
            cursor = _put(cursor, 2, entry.group);
            cursor = _put(cursor, 1, entry.leaf);
        }
        return cursor;
    }

    function _packFills(IEngine.Batch calldata batch, uint256 cursor) private pure {
        for (uint256 i; i < batch.fills.length; ++i) {
            IEngine.FillEntry calldata entry = batch.fills[i];
            if (entry.quantity > type(uint40).max) revert IEngine.Overfill(i, entry.maker);
            cursor = _put(cursor, 2, entry.maker);
            cursor = _put(cursor, 2, entry.taker);
            cursor = _put(cursor, 5, entry.quantity);
        }
    }

    /// @dev A table of either form has at most 65,535 entries.
    function _countOf(uint256 length) private pure returns (uint256) {
        if (length > type(uint16).max) revert IEngine.MalformedBatch(length);
        return length;
    }

    /// @dev What does not fit becomes a price or quantity of 0, an unknown flag, or an expiry that contradicts the time
    ///      in force. A conversion limit leaves only its flag, for which the order is refused.
    function _termsOf(IEngine.OrderEntry calldata entry) private pure returns (uint256) {
        uint256 flags = (uint256(entry.timeInForce) << 1) | entry.side;
        if (entry.side > 1 || entry.timeInForce > 3) flags = OrderTermsLib.UNKNOWN_FLAGS;
        if (entry.reduceOnly) flags |= OrderTermsLib.REDUCE_ONLY;
        if (entry.conversionLimit != 0) flags |= OrderTermsLib.HAS_CONVERSION_LIMIT;
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

    /// @dev Write a value of `size` bytes and return where the next is written. The zeros that follow it are
    ///      overwritten by the next value; behind the last one they fall into free memory.
    function _put(uint256 cursor, uint256 size, uint256 value) private pure returns (uint256 next) {
        assembly ("memory-safe") {
            mstore(cursor, shl(sub(256, shl(3, size)), value))
            next := add(cursor, size)
        }
    }
}
