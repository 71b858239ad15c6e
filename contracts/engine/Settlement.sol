// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IClearinghouse} from "../interfaces/IClearinghouse.sol";
import {IMarketRegistry} from "../interfaces/IMarketRegistry.sol";
import {IOrderControl} from "../interfaces/IOrderControl.sol";
import {IPriceOracle} from "../interfaces/IPriceOracle.sol";
import {IVault} from "../interfaces/IVault.sol";
import {BatchCodec} from "../libraries/BatchCodec.sol";
import {BatchTables, OrderState} from "../libraries/BatchTables.sol";
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
    PositionLib
} from "../libraries/BatchWords.sol";
import {Bools} from "../libraries/Bools.sol";
import {FillLib} from "../libraries/FillLib.sol";
import {MarketWord} from "../libraries/MarketWord.sol";
import {OrderLib, OrderPreimage} from "../libraries/OrderLib.sol";
import {PositionSlot, PositionWord} from "../libraries/PositionSlot.sol";
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
        _storeBalances(tables);
        _storeNonces(tables);
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
            MarketWord word = tables.market(i);
            uint8 status = word.status();
            if (status == uint8(IMarketRegistry.Status.NONE)) revert UnknownMarket(i);
            bool isActive = status == uint8(IMarketRegistry.Status.ACTIVE) || tables.matchedAt <= word.statusAt();
            if (!isActive) revert MarketNotActive(i);
            tables.setTermsOf(i, _marketTerms(tables, word, i));
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
            return MarketTermsLib.spot(word.lotSize(), _rateAt(tables, round, i));
        }
        if (round != 0) revert UnexpectedRound(i);
        return MarketTermsLib.spot(word.lotSize(), 0);
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
            tables.positions.put(i, Position.unwrap(position));
            PositionSlot slot = position.slot();
            tables.setSlot(i, slot, $.positions[slot]);
        }
        tables.slotCount = count;
    }

    /// @dev Check the head of every group. Most have one order, for which nothing is to be done.
    function _loadGroups(BatchTables memory tables) private pure {
        uint256 count = tables.groupCount;
        uint256 absents; // how many hashes of the absent table are used
        for (uint256 i; i < count; ++i) {
            uint256 head = tables.groupHead(i);
            if (head != SINGLE_ORDER) absents = _loadArray(tables, head, absents, i);
        }
        if (absents != tables.absentCount) revert AbsentNotUsed(absents);
    }

    /// @dev Reserve memory for the leaves of a group and set those that are absent.
    /// @return next the first hash of the absent table that is not used yet
    function _loadArray(BatchTables memory tables, uint256 head, uint256 first, uint256 i)
        private
        pure
        returns (uint256 next)
    {
        (uint256 leafCount, uint256 absentMask) = (head >> 16, uint16(head));
        if (leafCount == 0 || leafCount > MAX_LEAVES) revert InvalidLeafCount(i);
        if (absentMask >= (1 << leafCount) - 1) revert InvalidAbsentMask(i);
        tables.setGroup(i, GroupLib.make(leafCount, absentMask));
        tables.allocateLeaves(i, leafCount);
        next = first;
        for (uint256 leaf; absentMask >> leaf != 0; ++leaf) {
            if ((absentMask >> leaf) & 1 == 0) continue;
            if (next == tables.absentCount) revert IndexOutOfRange(Table.GROUPS, i);
            tables.setLeafHash(i, leaf, tables.absentHash(next++));
        }
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Orders
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev Check every order, load the state of its nonce key and set its leaf.
    /// @return limits how many conversion limits are used
    function _loadOrders(BatchTables memory tables, uint256 fee) private view returns (uint256 limits) {
        uint256 count = tables.orderCount;
        // (The compiler copies a function without an early return into its caller, whose variables then lie in memory.)
        if (count == 0) return 0;
        OrderPreimage preimage = OrderLib.allocatePreimage();
        uint256 nextKey; // the lowest sort key that may follow
        uint256 nonceKey = type(uint256).max; // position and nonce key of the order before
        OrderState keyHead;
        OrderState order = tables.order(0);
        for (uint256 i; i < count; ++i) {
            (OrderTerms terms, OrderLinks links) = (tables.terms(i), tables.links(i));
            uint64 limit;
            _checkIndices(tables, terms, links, i);
            if (terms.has(OrderTermsLib.HAS_CONVERSION_LIMIT)) {
                if (limits == tables.limitCount) revert IndexOutOfRange(Table.ORDERS, i);
                limit = tables.limit(limits++);
            }
            uint256 sortKey = terms.sortKey();
            if (sortKey < nextKey) revert UnsortedOrders(i);
            if (sortKey >> 32 != nonceKey) (nonceKey, keyHead) = (sortKey >> 32, order);
            unchecked {
                nextKey = sortKey + 1; // a sort key has 80 bits
            }

            Position position = tables.position(terms.position());
            _checkFlags(tables, terms, position, limit, i);
            _checkTerms(tables, terms, position, i, fee);
            _loadNonce(tables, order, terms, keyHead, i);
            bytes32 hash = preimage.hash(
                terms, position.account(), tables.marketIds.get(terms.market()), position.epoch(), limit
            );
            order.setIdentity(terms, hash, position.accountIndex());
            if (!terms.isForced()) _setLeaf(tables, links, hash, position.accountIndex(), i);
            order = order.next();
        }
    }

    function _checkIndices(BatchTables memory tables, OrderTerms terms, OrderLinks links, uint256 i) private pure {
        bool isInside = Bools.both(terms.position() < tables.positionCount, terms.market() < tables.marketCount);
        bool hasGroup = Bools.either(links.group() < tables.groupCount, terms.isForced());
        if (!Bools.both(isInside, hasGroup)) revert IndexOutOfRange(Table.ORDERS, i);
        if (links.leaf() != 0) _checkLeaf(tables, terms, links, i);
    }

    /// @dev Every group has a leaf 0.
    function _checkLeaf(BatchTables memory tables, OrderTerms terms, OrderLinks links, uint256 i) private pure {
        if (terms.isForced()) return;
        if (links.leaf() >= tables.group(links.group()).leafCount()) revert IndexOutOfRange(Table.ORDERS, i);
    }

    /// @dev Check the order's flags and what they bring with them: of most orders nothing, as they are without flags in
    ///      the market of their position, which is in USDC.
    function _checkFlags(BatchTables memory tables, OrderTerms terms, Position position, uint64 limit, uint256 i)
        private
        pure
    {
        uint256 market = terms.market();
        uint256 mismatch = position.instrument() ^ tables.market(market).instrument();
        uint256 special = terms.rareFlags() | tables.termsOf(market).special() | mismatch;
        if (special != 0) _checkSpecial(tables, terms, mismatch == 0, limit, i);
    }

    function _checkSpecial(BatchTables memory tables, OrderTerms terms, bool isOfMarket, uint64 limit, uint256 i)
        private
        pure
    {
        MarketTerms marketTerms = tables.termsOf(terms.market());
        if (terms.has(OrderTermsLib.UNKNOWN_FLAGS)) revert InvalidFlags(i);
        if (!isOfMarket) revert InstrumentMismatch(i);
        if (terms.isForced()) _admitForced(tables, terms, i);
        if (terms.isReduceOnly() && !marketTerms.isDerivative()) revert ReduceOnlySpot(i);
        uint256 rate = marketTerms.rate();
        if (rate == 0) {
            if (terms.has(OrderTermsLib.HAS_CONVERSION_LIMIT)) revert UnexpectedConversionLimit(i);
            return;
        }
        if (limit == 0) revert ConversionLimitMissing(i);
        if (terms.isSell() ? rate < limit : rate > limit) revert ConversionLimitExceeded(i);
    }

    /// @dev Check the form of a forced order. The Clearinghouse decides whether one is due.
    function _admitForced(BatchTables memory tables, OrderTerms terms, uint256 i) private pure {
        uint256 market = terms.market();
        uint8 kind = tables.market(market).kind();
        bool hasForced = kind == uint8(IMarketRegistry.Kind.PERP) || kind == uint8(IMarketRegistry.Kind.FUTURE);
        bool isValid = hasForced && tables.links(i).isUnsigned() && terms.isIoc() && terms.isReduceOnly()
            && terms.key() == RESERVED_KEY;
        if (!isValid) revert InvalidForced(i);
        if (tables.round(market) == 0) revert RoundMissing(market);
        tables.setTermsOf(market, tables.termsOf(market).withForced());
    }

    /// @dev Check what an order says. A number minus one, unchecked, is above every bound if the number is zero.
    function _checkTerms(BatchTables memory tables, OrderTerms terms, Position position, uint256 i, uint256 fee)
        private
        pure
    {
        MarketWord word = tables.market(terms.market());
        uint256 expiry = terms.expiry(); // 0 stands for never
        unchecked {
            bool isAbove = uint256(terms.price()) - 1 >= word.maxPricePerLot();
            if (Bools.either(isAbove, !word.isOnTick(terms.price()))) revert InvalidPrice(i);
            if (uint256(terms.quantity()) - 1 >= word.maxQuantity()) revert InvalidQuantity(i);
            if (terms.isGtc() != (expiry == 0)) revert InvalidExpiry(i);
            if (expiry - 1 < tables.matchedAt - 1) revert OrderExpired(i);
        }
        if (terms.sequence() == type(uint32).max) revert SequenceExhausted(i);
        if (!terms.isForced()) {
            if (terms.key() == RESERVED_KEY && tables.termsOf(terms.market()).isDerivative()) revert ReservedKey(i);
            if (position.epoch() == type(uint32).max) revert EpochExhausted(i);
            if (terms.maxFeeBps() < fee) revert FeeAboveCap(i);
        }
    }

    /// @dev Find the storage word of the order's nonce key and take `filled` from it.
    function _loadNonce(
        BatchTables memory tables,
        OrderState order,
        OrderTerms terms,
        OrderState keyHead,
        uint256 i
    ) private view {
        uint32 key = terms.key();
        uint256 slot = terms.position();
        if (key != 0) slot = _useSlot(tables, tables.slot(slot).ofKey(key));
        (uint32 stored, uint64 filled) = tables.word(slot).nonceState(key);
        uint32 sequence = terms.sequence();
        // A forced order has the stored sequence: nobody signs it, so nobody may use up the account's sequences by it.
        if (stored > sequence || (stored < sequence && terms.isForced())) revert StaleNonce(i);
        order.setNonce(slot, keyHead, stored == sequence ? filled : 0);
    }

    /// @dev Index of a storage word of nonce keys >= 1, which is loaded if no earlier order did.
    function _useSlot(BatchTables memory tables, PositionSlot slot) private view returns (uint256 index) {
        // Orders are sorted by position and key: a word that is in use already is the last one that was loaded. There
        // is one at least, the first word of the order's own position, and at most one more for each order.
        unchecked {
            uint256 count = tables.slotCount;
            if (PositionSlot.unwrap(tables.slot(count - 1)) == PositionSlot.unwrap(slot)) return count - 1;
            tables.setSlot(count, slot, _engineStorage().positions[slot]);
            tables.slotCount = count + 1;
            return count;
        }
    }

    /// @dev Set the order's leaf in its group.
    function _setLeaf(BatchTables memory tables, OrderLinks links, bytes32 hash, uint256 account, uint256 i)
        private
        pure
    {
        (uint256 index, uint256 leaf) = (links.group(), links.leaf());
        Group group = tables.group(index);
        if (group.isDone(leaf)) revert LeafSetTwice(i);
        if (group.isSingle()) {
            tables.leaves.put(index, uint256(hash));
        } else {
            if (!group.isOf(account)) revert GroupAccountMismatch(i);
            tables.setLeafHash(index, leaf, hash);
        }
        tables.setGroup(index, group.withLeaf(leaf, account));
    }

    /// @dev A derivative market has a round only for a forced order.
    function _checkRounds(BatchTables memory tables) private pure {
        uint256 count = tables.marketCount;
        for (uint256 i; i < count; ++i) {
            MarketTerms terms = tables.termsOf(i);
            if (terms.isDerivative() && tables.round(i) != 0 && !terms.hasForced()) revert UnexpectedRound(i);
        }
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Signatures
    // ---------------------------------------------------------------------------------------------------------------

    function _checkSignatures(BatchTables memory tables) private view {
        DigestPreimage preimage = SignatureLib.allocatePreimage(OrderLib.domainSeparator(address(this)));
        uint256 count = tables.groupCount;
        if (count == 0) return;
        for (uint256 i; i < count; ++i) {
            Group group = tables.group(i);
            bool isSingle = group.isSingle();
            if (isSingle ? !group.isDone(0) : group.isIncomplete()) revert LeafNotSet(i);
            bytes32 hash = isSingle
                ? bytes32(tables.leaves.get(i))
                : OrderLib.arrayHash(tables.concatenatedHash(i, group.leafCount()));
            (bytes32 r, bytes32 vs) = tables.signature(i);
            address signer = SignatureLib.recover(preimage.digest(hash), r, vs);
            // A group has a leaf that an order set, and so an account.
            address account = tables.entry(group.account()).account();
            // The zero address, the answer to a malformed signature, is no account: their table starts above it.
            if (signer != account) _checkDelegate(account, signer, tables.matchedAt, i);
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
                tables.positions,
                tables.derivativeFills
            );
        uint256 count = tables.positionCount;
        if (deltas.length != count || fees.length != count) revert ClearinghouseMismatch();
        uint256 total;
        for (uint256 i; i < count; ++i) {
            uint256 account = tables.position(i).accountIndex();
            tables.usdcDeltas.add(account, deltas[i]);
            tables.fees.add(account, int256(fees[i]));
            total += fees[i];
        }
        tables.usdcDeltas.add(tables.accountCount, int256(total));
        tables.addClearing(clearinghouse_, ownDelta, FUND, penalties);
    }

    /// @dev Change the balances, in memory.
    function _storeBalances(BatchTables memory tables) private pure {
        uint256 count = tables.positionCount;
        for (uint256 i; i < count; ++i) {
            int256 delta = int256(tables.baseDeltas.get(i));
            if (delta == 0) continue;
            PositionWord word = tables.word(i);
            // The sum is exact: the balance is below 2^128, the delta below 2^144. The cast follows the checks of both
            // bounds.
            unchecked {
                int256 balance = int256(word.balance()) + delta;
                if (balance < 0) revert BalanceTooLow(i);
                if (balance > int256(uint256(type(uint128).max))) revert BalanceOverflow(i);
                tables.setWord(i, word.withBalance(uint128(uint256(balance))));
            }
        }
    }

    /// @dev Change the nonce states and write each storage word once.
    function _storeNonces(BatchTables memory tables) private {
        uint256 count = tables.orderCount;
        OrderState next = tables.order(0);
        for (uint256 i; i < count; ++i) {
            OrderState order = next;
            next = order.next();
            if (!order.isUsed()) continue;
            // Of several sequences of a key the last that acted stays. A closed IOC or FOK order leaves its successor
            // with nothing filled. The sequence is below 2^32-1, and `filled` at most the order's quantity.
            OrderTerms terms = order.terms();
            (uint32 sequence, uint64 filled) = (terms.sequence(), uint64(order.filled()));
            unchecked {
                if (order.isClosed()) (sequence, filled) = (sequence + 1, 0);
            }
            PositionWord word = tables.word(order.slot()).withNonceState(terms.key(), sequence, filled);
            tables.setWord(order.slot(), word);
        }

        EngineStorage storage $ = _engineStorage();
        count = tables.slotCount;
        for (uint256 i; i < count; ++i) {
            $.positions[tables.slot(i)] = tables.word(i);
        }
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
