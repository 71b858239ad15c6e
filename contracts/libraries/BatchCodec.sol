// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IEngine} from "../interfaces/IEngine.sol";
import {BatchTables, OrderLinks, OrderTerms, OrderTermsLib, WordTable} from "./BatchTables.sol";

/// @title  Decoding of a batch
/// @notice Both forms of IEngine's batch become the same tables. Only the packed form's length is checked here; what the tables
///         say is checked by the Engine, so that both forms fail alike.
library BatchCodec {
    using WordTable for uint256[];

    uint256 private constant HEADER_SIZE = 23;
    uint256 private constant ACCOUNT_SIZE = 24;
    uint256 private constant MARKET_SIZE = 4;
    uint256 private constant POSITION_SIZE = 6;
    uint256 private constant GROUP_SIZE = 65;
    uint256 private constant ORDER_SIZE = 35;
    uint256 private constant CONVERSION_LIMIT_SIZE = 8;
    uint256 private constant FILL_SIZE = 9;

    /// @dev Bytes of a GroupEntry in the readable form.
    uint256 private constant GROUP_ENTRY_SIZE = 3 * 32;

    // ---------------------------------------------------------------------------------------------------------------
    // Packed form
    // ---------------------------------------------------------------------------------------------------------------

    function decode(bytes calldata packed) internal view returns (BatchTables memory tables) {
        if (packed.length < HEADER_SIZE) revert IEngine.MalformedBatch(HEADER_SIZE);
        uint256 header = _wordAt(packed, 0);
        tables.number = uint48(header >> 208);
        tables.matchedAt = uint40(header >> 168);
        uint256 accounts = uint16(header >> 152);
        uint256 markets = uint16(header >> 136);
        uint256 positions = uint16(header >> 120);
        uint256 groups = uint16(header >> 104);
        uint256 orders = uint16(header >> 88);
        uint256 fills = uint16(header >> 72);

        uint256 least = HEADER_SIZE + accounts * ACCOUNT_SIZE + markets * MARKET_SIZE + positions * POSITION_SIZE
            + groups * GROUP_SIZE + orders * ORDER_SIZE + fills * FILL_SIZE;
        if (packed.length < least) revert IEngine.MalformedBatch(least);

        tables.allocate(accounts, markets, positions, groups, orders, fills);
        uint256 offset = _readAccounts(packed, tables);
        offset = _readMarkets(packed, offset, tables);
        offset = _readPositions(packed, offset, tables);
        offset = _readGroups(packed, offset, tables);
        offset = _readOrders(packed, offset, tables);
        offset = _readFills(packed, offset, tables);
        // Orders with a conversion limit are longer than `least` assumed; what was read beyond the end were zeros.
        if (packed.length != offset) revert IEngine.MalformedBatch(offset);
    }

    // Offsets below are at most 2^16 * (24 + 4 + 6 + 65 + 43 + 9) + 23, so they cannot overflow.

    function _readAccounts(bytes calldata packed, BatchTables memory tables) private pure returns (uint256 offset) {
        uint256 count = tables.accountCount();
        offset = HEADER_SIZE;
        for (uint256 i; i < count; ++i) {
            uint256 word = _wordAt(packed, offset);
            tables.setAccount(i, address(uint160(word >> 96)), uint32(word >> 64));
            unchecked {
                offset += ACCOUNT_SIZE;
            }
        }
    }

    function _readMarkets(bytes calldata packed, uint256 offset, BatchTables memory tables)
        private
        pure
        returns (uint256)
    {
        uint256 count = tables.marketIds.length;
        for (uint256 i; i < count; ++i) {
            tables.marketIds.put(i, _wordAt(packed, offset) >> 224);
            unchecked {
                offset += MARKET_SIZE;
            }
        }
        return offset;
    }

    function _readPositions(bytes calldata packed, uint256 offset, BatchTables memory tables)
        private
        pure
        returns (uint256)
    {
        uint256 count = tables.positions.length;
        for (uint256 i; i < count; ++i) {
            tables.positions.put(i, _wordAt(packed, offset) >> 208);
            unchecked {
                offset += POSITION_SIZE;
            }
        }
        return offset;
    }

    function _readGroups(bytes calldata packed, uint256 offset, BatchTables memory tables)
        private
        pure
        returns (uint256)
    {
        tables.signatures = _calldataOffset(packed) + offset + 1;
        tables.signatureStride = GROUP_SIZE;
        uint256 count = tables.leaves.length;
        for (uint256 i; i < count; ++i) {
            tables.leaves.put(i, _wordAt(packed, offset) >> 248);
            unchecked {
                offset += GROUP_SIZE;
            }
        }
        return offset;
    }

    function _readOrders(bytes calldata packed, uint256 offset, BatchTables memory tables)
        private
        pure
        returns (uint256)
    {
        uint256 count = tables.orderCount;
        for (uint256 i; i < count; ++i) {
            OrderTerms terms = OrderTerms.wrap(_wordAt(packed, offset));
            unchecked {
                tables.order(i).enter(terms, OrderLinks.wrap(_wordAt(packed, offset + 32) >> 232));
                offset += ORDER_SIZE;
                // No market takes a conversion limit yet: an order that has one is refused, so its value is not kept.
                if (terms.has(OrderTermsLib.HAS_CONVERSION_LIMIT)) offset += CONVERSION_LIMIT_SIZE;
            }
        }
        return offset;
    }

    function _readFills(bytes calldata packed, uint256 offset, BatchTables memory tables)
        private
        pure
        returns (uint256)
    {
        uint256 count = tables.fills.length;
        for (uint256 i; i < count; ++i) {
            uint256 word = _wordAt(packed, offset);
            tables.fills.put(i, ((word >> 224) << 64) | uint40(word >> 184));
            unchecked {
                offset += FILL_SIZE;
            }
        }
        return offset;
    }

    function _calldataOffset(bytes calldata packed) private pure returns (uint256 offset) {
        assembly ("memory-safe") {
            offset := packed.offset
        }
    }

    /// @dev The 32 bytes at `offset`; zeros beyond the end of the calldata.
    function _wordAt(bytes calldata packed, uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(packed.offset, offset))
        }
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Readable form
    // ---------------------------------------------------------------------------------------------------------------

    function decode(IEngine.Batch calldata batch) internal view returns (BatchTables memory tables) {
        tables.number = batch.number;
        tables.matchedAt = batch.matchedAt;
        _checkLength(batch.accounts.length);
        _checkLength(batch.markets.length);
        _checkLength(batch.positions.length);
        _checkLength(batch.groups.length);
        _checkLength(batch.orders.length);
        _checkLength(batch.fills.length);
        tables.allocate(
            batch.accounts.length,
            batch.markets.length,
            batch.positions.length,
            batch.groups.length,
            batch.orders.length,
            batch.fills.length
        );
        for (uint256 i; i < batch.accounts.length; ++i) {
            tables.setAccount(i, batch.accounts[i].account, batch.accounts[i].epoch);
        }
        for (uint256 i; i < batch.markets.length; ++i) {
            tables.marketIds.put(i, batch.markets[i]);
        }
        for (uint256 i; i < batch.positions.length; ++i) {
            IEngine.PositionEntry calldata entry = batch.positions[i];
            tables.positions.put(i, (uint256(entry.account) << 32) | entry.instrument);
        }
        for (uint256 i; i < batch.groups.length; ++i) {
            tables.leaves.put(i, batch.groups[i].leafCount);
        }
        tables.signatures = _calldataOffset(batch.groups);
        tables.signatureStride = GROUP_ENTRY_SIZE;
        for (uint256 i; i < batch.orders.length; ++i) {
            IEngine.OrderEntry calldata entry = batch.orders[i];
            tables.order(i).enter(_termsOf(entry), OrderLinks.wrap((uint256(entry.group) << 8) | entry.leaf));
        }
        for (uint256 i; i < batch.fills.length; ++i) {
            IEngine.FillEntry calldata entry = batch.fills[i];
            tables.fills.put(i, (uint256(entry.maker) << 80) | (uint256(entry.taker) << 64) | entry.quantity);
        }
    }

    function _calldataOffset(IEngine.GroupEntry[] calldata groups) private pure returns (uint256 offset) {
        assembly ("memory-safe") {
            offset := groups.offset
        }
    }

    /// @dev A table of either form has at most 65,535 entries.
    function _checkLength(uint256 length) private pure {
        if (length > type(uint16).max) revert IEngine.MalformedBatch(length);
    }

    /// @dev A value that the terms cannot hold becomes one that is always refused with the error of an invalid value: price and
    ///      quantity 0, an unknown flag, an expiry that contradicts the time in force.
    function _termsOf(IEngine.OrderEntry calldata entry) private pure returns (OrderTerms) {
        uint256 flags = (uint256(entry.timeInForce) << 1) | entry.side;
        if (entry.side > 1 || entry.timeInForce > 3) flags = OrderTermsLib.UNKNOWN_FLAGS;
        if (entry.reduceOnly) flags |= OrderTermsLib.REDUCE_ONLY;
        if (entry.conversionLimit != 0) flags |= OrderTermsLib.HAS_CONVERSION_LIMIT;
        uint256 price = entry.price > type(uint56).max ? 0 : entry.price;
        uint256 quantity = entry.quantity > type(uint40).max ? 0 : entry.quantity;
        return OrderTerms.wrap(
            (uint256(entry.position) << 240) | (uint256(entry.market) << 224) | (flags << OrderTermsLib.FLAGS_SHIFT)
                | (uint256(entry.nonce) << 152) | (price << 96) | (quantity << 56) | (_expiryOf(entry) << 16)
                | entry.maxFeeBps
        );
    }

    /// @dev The readable form carries the expiry that is signed, 2^64-1 for GTC, where the packed record has 0. So 0 stands for
    ///      "no expiry" there, and a GTC order with an expiry or another order without one is refused.
    function _expiryOf(IEngine.OrderEntry calldata entry) private pure returns (uint256) {
        if (entry.timeInForce == 0) return entry.expiry == type(uint64).max ? 0 : 1;
        return entry.expiry > type(uint40).max ? 0 : entry.expiry;
    }
}
