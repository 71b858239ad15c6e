// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IClearinghouse} from "../interfaces/IClearinghouse.sol";
import {IMarketRegistry} from "../interfaces/IMarketRegistry.sol";
import {IOrderControl} from "../interfaces/IOrderControl.sol";
import {IPriceOracle} from "../interfaces/IPriceOracle.sol";
import {IVault} from "../interfaces/IVault.sol";
import {BatchCodec} from "../libraries/BatchCodec.sol";
import {
    GroupState,
    MarketState,
    OrderRefsLib,
    OrderState,
    PositionState,
    StoredWord
} from "../libraries/BatchRecords.sol";
import {GroupRow, OrderRow} from "../libraries/BatchRows.sol";
import {BatchTables} from "../libraries/BatchTables.sol";
import {
    Entry,
    Group,
    GroupLib,
    MarketTerms,
    MarketTermsLib,
    OrderLinks,
    OrderTerms,
    OrderTermsLib,
    Position,
    PositionLib,
    Progress,
    ProgressLib
} from "../libraries/BatchWords.sol";
import {Bools} from "../libraries/Bools.sol";
import {FillLib} from "../libraries/FillLib.sol";
import {INSURANCE_FUND} from "../libraries/InsuranceFund.sol";
import {MarketWord} from "../libraries/MarketWord.sol";
import {OrderLib, OrderPreimage} from "../libraries/OrderLib.sol";
import {NonceState, NonceStateLib, PositionSlot, PositionWord} from "../libraries/PositionSlot.sol";
import {DigestPreimage, SignatureLib} from "../libraries/SignatureLib.sol";
import {WordTable} from "../libraries/WordTable.sol";
import {EngineBase} from "./EngineBase.sol";

/// @title  Settlement
/// @notice The one core that settles a packed batch; see IEngine for the order of its checks.
abstract contract Settlement is EngineBase {
    using WordTable for uint256[];

    // ---------------------------------------------------------------------------------------------------------------
    // Constants
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev The nonce key of forced orders.
    uint32 private constant RESERVED_KEY = type(uint32).max;

    uint256 private constant MAX_LEAVES = 10;

    /// @dev The head of a group of one order.
    uint256 private constant SINGLE_ORDER = 1 << 16;

    /// @dev An oracle's 18 decimals to the 6 of USDC.
    uint256 private constant RATE_SCALE = 1e12;

    // ---------------------------------------------------------------------------------------------------------------
    // Settlement
    // ---------------------------------------------------------------------------------------------------------------

    function _settle(bytes memory packed) internal {
        BatchTables memory tables = BatchCodec.open(packed);
        uint256 fee = _openBatch(tables);
        _loadAccounts(tables);
        _loadMarkets(tables);
        _loadPositions(tables);
        _loadGroups(tables);
        uint256 limits = _loadOrders(tables, fee);
        if (limits != tables.limitCount) revert LimitNotUsed(limits);
        _checkRounds(tables);
        _checkSignatures(tables);
        FillLib.applyAll(tables, fee);
        if (tables.derivativeFillCount != 0) _settleDerivatives(tables, fee);
        _storeNonces(tables);
        _storePositions(tables);
        // The casts are exact: the decoder read 48 and 40 bits.
        emit BatchSettled(uint48(tables.number), uint40(tables.matchedAt), tables.fillCount);
        _settleAccounts(tables);
    }

    /// @dev Check and record number and match time.
    /// @return fee basis points per side
    function _openBatch(BatchTables memory tables) private returns (uint256 fee) {
        EngineStorage storage $ = _engineStorage();
        if (tables.fillCount == 0) revert EmptyBatch();
        // The casts are exact: the decoder read 48 and 40 bits.
        uint48 number = uint48(tables.number);
        uint40 matchedAt = uint40(tables.matchedAt);
        uint48 expected = $.batch + 1;
        if (number != expected) revert WrongBatchNumber(expected, number);

        uint40 lowest = _lowestMatch($);
        if (matchedAt < lowest || matchedAt > block.timestamp) {
            revert MatchedAtOutOfRange(matchedAt, lowest, _now());
        }
        $.batch = number;
        $.matchedAt = matchedAt;
        if ($.halted && $.haltedUntil < _now() - WINDOW / 2) $.halted = false;
        return _feeAt($, matchedAt);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Tables
    // ---------------------------------------------------------------------------------------------------------------

    function _loadAccounts(BatchTables memory tables) private pure {
        uint256 count = tables.accountCount;
        address previous;
        for (uint256 i; i < count; ++i) {
            Entry entry = tables.accountRow(i);
            address account = entry.account();
            if (account <= previous) revert UnsortedAccounts(i);
            tables.setEntry(i, entry);
            previous = account;
        }
    }

    function _loadMarkets(BatchTables memory tables) private view {
        uint256 count = tables.marketCount;
        for (uint256 i; i < count; ++i) {
            (uint256 id, uint256 round) = tables.marketRow(i);
            tables.marketIds.put(i, id);
            tables.rounds.put(i, round);
        }
        tables.setMarkets(IMarketRegistry(registry).marketWords(tables.marketIdArray()));
        if (tables.markets.length != count) revert RegistryMismatch();
        for (uint256 i; i < count; ++i) {
            if (i != 0 && tables.marketId(i) <= tables.marketId(i - 1)) revert UnsortedMarkets(i);
            MarketWord word = tables.marketWord(i);
            uint8 status = word.status();
            if (status == uint8(IMarketRegistry.Status.NONE)) revert UnknownMarket(i);
            bool isActive = status == uint8(IMarketRegistry.Status.ACTIVE) || tables.matchedAt <= word.statusAt();
            if (!isActive) revert MarketNotActive(i);
            tables.market(i).set(word, _marketTerms(tables, word, i), tables.marketId(i));
        }
    }

    function _marketTerms(BatchTables memory tables, MarketWord word, uint256 i) private view returns (MarketTerms) {
        if (word.kind() != uint8(IMarketRegistry.Kind.SPOT)) {
            tables.allocateDerivativeFills();
            return MarketTermsLib.derivative();
        }
        uint80 round = tables.round(i);
        if (word.isCrossQuoted()) {
            if (round == 0) revert RoundMissing(i);
            return MarketTermsLib.spot(_rateAt(tables, round, i));
        }
        if (round != 0) revert UnexpectedRound(i);
        return MarketTermsLib.spot(0);
    }

    /// @dev The rate of a cross-quoted market: micro-USDC per whole quote unit.
    function _rateAt(BatchTables memory tables, uint80 round, uint256 i) private view returns (uint64) {
        IPriceOracle oracle = IPriceOracle(IMarketRegistry(registry).oracleOf(tables.marketId(i)));
        uint256 rate = oracle.priceAt(round, uint40(tables.matchedAt)) / RATE_SCALE;
        if (rate == 0 || rate > type(uint64).max) revert RateOutOfRange(i);
        return uint64(rate);
    }

    /// @dev Resolve every position's account and load its first storage word.
    function _loadPositions(BatchTables memory tables) private view {
        EngineStorage storage $ = _engineStorage();
        uint256 accounts = tables.accountCount;
        uint256 count = tables.positionCount;
        PositionState state = tables.positionStates;
        uint256 next; // the lowest row that may follow
        for (uint256 i; i < count; ++i) {
            uint256 row = tables.positionRow(i);
            uint256 account = row >> 32;
            if (account >= accounts) revert IndexOutOfRange(Table.POSITIONS, i);
            if (row < next) revert UnsortedPositions(i);
            unchecked {
                next = row + 1; // a row has 48 bits
            }
            Position position = PositionLib.make(tables.entry(account), account, uint32(row));
            state.set($.positions[position.slot()], position, WordTable.placeOf(account));
            state = state.next();
        }
    }

    /// @dev Check the head of every group. Most have one order, for which nothing is to be done.
    function _loadGroups(BatchTables memory tables) private pure {
        GroupRow end = tables.endOfGroups();
        uint256 absents; // how many hashes of the absent table are used
        for (GroupRow row = tables.groupRows; row.isBefore(end); row = row.next()) {
            if (row.head() != SINGLE_ORDER) absents = _loadArray(tables, row, absents);
        }
        if (absents != tables.absentCount) revert AbsentNotUsed(absents);
    }

    /// @dev Reserve memory for the leaves of a group and set those that are absent.
    /// @return next the first hash of the absent table that is not used yet
    function _loadArray(BatchTables memory tables, GroupRow row, uint256 first) private pure returns (uint256 next) {
        uint256 i = tables.indexOfGroup(row);
        (uint256 leafCount, uint256 absentMask) = (row.head() >> 16, uint16(row.head()));
        if (leafCount == 0 || leafCount > MAX_LEAVES) revert InvalidLeafCount(i);
        if (absentMask >= (1 << leafCount) - 1) revert InvalidAbsentMask(i);
        GroupState group = tables.group(i);
        group.setGroup(GroupLib.make(leafCount, absentMask));
        group.allocateLeaves(leafCount);
        next = first;
        for (uint256 leaf; absentMask >> leaf != 0; ++leaf) {
            if ((absentMask >> leaf) & 1 == 0) continue;
            if (next == tables.absentCount) revert IndexOutOfRange(Table.GROUPS, i);
            group.setLeafHash(leaf, tables.absentHash(next++));
        }
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Orders
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev Check every order, load the state of its nonce key and set its leaf. What most orders pass is one condition
    ///      without branches; only where it fails, each check is made by itself, in the order that IEngine says.
    /// @return limits how many conversion limits are used
    function _loadOrders(BatchTables memory tables, uint256 fee) private view returns (uint256 limits) {
        // (The compiler copies a function without an early return into its caller, whose variables then lie in memory.)
        if (tables.orderCount == 0) return 0;
        OrderPreimage preimage = OrderLib.allocatePreimage();
        OrderRow end = tables.endOfOrders();
        OrderState order = tables.orderStates;
        OrderState keyHead = order; // the first order of its nonce key
        uint256 nextKey; // the lowest sort key that may follow
        for (OrderRow row = tables.orderRows; row.isBefore(end); row = row.next()) {
            OrderTerms terms = row.terms();
            bool isInside = Bools.both(terms.position() < tables.positionCount, terms.market() < tables.marketCount);
            bool hasGroup = Bools.either(row.links().group() < tables.groupCount, terms.isForced());
            if (!Bools.both(isInside, hasGroup)) revert IndexOutOfRange(Table.ORDERS, tables.indexOfOrder(row));
            PositionState position = tables.position(terms.position());
            MarketState market = tables.market(terms.market());

            uint256 sortKey = terms.sortKey();
            if (sortKey < nextKey) _refuseUnsorted(tables, row, limits);
            if (OrderTermsLib.isOtherKey(sortKey, nextKey)) keyHead = order;
            unchecked {
                nextKey = sortKey + 1; // a sort key's lower bits are zero
            }

            bool isRegular = _isRegular(terms, position.position(), market.word(), tables.matchedAt, fee);
            uint64 limit;
            if (_isSpecial(terms, position.position(), market)) {
                (limit, limits) = _checkSpecial(tables, row, limits);
                isRegular = Bools.both(isRegular, !_isReserved(terms, market));
            }
            if (!isRegular) _checkTerms(tables, row);
            _enter(tables, preimage, row, position, market, limit, order);
            if (!keyHead.isSame(order)) order.shareKey(keyHead);
            order = order.next();
        }
    }

    /// @dev Check the leaf of an order that fails another check, or may: indices come before anything else. (The leaf
    ///      of an order that passes all others is checked when it is set.)
    /// @return i the order's index
    function _checkLeaf(BatchTables memory tables, OrderRow row) private pure returns (uint256 i) {
        i = tables.indexOfOrder(row);
        // Every group has a leaf 0.
        if (row.links().leaf() == 0 || row.terms().isForced()) return i;
        Group group = tables.group(row.links().group()).group();
        if (!group.hasLeaf(row.links().leaf())) revert IndexOutOfRange(Table.ORDERS, i);
    }

    /// @dev The conversion limit is an order's last index.
    function _refuseUnsorted(BatchTables memory tables, OrderRow row, uint256 limits) private pure {
        uint256 i = _checkLeaf(tables, row);
        _takeLimit(tables, row.terms(), limits, i);
        revert UnsortedOrders(i);
    }

    /// @dev The next conversion limit, if the order takes one.
    /// @return limit 0 if it takes none
    /// @return next  the first limit that is not used yet
    function _takeLimit(BatchTables memory tables, OrderTerms terms, uint256 limits, uint256 i)
        private
        pure
        returns (uint64 limit, uint256 next)
    {
        if (!terms.has(OrderTermsLib.HAS_CONVERSION_LIMIT)) return (0, limits);
        if (limits == tables.limitCount) revert IndexOutOfRange(Table.ORDERS, i);
        return (tables.limit(limits), limits + 1);
    }

    /// @dev Whether an order has flags or a market that bring more checks with them. Most have not: they are without
    ///      flags in the market of their position, which is in USDC.
    function _isSpecial(OrderTerms terms, Position position, MarketState market) private pure returns (bool) {
        uint256 special = terms.rareFlags() | MarketTerms.unwrap(market.terms());
        return special | position.mismatch(market.word()) != 0;
    }

    function _checkSpecial(BatchTables memory tables, OrderRow row, uint256 limits)
        private
        pure
        returns (uint64 limit, uint256 next)
    {
        OrderTerms terms = row.terms();
        uint256 i = _checkLeaf(tables, row);
        (limit, next) = _takeLimit(tables, terms, limits, i);
        MarketState market = tables.market(terms.market());
        if (terms.has(OrderTermsLib.UNKNOWN_FLAGS)) revert InvalidFlags(i);
        Position position = tables.position(terms.position()).position();
        if (position.mismatch(market.word()) != 0) revert InstrumentMismatch(i);
        if (terms.isForced()) _admitForced(tables, terms, row.links(), i);
        if (terms.isReduceOnly() && !market.terms().isDerivative()) revert ReduceOnlySpot(i);
        uint256 rate = market.terms().rate();
        if (rate == 0) {
            if (terms.has(OrderTermsLib.HAS_CONVERSION_LIMIT)) revert UnexpectedConversionLimit(i);
            return (limit, next);
        }
        if (limit == 0) revert ConversionLimitMissing(i);
        if (terms.isSell() ? rate < limit : rate > limit) revert ConversionLimitExceeded(i);
    }

    /// @dev Check the form of a forced order. The Clearinghouse decides whether one is due.
    function _admitForced(BatchTables memory tables, OrderTerms terms, OrderLinks links, uint256 i) private pure {
        uint256 index = terms.market();
        MarketState market = tables.market(index);
        uint8 kind = market.word().kind();
        bool hasForced = kind == uint8(IMarketRegistry.Kind.PERP) || kind == uint8(IMarketRegistry.Kind.FUTURE);
        bool isValid = hasForced && links.isUnsigned() && terms.isIoc() && terms.isReduceOnly()
            && terms.key() == RESERVED_KEY;
        if (!isValid) revert InvalidForced(i);
        if (tables.round(index) == 0) revert RoundMissing(index);
        market.setTerms(market.terms().withForced());
    }

    /// @dev Whether the order is under the nonce key of forced orders.
    function _isReserved(OrderTerms terms, MarketState market) private pure returns (bool) {
        return terms.key() == RESERVED_KEY && market.terms().isDerivative();
    }

    /// @dev Whether an order passes all checks of `_checkTerms`, of which that of the reserved key is not made here. A
    ///      number minus one, unchecked, is above every bound if the number is zero.
    function _isRegular(OrderTerms terms, Position position, MarketWord word, uint256 matchedAt, uint256 fee)
        private
        pure
        returns (bool isRegular)
    {
        uint256 expiry = terms.expiry(); // 0 stands for never
        unchecked {
            isRegular = uint256(terms.price()) - 1 < word.maxPricePerLot();
            isRegular = Bools.both(isRegular, word.isOnTick(terms.price()));
            isRegular = Bools.both(isRegular, uint256(terms.quantity()) - 1 < word.maxQuantity());
            isRegular = Bools.both(isRegular, terms.isGtc() == (expiry == 0));
            isRegular = Bools.both(isRegular, expiry - 1 >= matchedAt - 1);
        }
        isRegular = Bools.both(isRegular, terms.sequence() != type(uint32).max);
        isRegular = Bools.both(isRegular, position.epoch() != type(uint32).max);
        return Bools.both(isRegular, terms.maxFeeBps() >= fee);
    }

    /// @dev Check what an order says, which is not regular. A forced order may be so.
    function _checkTerms(BatchTables memory tables, OrderRow row) private pure {
        uint256 i = _checkLeaf(tables, row);
        OrderTerms terms = row.terms();
        MarketState market = tables.market(terms.market());
        MarketWord word = market.word();
        uint256 price = terms.price();
        if (price == 0 || price > word.maxPricePerLot() || !word.isOnTick(price)) revert InvalidPrice(i);
        if (terms.quantity() == 0 || terms.quantity() > word.maxQuantity()) revert InvalidQuantity(i);
        if (terms.isGtc() != (terms.expiry() == 0)) revert InvalidExpiry(i);
        if (!terms.isGtc() && terms.expiry() < tables.matchedAt) revert OrderExpired(i);
        if (terms.sequence() == type(uint32).max) revert SequenceExhausted(i);
        if (terms.isForced()) return;
        if (_isReserved(terms, market)) revert ReservedKey(i);
        Position position = tables.position(terms.position()).position();
        if (position.epoch() == type(uint32).max) revert EpochExhausted(i);
        revert FeeAboveCap(i); // nothing else is left
    }

    /// @dev Keep what is known of an order: its hash, how far it is filled, and its leaf. (A function of its own, as
    ///      above.)
    function _enter(
        BatchTables memory tables,
        OrderPreimage preimage,
        OrderRow row,
        PositionState state,
        MarketState market,
        uint64 limit,
        OrderState order
    ) private view {
        OrderTerms terms = row.terms();
        Position position = state.position();
        StoredWord stored = state.stored();
        if (terms.key() != 0) stored = _loadWord(tables, position.slot().ofLaterKey(terms.key()));
        NonceState nonce = stored.word().stateOf(terms.key());
        if (nonce.sequence() > terms.sequence()) revert StaleNonce(_checkLeaf(tables, row));
        Progress progress;
        if (nonce.sequence() == terms.sequence()) progress = ProgressLib.make(nonce.filled());

        bytes32 hash = preimage.hash(terms, position.account(), market.id(), position.epoch(), limit);
        order.set(terms, hash, OrderRefsLib.make(state, stored, state.account()), progress);
        if (terms.isForced()) {
            // It has the stored sequence: nobody signs it, so nobody may use up the account's sequences by it.
            if (nonce.sequence() != terms.sequence()) revert StaleNonce(tables.indexOfOrder(row));
            return;
        }
        _setLeaf(tables, row, hash, position.accountIndex());
    }

    /// @dev A storage word of nonce keys >= 1, which is loaded if no earlier order did. Orders are sorted by position
    ///      and key: a word that is in use already is the last one that was loaded.
    function _loadWord(BatchTables memory tables, PositionSlot slot) private view returns (StoredWord stored) {
        stored = tables.lastWord;
        if (PositionSlot.unwrap(stored.slot()) != PositionSlot.unwrap(slot)) {
            stored = stored.add(slot, _engineStorage().positions[slot]);
            tables.lastWord = stored;
        }
    }

    /// @dev Set the order's leaf in its group: at once if the group has but this one.
    function _setLeaf(BatchTables memory tables, OrderRow row, bytes32 hash, uint256 account) private pure {
        OrderLinks links = row.links();
        GroupState state = tables.group(links.group());
        Group group = state.group();
        uint256 leaf = links.leaf();
        if (group.isVacant(leaf)) {
            state.setHash(hash);
        } else {
            bool isFree = Bools.both(group.hasLeaf(leaf), !group.isDone(leaf));
            if (!Bools.both(isFree, group.isOf(account))) _refuseLeaf(tables, row, group);
            state.setLeafHash(leaf, hash);
        }
        state.setGroup(group.withLeaf(leaf, account));
    }

    function _refuseLeaf(BatchTables memory tables, OrderRow row, Group group) private pure {
        uint256 i = _checkLeaf(tables, row);
        if (group.isDone(row.links().leaf())) revert LeafSetTwice(i);
        revert GroupAccountMismatch(i);
    }

    /// @dev A derivative market has a round only for a forced order.
    function _checkRounds(BatchTables memory tables) private pure {
        uint256 count = tables.marketCount;
        for (uint256 i; i < count; ++i) {
            MarketTerms terms = tables.market(i).terms();
            if (terms.isDerivative() && tables.round(i) != 0 && !terms.hasForced()) revert UnexpectedRound(i);
        }
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Signatures
    // ---------------------------------------------------------------------------------------------------------------

    function _checkSignatures(BatchTables memory tables) private view {
        DigestPreimage preimage = SignatureLib.allocatePreimage(OrderLib.domainSeparator(address(this)));
        if (tables.groupCount == 0) return;
        GroupState state = tables.groupStates;
        GroupRow end = tables.endOfGroups();
        for (GroupRow row = tables.groupRows; row.isBefore(end); row = row.next()) {
            Group group = state.group();
            if (group.isIncomplete()) revert LeafNotSet(tables.indexOfGroup(row));
            bytes32 hash =
                group.isSingle() ? state.hash() : OrderLib.arrayHash(state.concatenatedHash(group.leafCount()));
            (bytes32 r, bytes32 vs) = row.signature();
            address signer = SignatureLib.recover(preimage.digest(hash), r, vs);
            // A group has a leaf that an order set, and so an account.
            address account = tables.entry(group.account()).account();
            // The zero address, the answer to a malformed signature, is no account: their table starts above it.
            if (signer != account) _checkDelegate(account, signer, tables.matchedAt, tables.indexOfGroup(row));
            state = state.next();
        }
    }

    function _checkDelegate(address account, address signer, uint256 matchedAt, uint256 i) private view {
        if (signer == address(0)) revert InvalidSignature(i);
        uint64 until = IOrderControl(_engineStorage().orderControl).delegateUntil(account, signer);
        if (until < matchedAt) revert InvalidSignature(i);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Results
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev Let the Clearinghouse book the derivative fills and add its answer to the accounts.
    function _settleDerivatives(BatchTables memory tables, uint256 fee) private {
        tables.derivativeFills.setLength(tables.derivativeFillCount);
        address clearinghouse_ = _engineStorage().clearinghouse;
        (int256[] memory deltas, uint256[] memory fees, int256 ownDelta, uint256 penalties) =
            IClearinghouse(clearinghouse_).settle(
                uint40(tables.matchedAt),
                fee,
                tables.marketIdArray(),
                tables.markets,
                tables.roundArray(),
                tables.positionArray(),
                tables.derivativeFills
            );
        uint256 count = tables.positionCount;
        if (deltas.length != count || fees.length != count) revert ClearinghouseMismatch();
        uint256 total;
        for (uint256 i; i < count; ++i) {
            uint256 account = tables.position(i).position().accountIndex();
            tables.usdcDeltas.add(account, deltas[i]);
            tables.fees.add(account, int256(fees[i]));
            total += fees[i];
        }
        tables.usdcDeltas.add(tables.accountCount, int256(total));
        tables.addClearing(clearinghouse_, ownDelta, INSURANCE_FUND, penalties);
    }

    /// @dev Change the nonce states and write each storage word but the first of a position.
    function _storeNonces(BatchTables memory tables) private {
        OrderState end = tables.order(tables.orderCount);
        for (OrderState order = tables.orderStates; order.isBefore(end); order = order.next()) {
            Progress progress = order.progress();
            if (!progress.isUsed()) continue;
            // Of several sequences of a key the last that acted stays. A closed IOC or FOK order leaves its successor
            // with nothing filled. The sequence is below 2^32-1, and `filled` at most the order's quantity.
            OrderTerms terms = order.terms();
            NonceState state = NonceStateLib.make(terms.sequence(), progress.filled());
            if (progress.isClosed()) state = NonceStateLib.make(terms.sequence() + 1, 0);
            StoredWord stored = order.refs().stored();
            stored.setWord(stored.word().withState(terms.key(), state));
        }

        EngineStorage storage $ = _engineStorage();
        for (StoredWord stored = tables.lastWord; stored.isWord(); stored = stored.previous()) {
            $.positions[stored.slot()] = stored.word();
        }
    }

    /// @dev Change the balances and write each position's first storage word.
    function _storePositions(BatchTables memory tables) private {
        EngineStorage storage $ = _engineStorage();
        uint256 count = tables.positionCount;
        PositionState state = tables.positionStates;
        for (uint256 i; i < count; ++i) {
            PositionWord word = state.stored().word();
            // The sum is exact: the balance is below 2^128, the delta below 2^144. The cast follows the check of both
            // bounds, as a negative number is above 2^128 as well.
            unchecked {
                uint256 balance = uint256(int256(word.balance()) + state.baseDelta());
                if (balance > type(uint128).max) _refuseBalance(int256(balance), i);
                $.positions[state.position().slot()] = word.withBalance(uint128(balance));
            }
            state = state.next();
        }
    }

    function _refuseBalance(int256 balance, uint256 i) private pure {
        if (balance < 0) revert BalanceTooLow(i);
        revert BalanceOverflow(i);
    }

    /// @dev Let the Vault change the accounts.
    function _settleAccounts(BatchTables memory tables) private {
        uint256 count = tables.accountCount;
        for (uint256 i; i < count; ++i) {
            tables.setEntry(i, tables.entry(i).withFees(tables.fees.get(i)));
        }
        IVault(vault).settle(tables.entries, tables.usdcDeltaArray());
    }
}
