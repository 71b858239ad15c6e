// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Group, MarketTerms, OrderTerms, Position, Progress} from "./BatchWords.sol";
import {MarketWord} from "./MarketWord.sol";
import {MemoryWords} from "./MemoryWords.sol";
import {PositionSlot, PositionWord} from "./PositionSlot.sol";
import {Place} from "./WordTable.sol";

/// @notice What is known of an order in memory: a pointer to four words.
///
/// | word | content                      |
/// |------|------------------------------|
/// | 0    | terms                        |
/// | 1    | hash: EIP-712 struct hash    |
/// | 2    | refs                         |
/// | 3    | progress                     |
///
/// All orders lie in one piece of memory in table order, so an order's pointer grows with its index.
type OrderState is uint256;

/// @notice Where in memory that is which an order belongs to, as one word.
///
///   255                128 127           96 95            64 63            32 31             0
///  +----------------------+----------------+----------------+----------------+----------------+
///  | 0                    | position 32    | stored 32      | key 32         | account 32     |
///  +----------------------+----------------+----------------+----------------+----------------+
///
/// Position, stored and key are pointers: to what is known of the position, to the storage word that holds the nonce
/// key, and to what is known of the nonce key, which is 0 unless other orders of the batch are under it, too. The
/// account is its place in the tables by account. (Memory of 2^32 bytes would cost 10^13 gas.)
type OrderRefs is uint256;

/// @notice A nonce key under which several orders of the batch are: a pointer to one word, the last order of the key
///         that acts in this batch; 0 if none does.
type KeyState is uint256;

/// @notice A storage word in memory: a pointer to three words, of which a position's first storage word has but one.
///
/// | word | content                                                       |
/// |------|---------------------------------------------------------------|
/// | 0    | the word, with the changes of this batch                      |
/// | 1    | its key; zero if this is no storage word but the list's end   |
/// | 2    | previous: pointer to the one that was loaded before           |
type StoredWord is uint256;

/// @notice What is known of a position in memory: a pointer to four words.
///
/// | word | content                                                             |
/// |------|---------------------------------------------------------------------|
/// | 0    | first storage word, with the changes of this batch                  |
/// | 1    | position                                                            |
/// | 2    | base delta: int256, quanta that this batch's fills move             |
/// | 3    | account: place of the account in the tables by account              |
type PositionState is uint256;

/// @notice What orders and fills need of a market: a pointer to four words.
///
/// | word | content                                   |
/// |------|-------------------------------------------|
/// | 0    | market word                               |
/// | 1    | terms                                     |
/// | 2    | lot size: quanta per lot of a spot market |
/// | 3    | id                                        |
type MarketState is uint256;

/// @notice A group while its orders are read: a pointer to two words.
///
/// | word | content                                                                      |
/// |------|------------------------------------------------------------------------------|
/// | 0    | group                                                                        |
/// | 1    | hash of its order; if it has several, pointer to their hashes, leaf by leaf  |
type GroupState is uint256;

using OrderStateLib for OrderState global;
using OrderRefsLib for OrderRefs global;
using KeyStateLib for KeyState global;
using StoredWordLib for StoredWord global;
using PositionStateLib for PositionState global;
using MarketStateLib for MarketState global;
using GroupStateLib for GroupState global;

/// @title  Fields of OrderState
/// @notice Pointers come only from BatchTablesLib and from `next` within the table, which makes the accesses safe.
library OrderStateLib {
    uint256 internal constant WORDS = 4;
    uint256 internal constant SIZE = WORDS * 32;

    function isSame(OrderState order, OrderState other) internal pure returns (bool) {
        return OrderState.unwrap(order) == OrderState.unwrap(other);
    }

    function isBefore(OrderState order, OrderState other) internal pure returns (bool) {
        return OrderState.unwrap(order) < OrderState.unwrap(other);
    }

    /// @notice The order behind this one, if there is one.
    function next(OrderState order) internal pure returns (OrderState) {
        unchecked {
            return OrderState.wrap(OrderState.unwrap(order) + SIZE);
        }
    }

    function terms(OrderState order) internal pure returns (OrderTerms) {
        return OrderTerms.wrap(_word(order, 0x00));
    }

    function hash(OrderState order) internal pure returns (bytes32) {
        return bytes32(_word(order, 0x20));
    }

    function refs(OrderState order) internal pure returns (OrderRefs) {
        return OrderRefs.wrap(_word(order, 0x40));
    }

    function progress(OrderState order) internal pure returns (Progress) {
        return Progress.wrap(_word(order, 0x60));
    }

    function set(OrderState order, OrderTerms terms_, bytes32 hash_, OrderRefs refs_, Progress progress_)
        internal
        pure
    {
        _set(order, 0x00, OrderTerms.unwrap(terms_));
        _set(order, 0x20, uint256(hash_));
        _set(order, 0x40, OrderRefs.unwrap(refs_));
        setProgress(order, progress_);
    }

    function setProgress(OrderState order, Progress progress_) internal pure {
        _set(order, 0x60, Progress.unwrap(progress_));
    }

    /// @notice Let an order share the nonce key of `head`, the first order under it.
    function shareKey(OrderState order, OrderState head) internal pure {
        KeyState key = head.refs().key();
        if (!key.isShared()) {
            key = KeyStateLib.make();
            _set(head, 0x40, OrderRefs.unwrap(head.refs().withKey(key)));
        }
        _set(order, 0x40, OrderRefs.unwrap(order.refs().withKey(key)));
    }

    function _word(OrderState order, uint256 offset) private pure returns (uint256) {
        unchecked {
            return MemoryWords.load(OrderState.unwrap(order) + offset);
        }
    }

    function _set(OrderState order, uint256 offset, uint256 word) private pure {
        unchecked {
            MemoryWords.store(OrderState.unwrap(order) + offset, word);
        }
    }
}

/// @title  Fields of OrderRefs
library OrderRefsLib {
    uint256 private constant POSITION_SHIFT = 96;
    uint256 private constant STORED_SHIFT = 64;
    uint256 private constant KEY_SHIFT = 32;

    /// @notice The refs of an order that shares its nonce key with no other.
    function make(PositionState position_, StoredWord stored_, Place account_) internal pure returns (OrderRefs) {
        return OrderRefs.wrap(
            (PositionState.unwrap(position_) << POSITION_SHIFT) | (StoredWord.unwrap(stored_) << STORED_SHIFT)
                | Place.unwrap(account_)
        );
    }

    function withKey(OrderRefs refs, KeyState key_) internal pure returns (OrderRefs) {
        return OrderRefs.wrap(OrderRefs.unwrap(refs) | (KeyState.unwrap(key_) << KEY_SHIFT));
    }

    function position(OrderRefs refs) internal pure returns (PositionState) {
        return PositionState.wrap(OrderRefs.unwrap(refs) >> POSITION_SHIFT);
    }

    function stored(OrderRefs refs) internal pure returns (StoredWord) {
        return StoredWord.wrap(uint32(OrderRefs.unwrap(refs) >> STORED_SHIFT));
    }

    function key(OrderRefs refs) internal pure returns (KeyState) {
        return KeyState.wrap(uint32(OrderRefs.unwrap(refs) >> KEY_SHIFT));
    }

    /// @notice Whether one of two orders shares its nonce key with others.
    function shareKeys(OrderRefs refs, OrderRefs other) internal pure returns (bool) {
        return uint32((OrderRefs.unwrap(refs) | OrderRefs.unwrap(other)) >> KEY_SHIFT) != 0;
    }

    function account(OrderRefs refs) internal pure returns (Place) {
        return Place.wrap(uint32(OrderRefs.unwrap(refs)));
    }
}

/// @title  Fields of KeyState
library KeyStateLib {
    /// @notice Reserve memory for a nonce key under which nothing acts yet.
    function make() internal pure returns (KeyState key) {
        key = KeyState.wrap(MemoryWords.allocate(1));
        MemoryWords.store(KeyState.unwrap(key), 0);
    }

    /// @notice Whether there is one: only of keys with several orders something is known.
    function isShared(KeyState key) internal pure returns (bool) {
        return KeyState.unwrap(key) != 0;
    }

    /// @notice Whether an order of the key with a higher sequence has acted.
    function isPast(KeyState key, OrderState order) internal pure returns (bool) {
        return isShared(key) && MemoryWords.load(KeyState.unwrap(key)) > OrderState.unwrap(order);
    }

    /// @notice Let an order act that the key is not past.
    function claim(KeyState key, OrderState order) internal pure {
        if (isShared(key)) MemoryWords.store(KeyState.unwrap(key), OrderState.unwrap(order));
    }
}

/// @title  Fields of StoredWord
library StoredWordLib {
    /// @notice Begin a list of storage words other than positions' first ones.
    function begin() internal pure returns (StoredWord end) {
        end = StoredWord.wrap(MemoryWords.allocate(2));
        _set(end, 0x20, 0);
    }

    /// @notice Add a storage word to the list of which `last` is the last.
    function add(StoredWord last, PositionSlot slot_, PositionWord word_) internal pure returns (StoredWord stored) {
        stored = StoredWord.wrap(MemoryWords.allocate(3));
        setWord(stored, word_);
        _set(stored, 0x20, PositionSlot.unwrap(slot_));
        _set(stored, 0x40, StoredWord.unwrap(last));
    }

    function word(StoredWord stored) internal pure returns (PositionWord) {
        return PositionWord.wrap(_word(stored, 0x00));
    }

    function slot(StoredWord stored) internal pure returns (PositionSlot) {
        return PositionSlot.wrap(_word(stored, 0x20));
    }

    /// @notice Whether it is not the end of the list but a storage word. (Accounts are not zero, and so no key is.)
    function isWord(StoredWord stored) internal pure returns (bool) {
        return PositionSlot.unwrap(slot(stored)) != 0;
    }

    function previous(StoredWord stored) internal pure returns (StoredWord) {
        return StoredWord.wrap(_word(stored, 0x40));
    }

    function setWord(StoredWord stored, PositionWord word_) internal pure {
        _set(stored, 0x00, PositionWord.unwrap(word_));
    }

    function _word(StoredWord stored, uint256 offset) private pure returns (uint256) {
        unchecked {
            return MemoryWords.load(StoredWord.unwrap(stored) + offset);
        }
    }

    function _set(StoredWord stored, uint256 offset, uint256 word_) private pure {
        unchecked {
            MemoryWords.store(StoredWord.unwrap(stored) + offset, word_);
        }
    }
}

/// @title  Fields of PositionState
library PositionStateLib {
    uint256 internal constant WORDS = 4;
    uint256 internal constant SIZE = WORDS * 32;

    function next(PositionState state) internal pure returns (PositionState) {
        unchecked {
            return PositionState.wrap(PositionState.unwrap(state) + SIZE);
        }
    }

    /// @notice The word of the balance and of nonce key 0.
    function stored(PositionState state) internal pure returns (StoredWord) {
        return StoredWord.wrap(PositionState.unwrap(state));
    }

    function position(PositionState state) internal pure returns (Position) {
        return Position.wrap(_word(state, 0x20));
    }

    function baseDelta(PositionState state) internal pure returns (int256) {
        return int256(_word(state, 0x40));
    }

    function account(PositionState state) internal pure returns (Place) {
        return Place.wrap(_word(state, 0x60));
    }

    function set(PositionState state, PositionWord word_, Position position_, Place account_) internal pure {
        _set(state, 0x00, PositionWord.unwrap(word_));
        _set(state, 0x20, Position.unwrap(position_));
        _set(state, 0x40, 0);
        _set(state, 0x60, Place.unwrap(account_));
    }

    /// @notice Add quanta to the base delta. Unchecked: the caller bounds the sum.
    function addBase(PositionState state, int256 quanta) internal pure {
        unchecked {
            _set(state, 0x40, uint256(baseDelta(state) + quanta));
        }
    }

    function _word(PositionState state, uint256 offset) private pure returns (uint256) {
        unchecked {
            return MemoryWords.load(PositionState.unwrap(state) + offset);
        }
    }

    function _set(PositionState state, uint256 offset, uint256 word) private pure {
        unchecked {
            MemoryWords.store(PositionState.unwrap(state) + offset, word);
        }
    }
}

/// @title  Fields of MarketState
library MarketStateLib {
    uint256 internal constant WORDS = 4;
    uint256 internal constant SIZE = WORDS * 32;

    function word(MarketState state) internal pure returns (MarketWord) {
        return MarketWord.wrap(_word(state, 0x00));
    }

    function terms(MarketState state) internal pure returns (MarketTerms) {
        return MarketTerms.wrap(_word(state, 0x20));
    }

    function lotSize(MarketState state) internal pure returns (uint256) {
        return _word(state, 0x40);
    }

    function id(MarketState state) internal pure returns (uint256) {
        return _word(state, 0x60);
    }

    function set(MarketState state, MarketWord word_, MarketTerms terms_, uint256 id_) internal pure {
        _set(state, 0x00, MarketWord.unwrap(word_));
        setTerms(state, terms_);
        _set(state, 0x40, terms_.isDerivative() ? 0 : word_.lotSize());
        _set(state, 0x60, id_);
    }

    function setTerms(MarketState state, MarketTerms terms_) internal pure {
        _set(state, 0x20, MarketTerms.unwrap(terms_));
    }

    function _word(MarketState state, uint256 offset) private pure returns (uint256) {
        unchecked {
            return MemoryWords.load(MarketState.unwrap(state) + offset);
        }
    }

    function _set(MarketState state, uint256 offset, uint256 word_) private pure {
        unchecked {
            MemoryWords.store(MarketState.unwrap(state) + offset, word_);
        }
    }
}

/// @title  Fields of GroupState
library GroupStateLib {
    uint256 internal constant WORDS = 2;
    uint256 internal constant SIZE = WORDS * 32;

    function next(GroupState state) internal pure returns (GroupState) {
        unchecked {
            return GroupState.wrap(GroupState.unwrap(state) + SIZE);
        }
    }

    function group(GroupState state) internal pure returns (Group) {
        return Group.wrap(MemoryWords.load(GroupState.unwrap(state)));
    }

    function setGroup(GroupState state, Group group_) internal pure {
        MemoryWords.store(GroupState.unwrap(state), Group.unwrap(group_));
    }

    /// @notice The hash of the only order.
    function hash(GroupState state) internal pure returns (bytes32) {
        return bytes32(_second(state));
    }

    function setHash(GroupState state, bytes32 hash_) internal pure {
        _setSecond(state, uint256(hash_));
    }

    /// @notice Reserve memory for the hashes of several orders.
    function allocateLeaves(GroupState state, uint256 count) internal pure {
        _setSecond(state, MemoryWords.allocate(count));
    }

    /// @notice Keep the hash of one of several orders.
    function setLeafHash(GroupState state, uint256 leaf, bytes32 hash_) internal pure {
        unchecked {
            MemoryWords.store(_second(state) + leaf * 32, uint256(hash_));
        }
    }

    /// @return hash_ keccak256 of the hashes of several orders, one after another
    function concatenatedHash(GroupState state, uint256 count) internal pure returns (bytes32 hash_) {
        return MemoryWords.hash(_second(state), count);
    }

    function _second(GroupState state) private pure returns (uint256) {
        unchecked {
            return MemoryWords.load(GroupState.unwrap(state) + 0x20);
        }
    }

    function _setSecond(GroupState state, uint256 word) private pure {
        unchecked {
            MemoryWords.store(GroupState.unwrap(state) + 0x20, word);
        }
    }
}
