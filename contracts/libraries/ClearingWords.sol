// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @notice An account in a derivative market: account 160 (bits 32-191), market 32 (0-31). It is the upper part of the
///         Position word that the Engine hands over.
type ClearingKey is uint256;

/// @notice A position as it is stored.
///
///   255                  192 191                         96 95                           0
///  +------------------------+------------------------------+------------------------------+
///  | size i64               | quote i96                    | fundingIndex i96             |
///  +------------------------+------------------------------+------------------------------+
///
/// Size in lots, > 0 long; quote in micro-USDC; fundingIndex in micro-USDC per lot times 2^32. An option has a size
/// only. Once its market has expired and the position is settled, size is 0 and the quote is what is still owed to it.
type ClearingPosition is uint256;

/// @notice A market's state.
///
///   255                160 159          128 127             64 63        56 55               0
///  +----------------------+----------------+------------------+------------+------------------+
///  | funding i96          | lastHour u32   | settlePerLot u64 | state u8   | collateral u56   |
///  +----------------------+----------------+------------------+------------+------------------+
///
/// `collateral`, per lot, is set when an option expires, so that closing positions needs no other word; it is 0 in
/// every other market and at any other time. `state` is a value of IClearinghouse.State.
type ClearingMarket is uint256;

/// @notice A market's pool in micro-USDC: pool u128 (bits 128-255); and how many of its positions have a notice: u32
///         (0-31).
type ClearingPool is uint256;

/// @notice Exit request and flag of a position: exitEndsAt u40 (bits 80-119), exitRequestedAt u40 (40-79), flaggedAt u40
///         (0-39), in the Engine's clock; 0 if there is none. A request that was canceled has an end, a flag a term:
///         what is over may stay in the word, but counts as none.
type ClearingNotice is uint256;

using ClearingKeyLib for ClearingKey global;
using ClearingPositionLib for ClearingPosition global;
using ClearingMarketLib for ClearingMarket global;
using ClearingPoolLib for ClearingPool global;
using ClearingNoticeLib for ClearingNotice global;

/// @title  Fields of ClearingKey
library ClearingKeyLib {
    uint256 private constant ACCOUNT_SHIFT = 32;
    uint256 private constant POSITION_SHIFT = 64; // of the key within the Engine's Position word

    function make(address account_, uint32 market_) internal pure returns (ClearingKey) {
        return ClearingKey.wrap((uint256(uint160(account_)) << ACCOUNT_SHIFT) | market_);
    }

    /// @param position a Position word (see BatchWords)
    function ofPosition(uint256 position) internal pure returns (ClearingKey) {
        return ClearingKey.wrap(position >> POSITION_SHIFT);
    }

    function account(ClearingKey key) internal pure returns (address) {
        return address(uint160(ClearingKey.unwrap(key) >> ACCOUNT_SHIFT));
    }

    function market(ClearingKey key) internal pure returns (uint32) {
        return uint32(ClearingKey.unwrap(key));
    }
}

/// @title  Fields of ClearingPosition
library ClearingPositionLib {
    uint256 private constant SIZE_SHIFT = 192;
    uint256 private constant QUOTE_SHIFT = 96;

    /// @notice Reverts (SafeCast) if a number does not fit its field.
    function make(int256 size_, int256 quote_, int256 fundingIndex_) internal pure returns (ClearingPosition) {
        return pack(SafeCast.toInt64(size_), SafeCast.toInt96(quote_), SafeCast.toInt96(fundingIndex_));
    }

    function pack(int64 size_, int96 quote_, int96 fundingIndex_) internal pure returns (ClearingPosition) {
        return ClearingPosition.wrap(
            (uint256(uint64(size_)) << SIZE_SHIFT) | (uint256(uint96(quote_)) << QUOTE_SHIFT) | uint96(fundingIndex_)
        );
    }

    function size(ClearingPosition position) internal pure returns (int64) {
        return int64(uint64(ClearingPosition.unwrap(position) >> SIZE_SHIFT));
    }

    function quote(ClearingPosition position) internal pure returns (int96) {
        return int96(uint96(ClearingPosition.unwrap(position) >> QUOTE_SHIFT));
    }

    function fundingIndex(ClearingPosition position) internal pure returns (int96) {
        return int96(uint96(ClearingPosition.unwrap(position)));
    }
}

/// @title  Fields of ClearingMarket
library ClearingMarketLib {
    uint256 private constant FUNDING_SHIFT = 160;
    uint256 private constant LAST_HOUR_SHIFT = 128;
    uint256 private constant SETTLE_SHIFT = 64;
    uint256 private constant STATE_SHIFT = 56;
    uint256 private constant FUNDING_MASK = (uint256(1) << LAST_HOUR_SHIFT) - 1;
    uint256 private constant EXPIRY_MASK = type(uint256).max << LAST_HOUR_SHIFT;

    function funding(ClearingMarket word) internal pure returns (int96) {
        return int96(uint96(ClearingMarket.unwrap(word) >> FUNDING_SHIFT));
    }

    function lastHour(ClearingMarket word) internal pure returns (uint32) {
        return uint32(ClearingMarket.unwrap(word) >> LAST_HOUR_SHIFT);
    }

    function settlePerLot(ClearingMarket word) internal pure returns (uint64) {
        return uint64(ClearingMarket.unwrap(word) >> SETTLE_SHIFT);
    }

    function state(ClearingMarket word) internal pure returns (uint8) {
        return uint8(ClearingMarket.unwrap(word) >> STATE_SHIFT);
    }

    function collateral(ClearingMarket word) internal pure returns (uint56) {
        return uint56(ClearingMarket.unwrap(word));
    }

    /// @notice The same market after an accrual of funding.
    function withFunding(ClearingMarket word, int96 funding_, uint32 lastHour_)
        internal
        pure
        returns (ClearingMarket)
    {
        return ClearingMarket.wrap(
            (uint256(uint96(funding_)) << FUNDING_SHIFT) | (uint256(lastHour_) << LAST_HOUR_SHIFT)
                | (ClearingMarket.unwrap(word) & FUNDING_MASK)
        );
    }

    /// @notice The same market in another state, with its settlement price.
    function withExpiry(ClearingMarket word, uint8 state_, uint64 settlePerLot_, uint56 collateral_)
        internal
        pure
        returns (ClearingMarket)
    {
        return ClearingMarket.wrap(
            (ClearingMarket.unwrap(word) & EXPIRY_MASK) | (uint256(settlePerLot_) << SETTLE_SHIFT)
                | (uint256(state_) << STATE_SHIFT) | collateral_
        );
    }
}

/// @title  Fields of ClearingPool
library ClearingPoolLib {
    uint256 private constant AMOUNT_SHIFT = 128;

    function make(uint128 amount_, uint32 notices_) internal pure returns (ClearingPool) {
        return ClearingPool.wrap((uint256(amount_) << AMOUNT_SHIFT) | notices_);
    }

    /// @return micro-USDC
    function amount(ClearingPool word) internal pure returns (uint128) {
        return uint128(ClearingPool.unwrap(word) >> AMOUNT_SHIFT);
    }

    function notices(ClearingPool word) internal pure returns (uint32) {
        return uint32(ClearingPool.unwrap(word));
    }
}

/// @title  Fields of ClearingNotice
library ClearingNoticeLib {
    ClearingNotice internal constant NONE = ClearingNotice.wrap(0);

    /// @dev Seconds after which a flag counts no more: a window in which nobody may act on it, and a day.
    uint40 private constant FLAG_TERM = 25 hours;

    uint256 private constant EXIT_SHIFT = 40;
    uint256 private constant END_SHIFT = 80;

    /// @notice The notice with another exit request; its end is 0 unless it was canceled.
    function withExit(ClearingNotice word, uint40 requestedAt, uint40 endsAt) internal pure returns (ClearingNotice) {
        return ClearingNotice.wrap(
            (uint256(endsAt) << END_SHIFT) | (uint256(requestedAt) << EXIT_SHIFT) | uint40(ClearingNotice.unwrap(word))
        );
    }

    /// @notice The notice with another flag.
    function withFlag(ClearingNotice word, uint40 flaggedAt_) internal pure returns (ClearingNotice) {
        return ClearingNotice.wrap((ClearingNotice.unwrap(word) >> EXIT_SHIFT << EXIT_SHIFT) | flaggedAt_);
    }

    /// @return 0 unless there is an exit request that has not ended by `time`
    function exitRequestedAt(ClearingNotice word, uint40 time) internal pure returns (uint40) {
        uint40 end = exitEndsAt(word);
        return end != 0 && time >= end ? 0 : uint40(ClearingNotice.unwrap(word) >> EXIT_SHIFT);
    }

    /// @return when the exit request ends, or has ended; 0 if it was not canceled
    function exitEndsAt(ClearingNotice word) internal pure returns (uint40) {
        return uint40(ClearingNotice.unwrap(word) >> END_SHIFT);
    }

    /// @return 0 unless there is a flag whose term is not over at `time`
    function flaggedAt(ClearingNotice word, uint40 time) internal pure returns (uint40) {
        uint40 at = uint40(ClearingNotice.unwrap(word));
        return time >= at + FLAG_TERM ? 0 : at;
    }

    /// @notice Whether it has an exit request, also one that has ended.
    function hasExit(ClearingNotice word) internal pure returns (bool) {
        return ClearingNotice.unwrap(word) >> EXIT_SHIFT != 0;
    }

    /// @notice Whether it has a flag, also one whose term is over.
    function hasFlag(ClearingNotice word) internal pure returns (bool) {
        return uint40(ClearingNotice.unwrap(word)) != 0;
    }

    function isNone(ClearingNotice word) internal pure returns (bool) {
        return ClearingNotice.unwrap(word) == 0;
    }
}
