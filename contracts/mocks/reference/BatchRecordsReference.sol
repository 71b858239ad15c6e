// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {
    GroupState,
    KeyState,
    MarketState,
    OrderRefs,
    OrderRefsLib,
    OrderState,
    OrderStateLib,
    PositionState,
    PositionStateLib,
    StoredWord,
    StoredWordLib
} from "../../libraries/BatchRecords.sol";
import {BatchTables} from "../../libraries/BatchTables.sol";
import {MarketTerms, OrderTerms, Position, Progress, ProgressLib} from "../../libraries/BatchWords.sol";
import {MarketWord} from "../../libraries/MarketWord.sol";
import {MemoryWords} from "../../libraries/MemoryWords.sol";
import {PositionSlot, PositionWord} from "../../libraries/PositionSlot.sol";
import {Place} from "../../libraries/WordTable.sol";
import {Guards} from "./Guards.sol";

/// @title  BatchRecords beside plain Solidity
/// @notice For tests only: records behind pointers beside structs.
contract BatchRecordsReference {
    using Guards for uint256[];

    enum Action {
        SET,
        FILL,
        CLOSE,
        SHARE_KEY,
        CLAIM_KEY
    }

    struct Operation {
        Action action;
        uint8 order;
        uint8 other;
        uint40 value;
    }

    struct PlainOrder {
        uint256 terms;
        bytes32 hash;
        uint32 position;
        uint32 stored;
        uint32 account;
        uint256 key; // index plus 1 of its first order; 0 unless it is shared
        uint256 latest; // of a key's first order: index plus 1
        uint64 filled;
        bool isUsed;
        bool isClosed;
    }

    uint256 private constant LISTED = 10;

    // ---------------------------------------------------------------------------------------------------------------
    // Orders
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Orders with these terms, changed by the operations.
    /// @return actual what claims answered, and then what is known of every order
    function runOrders(uint256[] calldata terms, Operation[] calldata operations)
        external
        pure
        returns (uint256[] memory actual, uint256[] memory expected, bool isIntact)
    {
        uint256[] memory before = Guards.make();
        BatchTables memory tables;
        tables.orderStates = OrderState.wrap(MemoryWords.allocate(terms.length * OrderStateLib.WORDS));
        uint256[] memory behind = Guards.make();
        PlainOrder[] memory plain = new PlainOrder[](terms.length);
        for (uint256 i; i < terms.length; ++i) {
            plain[i].terms = terms[i];
            _set(tables.order(i), plain[i], uint40(i));
        }
        uint256 length = operations.length + terms.length * LISTED;
        (actual, expected) = (new uint256[](length), new uint256[](length));
        for (uint256 i; i < operations.length; ++i) {
            (bool isDone, bool shouldBe) = _apply(tables, plain, operations[i]);
            (actual[i], expected[i]) = (isDone ? 1 : 0, shouldBe ? 1 : 0);
        }
        for (uint256 i; i < terms.length; ++i) {
            _list(actual, operations.length + LISTED * i, tables, tables.order(i));
            _listPlain(expected, operations.length + LISTED * i, plain[i], i);
        }
        isIntact = before.isIntact() && behind.isIntact();
    }

    /// @dev Let everything that is known of an order follow from a number.
    function _set(OrderState order, PlainOrder memory plain, uint40 value) private pure {
        bytes32 hash = keccak256(abi.encode(value));
        (uint32 position, uint32 stored, uint32 account) = (~uint32(value), uint32(value), uint32(value) ^ 0xffff);
        OrderRefs refs =
            OrderRefsLib.make(PositionState.wrap(position), StoredWord.wrap(stored), Place.wrap(account));
        order.set(OrderTerms.wrap(plain.terms), hash, refs, ProgressLib.make(value));
        (plain.hash, plain.position, plain.stored, plain.account) = (hash, position, stored, account);
        (plain.key, plain.latest, plain.filled, plain.isUsed, plain.isClosed) = (0, 0, value, false, false);
    }

    function _apply(BatchTables memory tables, PlainOrder[] memory plain, Operation calldata operation)
        private
        pure
        returns (bool isDone, bool shouldBe)
    {
        (uint256 index, uint40 value) = (operation.order, operation.value);
        OrderState order = tables.order(index);
        if (operation.action == Action.SET && plain[index].key == 0) _set(order, plain[index], value);
        if (operation.action == Action.FILL) {
            order.setProgress(order.progress().withFill(value));
            (plain[index].filled, plain[index].isUsed) = (plain[index].filled + value, true);
        }
        if (operation.action == Action.CLOSE) {
            order.setProgress(order.progress().close());
            plain[index].isClosed = true;
        }
        if (operation.action == Action.SHARE_KEY) _share(tables, plain, index, operation.other);
        if (operation.action == Action.CLAIM_KEY) {
            KeyState key = order.refs().key();
            isDone = !key.isPast(order);
            if (isDone) key.claim(order);
            shouldBe = _claim(plain, index);
        }
    }

    /// @dev An order shares the key of one before it, and no second.
    function _share(BatchTables memory tables, PlainOrder[] memory plain, uint256 index, uint256 head) private pure {
        if (head >= index || plain[index].key != 0) return;
        if (plain[head].key != 0 && plain[head].key != head + 1) return;
        tables.order(index).shareKey(tables.order(head));
        (plain[index].key, plain[head].key) = (head + 1, head + 1);
    }

    function _claim(PlainOrder[] memory plain, uint256 index) private pure returns (bool) {
        if (plain[index].key == 0) return true;
        PlainOrder memory head = plain[plain[index].key - 1];
        if (head.latest > index + 1) return false;
        head.latest = index + 1;
        return true;
    }

    function _list(uint256[] memory words, uint256 at, BatchTables memory tables, OrderState order) private pure {
        (OrderRefs refs, Progress progress) = (order.refs(), order.progress());
        words[at] = tables.indexOf(order);
        words[at + 1] = OrderTerms.unwrap(order.terms());
        words[at + 2] = uint256(order.hash());
        words[at + 3] = PositionState.unwrap(refs.position());
        words[at + 4] = StoredWord.unwrap(refs.stored());
        words[at + 5] = Place.unwrap(refs.account());
        words[at + 6] = refs.key().isShared() && refs.shareKeys(OrderRefs.wrap(0)) ? 1 : 0;
        words[at + 7] = progress.filled();
        words[at + 8] = progress.isUsed() ? 1 : 0;
        words[at + 9] = progress.isClosed() ? 1 : 0;
    }

    function _listPlain(uint256[] memory words, uint256 at, PlainOrder memory order, uint256 index) private pure {
        words[at] = index;
        words[at + 1] = order.terms;
        words[at + 2] = uint256(order.hash);
        words[at + 3] = order.position;
        words[at + 4] = order.stored;
        words[at + 5] = order.account;
        words[at + 6] = order.key != 0 ? 1 : 0;
        words[at + 7] = order.filled;
        words[at + 8] = order.isUsed ? 1 : 0;
        words[at + 9] = order.isClosed ? 1 : 0;
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Other records
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Positions of three words each, to whose base delta the second is added as well.
    /// @return actual of each its word, position, base delta and account
    function positions(uint256[3][] calldata words)
        external
        pure
        returns (uint256[4][] memory actual, uint256[4][] memory expected, bool isIntact)
    {
        uint256[] memory before = Guards.make();
        BatchTables memory tables;
        tables.positionStates = PositionState.wrap(MemoryWords.allocate(words.length * PositionStateLib.WORDS));
        uint256[] memory behind = Guards.make();
        PositionState state = tables.positionStates;
        for (uint256 i; i < words.length; ++i) {
            state.set(PositionWord.wrap(~words[i][0]), Position.wrap(words[i][1]), Place.wrap(words[i][2]));
            state.stored().setWord(PositionWord.wrap(words[i][0]));
            state.addBase(int256(words[i][1]));
            state.addBase(int256(words[i][2]));
            state = state.next();
        }
        (actual, expected) = (new uint256[4][](words.length), new uint256[4][](words.length));
        for (uint256 i; i < words.length; ++i) {
            state = tables.position(i);
            actual[i][0] = PositionWord.unwrap(state.stored().word());
            actual[i][1] = Position.unwrap(state.position());
            actual[i][2] = uint256(state.baseDelta());
            actual[i][3] = Place.unwrap(state.account());
            unchecked {
                expected[i] = [words[i][0], words[i][1], words[i][1] + words[i][2], words[i][2]];
            }
        }
        isIntact = before.isIntact() && behind.isIntact();
    }

    /// @notice Storage words in a list, from the last to the first: of each its key and twice its word.
    function storedWords(uint256[2][] calldata words)
        external
        pure
        returns (uint256[2][] memory actual, uint256[2][] memory expected, bool isIntact)
    {
        uint256[] memory before = Guards.make();
        StoredWord stored = StoredWordLib.begin();
        for (uint256 i; i < words.length; ++i) {
            stored = stored.add(PositionSlot.wrap(words[i][0]), PositionWord.wrap(~words[i][1]));
            stored.setWord(PositionWord.wrap(words[i][1]));
        }
        uint256[] memory behind = Guards.make();
        (actual, expected) = (new uint256[2][](words.length), new uint256[2][](words.length));
        for (uint256 i = words.length; i != 0; --i) {
            assert(stored.isWord());
            actual[i - 1] = [PositionSlot.unwrap(stored.slot()), PositionWord.unwrap(stored.word())];
            expected[i - 1] = words[i - 1];
            stored = stored.previous();
        }
        isIntact = before.isIntact() && behind.isIntact() && !stored.isWord();
    }

    /// @notice A derivative market's word, terms and id, of which the second are set again.
    function market(uint256 word, uint256 terms, uint256 id) external pure returns (uint256[4] memory actual) {
        BatchTables memory tables;
        tables.marketStates = MarketState.wrap(MemoryWords.allocate(8));
        MarketState state = tables.market(1);
        state.set(MarketWord.wrap(word), MarketTerms.wrap(1 << 64), id);
        state.setTerms(MarketTerms.wrap(terms));
        return [MarketWord.unwrap(state.word()), MarketTerms.unwrap(state.terms()), state.lotSize(), state.id()];
    }

    /// @notice The hashes of two groups, whose leaves are set in turns from the last on.
    function leaves(bytes32[] calldata first, bytes32[] calldata second)
        external
        pure
        returns (bytes32[2] memory actual, bytes32[2] memory expected, bool isIntact)
    {
        BatchTables memory tables;
        tables.groupStates = GroupState.wrap(MemoryWords.allocate(4));
        (GroupState a, GroupState b) = (tables.group(0), tables.group(1));
        uint256[] memory before = Guards.make();
        a.allocateLeaves(first.length);
        b.allocateLeaves(second.length);
        uint256[] memory behind = Guards.make();
        for (uint256 left = first.length > second.length ? first.length : second.length; left != 0; --left) {
            if (left <= first.length) a.setLeafHash(left - 1, first[left - 1]);
            if (left <= second.length) b.setLeafHash(left - 1, second[left - 1]);
        }
        isIntact = before.isIntact() && behind.isIntact();
        actual = [a.concatenatedHash(first.length), b.concatenatedHash(second.length)];
        expected = [keccak256(abi.encodePacked(first)), keccak256(abi.encodePacked(second))];
    }
}
