// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {PositionSlot, PositionSlotLib, PositionWord} from "../../contracts/libraries/PositionSlot.sol";

/// @notice Keys and fields of a position's storage words, for every value.
contract PositionWordsTest {
    uint256 private constant SPARE = 0xffffffff;

    /// @dev Two positions or two nonce keys share a word only if they are meant to.
    function check_slots_are_injective(
        address account,
        uint32 instrument,
        uint32 key,
        address otherAccount,
        uint32 otherInstrument,
        uint32 otherKey
    ) external pure {
        PositionSlot slot = PositionSlotLib.first(account, instrument).ofKey(key);
        PositionSlot other = PositionSlotLib.first(otherAccount, otherInstrument).ofKey(otherKey);
        bool isSameWord = key == otherKey || (key != 0 && otherKey != 0 && key >> 1 == otherKey >> 1);
        bool isSame = account == otherAccount && instrument == otherInstrument && isSameWord;
        assert((PositionSlot.unwrap(slot) == PositionSlot.unwrap(other)) == isSame);
    }

    function check_balance_round_trip(uint256 raw, uint128 balance) external pure {
        PositionWord word = PositionWord.wrap(raw).withBalance(balance);
        assert(word.balance() == balance);
        assert(PositionWord.unwrap(word) << 128 == raw << 128);
    }

    /// @dev Key 0 and a balance share a word and never touch each other.
    function check_key_zero_leaves_the_balance(uint256 raw, uint32 sequence, uint64 filled) external pure {
        PositionWord word = PositionWord.wrap(raw).withNonceState(0, sequence, filled);
        (uint32 readSequence, uint64 readFilled) = word.nonceState(0);
        assert(readSequence == sequence && readFilled == filled);
        assert(word.balance() == PositionWord.wrap(raw).balance());
        assert(PositionWord.unwrap(word) & SPARE == raw & SPARE);
    }

    function check_nonce_state_round_trip(uint256 raw, uint32 key, uint32 sequence, uint64 filled) external pure {
        PositionWord word = PositionWord.wrap(raw).withNonceState(key, sequence, filled);
        (uint32 readSequence, uint64 readFilled) = word.nonceState(key);
        assert(readSequence == sequence && readFilled == filled);
    }

    /// @dev The other key of the word keeps its state.
    function check_nonce_state_leaves_the_neighbour(uint256 raw, uint32 key, uint32 sequence, uint64 filled)
        external
        pure
    {
        PositionWord before = PositionWord.wrap(raw);
        PositionWord word = before.withNonceState(key, sequence, filled);
        (uint32 sequenceBefore, uint64 filledBefore) = before.nonceState(key ^ 1);
        (uint32 sequenceAfter, uint64 filledAfter) = word.nonceState(key ^ 1);
        assert(sequenceBefore == sequenceAfter && filledBefore == filledAfter);
    }
}
