// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @notice Key of one storage word of a position, i.e. of an account in an instrument.
///
///   255                                       96 95             64 63            0
///  +--------------------------------------------+-----------------+---------------+
///  | account 160                                | instrument 32   | index 64      |
///  +--------------------------------------------+-----------------+---------------+
///
/// Index 0 holds the balance and nonce key 0; index 1 + (key >> 1) holds the nonce keys >= 1, two to a word.
type PositionSlot is uint256;

/// @notice What such a word holds. The half of nonce key k is the lower one if k is even, the upper one if it is odd.
///
///           255                              128 127       96 95             32 31       0
///          +------------------------------------+------------+-----------------+----------+
///  index 0 | balance 128                        | seq 32     | filled 64       | spare 32 |
///          +------------+-----------------------+------------+-----------------+----------+
///  others  | seq 32     | filled 64  | spare 32 | seq 32     | filled 64       | spare 32 |
///          +------------+------------+----------+------------+-----------------+----------+
///
/// The balance is in quanta; `seq` is the nonce key's latest sequence that acted, `filled` how many lots of it are
/// filled.
type PositionWord is uint256;

/// @notice State of a nonce key: seq 32 (bits 96-127), filled 64 (32-95). What the other bits are does not matter.
type NonceState is uint256;

using PositionSlotLib for PositionSlot global;
using NonceStateLib for NonceState global;
using PositionWordLib for PositionWord global;

/// @title  Keys of a position's storage words
library PositionSlotLib {
    uint256 private constant ACCOUNT_SHIFT = 96;
    uint256 private constant INSTRUMENT_SHIFT = 64;

    /// @notice The word of the balance and of nonce key 0.
    function first(address account, uint32 instrument) internal pure returns (PositionSlot) {
        return PositionSlot.wrap(
            (uint256(uint160(account)) << ACCOUNT_SHIFT) | (uint256(instrument) << INSTRUMENT_SHIFT)
        );
    }

    /// @notice The word of a nonce key, given the position's first word.
    function ofKey(PositionSlot first_, uint32 key) internal pure returns (PositionSlot) {
        return key == 0 ? first_ : ofLaterKey(first_, key);
    }

    /// @notice The word of a nonce key >= 1.
    function ofLaterKey(PositionSlot first_, uint32 key) internal pure returns (PositionSlot) {
        // The index, at most 2^31, stays within the 64 bits that are zero in the first word's key.
        unchecked {
            return PositionSlot.wrap(PositionSlot.unwrap(first_) + 1 + (uint256(key) >> 1));
        }
    }
}

/// @title  Fields of a position's storage words
library PositionWordLib {
    uint256 private constant LOG2_HALF_BITS = 7;
    uint256 private constant BALANCE_SHIFT = 128;
    uint256 private constant STATE_MASK = uint256(type(uint96).max) << 32;

    /// @notice Balance in quanta. Only for the first word.
    function balance(PositionWord word) internal pure returns (uint256) {
        return PositionWord.unwrap(word) >> BALANCE_SHIFT;
    }

    /// @notice The same word with another balance. Only for the first word.
    function withBalance(PositionWord word, uint128 balance_) internal pure returns (PositionWord) {
        return PositionWord.wrap(
            (PositionWord.unwrap(word) & type(uint128).max) | (uint256(balance_) << BALANCE_SHIFT)
        );
    }

    /// @notice State of a nonce key, which the caller knows to lie in this word.
    function nonceState(PositionWord word, uint32 key) internal pure returns (uint32 sequence, uint64 filled) {
        NonceState state = stateOf(word, key);
        return (state.sequence(), state.filled());
    }

    /// @notice The same as one word.
    function stateOf(PositionWord word, uint32 key) internal pure returns (NonceState) {
        return NonceState.wrap(PositionWord.unwrap(word) >> _halfShift(key));
    }

    /// @notice The same word with another state of a nonce key.
    function withNonceState(PositionWord word, uint32 key, uint32 sequence, uint64 filled)
        internal
        pure
        returns (PositionWord)
    {
        return withState(word, key, NonceStateLib.make(sequence, filled));
    }

    /// @notice The same, given a state whose other bits are zero.
    function withState(PositionWord word, uint32 key, NonceState state) internal pure returns (PositionWord) {
        uint256 shift = _halfShift(key);
        return PositionWord.wrap(
            (PositionWord.unwrap(word) & ~(STATE_MASK << shift)) | (NonceState.unwrap(state) << shift)
        );
    }

    function _halfShift(uint32 key) private pure returns (uint256) {
        return (uint256(key) & 1) << LOG2_HALF_BITS;
    }
}

/// @title  Fields of NonceState
library NonceStateLib {
    uint256 private constant SEQUENCE_SHIFT = 96;
    uint256 private constant FILLED_SHIFT = 32;

    function make(uint256 sequence_, uint256 filled_) internal pure returns (NonceState) {
        return NonceState.wrap((sequence_ << SEQUENCE_SHIFT) | (filled_ << FILLED_SHIFT));
    }

    function sequence(NonceState state) internal pure returns (uint32) {
        return uint32(NonceState.unwrap(state) >> SEQUENCE_SHIFT);
    }

    /// @return lots of the sequence
    function filled(NonceState state) internal pure returns (uint64) {
        return uint64(NonceState.unwrap(state) >> FILLED_SHIFT);
    }
}
