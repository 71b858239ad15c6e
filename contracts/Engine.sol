// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Ownable2StepUpgradeable} from "@openzeppelin/contracts-upgradeable/access/Ownable2StepUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IEngine} from "./interfaces/IEngine.sol";
import {IMarketRegistry} from "./interfaces/IMarketRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {BatchCodec} from "./libraries/BatchCodec.sol";
import {BatchTables, OrderState, WordTable} from "./libraries/BatchTables.sol";
import {OrderLinks, OrderTerms, OrderTermsLib, Position, PositionLib} from "./libraries/BatchWords.sol";
import {FillLib} from "./libraries/FillLib.sol";
import {MarketWord} from "./libraries/MarketWord.sol";
import {OrderLib, OrderPreimage} from "./libraries/OrderLib.sol";
import {PositionSlot, PositionSlotLib, PositionWord} from "./libraries/PositionSlot.sol";
import {SignatureLib} from "./libraries/SignatureLib.sol";

/// @title  Engine
/// @notice The settlement engine, spot balances and order state; see IEngine.
contract Engine is Ownable2StepUpgradeable, UUPSUpgradeable, ReentrancyGuardTransient, IEngine {
    using SafeERC20 for IERC20;
    using WordTable for uint256[];

    // ---------------------------------------------------------------------------------------------------------------
    // Constants and immutables
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IEngine
    uint40 public constant override WINDOW = 3600;

    /// @inheritdoc IEngine
    uint16 public constant override MAX_FEE_BPS = 50;

    /// @inheritdoc IEngine
    uint40 public constant override MAX_HALT = 24 hours;

    /// @inheritdoc IEngine
    uint40 public constant override HALT_PAUSE = 72 hours;

    /// @dev keccak256(abi.encode(uint256(keccak256("crosspoint.storage.Engine")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE_SLOT = 0x9f1b5e2ca104415bfdc6e210bb3398404bf08bcd8afb5fb88a80699712e07b00;

    /// @inheritdoc IEngine
    address public immutable override vault;

    /// @inheritdoc IEngine
    address public immutable override registry;

    // ---------------------------------------------------------------------------------------------------------------
    // Storage
    // ---------------------------------------------------------------------------------------------------------------

    /// @custom:storage-location erc7201:crosspoint.storage.Engine
    ///
    ///           255     248 247        208 207      160 159                                   0
    ///          +-----------+--------------+------------+---------------------------------------+
    ///  slot 0  | halted 8  | matchedAt 40 | batch 48   | operator 160                          |
    ///          +-----------+--------------+------------+---------------------------------------+
    ///           255     192 191         152 151       136 135  120 119       80 79     40 39  0
    ///          +-----------+---------------+-------------+--------+------------+---------+-----+
    ///  slot 1  | spare 64  |feeChangeAt 40 |nextFeeBps 16|feeBps16|haltedTotal |  halted |halt-|
    ///          |           |               |             |        |40          | Until 40|edAt |
    ///          +-----------+---------------+-------------+--------+------------+---------+-----+
    struct EngineStorage {
        address operator;
        uint48 batch; // number of the last settled batch
        uint40 matchedAt; // its match time
        bool halted; // the latest halt may still matter: look at slot 1
        uint40 haltedAt; // start of the latest halt, 0 if there was none
        uint40 haltedUntil; // its end, known in advance and brought forward by endHalt
        uint40 haltedTotal; // seconds of all halts before the latest
        uint16 feeBps;
        uint16 nextFeeBps; // with feeChangeAt reserved for scheduled fee changes
        uint40 feeChangeAt;
        address guardian;
        address queue;
        mapping(PositionSlot => PositionWord) positions;
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Construction and wiring
    // ---------------------------------------------------------------------------------------------------------------

    constructor(address vault_, address registry_) {
        if (vault_ == address(0) || registry_ == address(0)) revert ZeroAddress();
        vault = vault_;
        registry = registry_;
        _disableInitializers();
    }

    /// @notice Set the roles and the fee. Called by the proxy's constructor.
    /// @param feeBps_ basis points of the notional per side, at most MAX_FEE_BPS
    function initialize(address owner_, address operator_, address guardian_, uint16 feeBps_) external initializer {
        if (operator_ == address(0) || guardian_ == address(0)) revert ZeroAddress();
        if (feeBps_ > MAX_FEE_BPS) revert FeeTooHigh(feeBps_, MAX_FEE_BPS);
        __Ownable_init(owner_);
        EngineStorage storage $ = _engineStorage();
        $.operator = operator_;
        $.guardian = guardian_;
        $.feeBps = feeBps_;
        emit OperatorChanged(operator_);
        emit GuardianChanged(guardian_);
    }

    /// @inheritdoc IEngine
    function connect(address queue_) external onlyOwner {
        EngineStorage storage $ = _engineStorage();
        if ($.queue != address(0)) revert AlreadyConnected();
        if (queue_ == address(0)) revert ZeroAddress();
        $.queue = queue_;
        emit Connected(queue_);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Settlement
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev Whoever may settle now: the operator, unless settlement is halted.
    modifier onlySettling() {
        EngineStorage storage $ = _engineStorage();
        if (msg.sender != $.operator) revert NotOperator(msg.sender);
        if ($.halted && block.timestamp < $.haltedUntil) revert EngineHalted($.haltedUntil);
        _;
    }

    /// @inheritdoc IEngine
    function settleBatch(bytes calldata packed) external onlySettling {
        _settle(packed);
    }

    /// @inheritdoc IEngine
    function settleBatch(Batch calldata batch) external onlySettling {
        _settle(BatchCodec.pack(batch));
    }

    function _settle(bytes memory packed) private {
        BatchTables memory tables = BatchCodec.open(packed);
        uint256 fee = _openBatch(tables);
        _loadAccounts(tables);
        _loadMarkets(tables);
        _loadPositions(tables);
        _checkGroups(tables);
        _loadOrders(tables, fee);
        FillLib.applyAll(tables, fee);
        _storePositions(tables);
        // The casts are exact: the decoder read 48 and 40 bits.
        emit BatchSettled(uint48(tables.number), uint40(tables.matchedAt), tables.fillCount);
        IVault(vault).settle(tables.entryArray(), tables.usdcDeltaArray());
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

        uint40 lowest = _earliestMatch($);
        if (lowest < $.matchedAt) lowest = $.matchedAt;
        if (matchedAt < lowest || matchedAt > block.timestamp) {
            revert MatchedAtOutOfRange(matchedAt, lowest, _now());
        }
        $.batch = number;
        $.matchedAt = matchedAt;
        return $.feeBps;
    }

    /// @dev The earliest time that is at most half a window ago, not counting the latest halt, which has ended.
    function _earliestMatch(EngineStorage storage $) private returns (uint40 earliest) {
        earliest = _now() - WINDOW / 2;
        if (!$.halted) return earliest;
        (uint40 from, uint40 until) = ($.haltedAt, $.haltedUntil);
        if (until < earliest) {
            $.halted = false;
        } else {
            earliest -= until - from;
        }
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Settlement: tables
    // ---------------------------------------------------------------------------------------------------------------

    function _loadAccounts(BatchTables memory tables) private pure {
        uint256 count = tables.accountCount;
        address previous;
        for (uint256 i; i < count; ++i) {
            (address account, uint32 epoch) = tables.accountRow(i);
            if (account <= previous) revert UnsortedAccounts(i);
            tables.setAccount(i, account, epoch);
            previous = account;
        }
    }

    function _loadMarkets(BatchTables memory tables) private view {
        uint256 count = tables.marketCount;
        for (uint256 i; i < count; ++i) {
            tables.marketIds.put(i, tables.marketRow(i));
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
            if (word.kind() != uint8(IMarketRegistry.Kind.SPOT)) revert UnsupportedKind(i);
            tables.lotSizes.put(i, word.lotSize());
        }
    }

    /// @dev Resolve every position's account and load its first storage word.
    function _loadPositions(BatchTables memory tables) private view {
        EngineStorage storage $ = _engineStorage();
        uint256 accounts = tables.accountCount;
        uint256 count = tables.positionCount;
        uint256 next; // the lowest entry that may follow
        for (uint256 i; i < count; ++i) {
            uint256 entry = tables.positionRow(i);
            uint256 account = entry >> 32;
            if (account >= accounts) revert IndexOutOfRange(Table.POSITIONS, i);
            if (entry < next) revert UnsortedPositions(i);
            unchecked {
                next = entry + 1; // an entry has 48 bits
            }
            Position position =
                PositionLib.make(tables.account(account), uint32(entry), tables.epoch(account), account);
            tables.positions.put(i, Position.unwrap(position));
            PositionSlot slot = position.slot();
            tables.setSlot(i, slot, $.positions[slot]);
        }
        tables.slotCount = count;
    }

    function _checkGroups(BatchTables memory tables) private pure {
        uint256 count = tables.groupCount;
        for (uint256 i; i < count; ++i) {
            if (tables.leafCount(i) != 1) revert InvalidLeafCount(i);
        }
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Settlement: orders
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev Check every order, load the state of its nonce key and verify its signature.
    function _loadOrders(BatchTables memory tables, uint256 fee) private view {
        bytes32 separator = OrderLib.domainSeparator();
        OrderPreimage preimage = OrderLib.allocatePreimage();
        uint256 count = tables.orderCount;
        uint256 nextKey; // the lowest sort key that may follow
        uint256 nonceKey = type(uint256).max; // position and nonce key of the order before
        OrderState keyHead;
        for (uint256 i; i < count; ++i) {
            OrderState order = tables.order(i);
            OrderTerms terms = tables.terms(i);
            OrderLinks links = tables.links(i);
            _checkIndices(tables, terms, links, i);
            uint256 sortKey = terms.sortKey();
            if (sortKey < nextKey) revert UnsortedOrders(i);
            if (sortKey >> 32 != nonceKey) (nonceKey, keyHead) = (sortKey >> 32, order);
            unchecked {
                nextKey = sortKey + 1; // a sort key has 80 bits
            }

            Position position = tables.position(terms.position());
            _checkTerms(tables, terms, position, i, fee);
            _loadNonce(tables, order, terms, keyHead, i);
            _setLeaf(tables, links.group(), i);
            bytes32 hash = preimage.hash(
                terms, position.account(), tables.marketId(terms.market()), position.epoch()
            );
            order.setIdentity(terms, hash, position.accountIndex());
            (bytes32 r, bytes32 vs) = tables.signature(links.group());
            address signer = SignatureLib.recover(MessageHashUtils.toTypedDataHash(separator, hash), r, vs);
            // The zero address, the answer to a malformed signature, is no account: the account table starts above it.
            if (signer != position.account()) revert InvalidSignature(i);
        }
        // Every order has set another leaf, so all are set if there are as many.
        if (count != tables.groupCount) _revertLeafNotSet(tables);
    }

    function _checkIndices(BatchTables memory tables, OrderTerms terms, OrderLinks links, uint256 i) private pure {
        if (terms.position() >= tables.positionCount) revert IndexOutOfRange(Table.ORDERS, i);
        if (terms.market() >= tables.marketCount) revert IndexOutOfRange(Table.ORDERS, i);
        if (links.group() >= tables.groupCount) revert IndexOutOfRange(Table.ORDERS, i);
        if (links.leaf() != 0) revert IndexOutOfRange(Table.ORDERS, i);
    }

    /// @dev Check what an order says.
    function _checkTerms(BatchTables memory tables, OrderTerms terms, Position position, uint256 i, uint256 fee)
        private
        pure
    {
        MarketWord word = tables.market(terms.market());
        bool isOfMarket = position.instrument() == word.instrument();
        if (terms.has(OrderTermsLib.REFUSED_FLAGS) || !isOfMarket) _revertFlags(terms, isOfMarket, i);
        uint256 price = terms.price();
        if (price == 0) revert InvalidPrice(i);
        if (price > word.maxPricePerLot()) revert InvalidPrice(i);
        if (price % word.tickPerLot() != 0) revert InvalidPrice(i);
        uint256 quantity = terms.quantity();
        if (quantity == 0) revert InvalidQuantity(i);
        if (quantity > word.maxQuantity()) revert InvalidQuantity(i);
        uint256 expiry = terms.expiry(); // 0 stands for never
        if (terms.isGtc() != (expiry == 0)) revert InvalidExpiry(i);
        if (expiry < tables.matchedAt && expiry != 0) revert OrderExpired(i);
        if (terms.sequence() == type(uint32).max) revert SequenceExhausted(i);
        if (position.epoch() == type(uint32).max) revert EpochExhausted(i);
        if (terms.maxFeeBps() < fee) revert FeeAboveCap(i);
    }

    /// @dev Say which of the order's flags is refused.
    function _revertFlags(OrderTerms terms, bool isOfMarket, uint256 i) private pure {
        if (terms.has(OrderTermsLib.UNKNOWN_FLAGS)) revert InvalidFlags(i);
        if (!isOfMarket) revert InstrumentMismatch(i);
        if (terms.has(OrderTermsLib.REDUCE_ONLY)) revert ReduceOnlySpot(i);
        revert UnexpectedConversionLimit(i);
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
        if (stored > sequence) revert StaleNonce(i);
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

    /// @dev Set the order's leaf in its group, which has one.
    function _setLeaf(BatchTables memory tables, uint256 group, uint256 i) private pure {
        if (tables.leavesSet.get(group) != 0) revert LeafSetTwice(i);
        tables.leavesSet.put(group, 1);
    }

    function _revertLeafNotSet(BatchTables memory tables) private pure {
        uint256 group;
        while (tables.leavesSet.get(group) != 0) ++group;
        revert LeafNotSet(group);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Settlement: results
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev Write balances and nonce states, each storage word once.
    function _storePositions(BatchTables memory tables) private {
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

        count = tables.orderCount;
        for (uint256 i; i < count; ++i) {
            OrderState order = tables.order(i);
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

    // ---------------------------------------------------------------------------------------------------------------
    // Custody of synths
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IEngine
    function deposit(uint32 instrument, uint256 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        IERC20 synth = _synthOf(instrument);
        EngineStorage storage $ = _engineStorage();
        PositionSlot slot = PositionSlotLib.first(msg.sender, instrument);
        PositionWord word = $.positions[slot];
        $.positions[slot] = word.withBalance(SafeCast.toUint128(word.balance() + amount));
        emit Deposited(msg.sender, instrument, amount);
        synth.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IEngine
    function payOut(address account, uint32 instrument, uint256 amount) external nonReentrant returns (uint256 paid) {
        EngineStorage storage $ = _engineStorage();
        if (msg.sender != $.queue) revert NotQueue(msg.sender);
        IERC20 synth = _synthOf(instrument);
        PositionSlot slot = PositionSlotLib.first(account, instrument);
        PositionWord word = $.positions[slot];
        uint256 balance = word.balance();
        paid = amount < balance ? amount : balance;
        if (paid == 0) return 0;
        // The cast is exact: the balance is below 2^128.
        $.positions[slot] = word.withBalance(uint128(balance - paid));
        emit PaidOut(account, instrument, paid);
        synth.safeTransfer(account, paid);
    }

    /// @dev The token of an instrument that is held here; a registry that knows the instrument has checked the token.
    function _synthOf(uint32 instrument) private view returns (IERC20) {
        address synth = IMarketRegistry(registry).asset(instrument).synth;
        if (synth == address(0)) revert UnknownInstrument(instrument);
        return IERC20(synth);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Guardian and owner
    // ---------------------------------------------------------------------------------------------------------------

    modifier onlyGuardian() {
        if (msg.sender != _engineStorage().guardian) revert NotGuardian(msg.sender);
        _;
    }

    /// @inheritdoc IEngine
    function halt() external onlyGuardian {
        EngineStorage storage $ = _engineStorage();
        (uint40 from, uint40 until) = ($.haltedAt, $.haltedUntil);
        if (until != 0 && block.timestamp < until + HALT_PAUSE) revert HaltTooSoon(until + HALT_PAUSE);
        uint40 time = _now();
        $.haltedTotal += until - from;
        $.haltedAt = time;
        $.haltedUntil = time + MAX_HALT;
        $.halted = true;
        emit HaltStarted(time + MAX_HALT);
    }

    /// @inheritdoc IEngine
    function endHalt() external onlyGuardian {
        EngineStorage storage $ = _engineStorage();
        uint40 time = _now();
        if (time >= $.haltedUntil) revert NotHalted();
        $.haltedUntil = time;
        emit HaltEnded(time);
    }

    /// @inheritdoc IEngine
    function collectFees(address recipient) external onlyOwner {
        if (recipient == address(0)) revert ZeroAddress();
        uint256 amount = IVault(vault).collectableFees();
        if (amount == 0) revert ZeroAmount();
        uint256[] memory entries = new uint256[](2);
        int256[] memory deltas = new int256[](2);
        entries[0] = uint256(uint160(address(this))) << 96 | uint256(type(uint32).max) << 64;
        entries[1] = uint256(uint160(recipient)) << 96 | uint256(type(uint32).max) << 64;
        // The casts are exact: shares are below 2^128.
        (deltas[0], deltas[1]) = (-int256(amount), int256(amount));
        emit FeesCollected(recipient, amount);
        IVault(vault).settle(entries, deltas);
    }

    /// @dev Upgrades are the owner's alone.
    function _authorizeUpgrade(address) internal override onlyOwner {}

    // ---------------------------------------------------------------------------------------------------------------
    // Views
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IEngine
    function clock() external view returns (uint40) {
        EngineStorage storage $ = _engineStorage();
        uint40 time = _now();
        uint40 until = $.haltedUntil;
        return time - $.haltedTotal - ((until < time ? until : time) - $.haltedAt);
    }

    /// @inheritdoc IEngine
    function operator() external view returns (address) {
        return _engineStorage().operator;
    }

    /// @inheritdoc IEngine
    function guardian() external view returns (address) {
        return _engineStorage().guardian;
    }

    /// @inheritdoc IEngine
    function queue() external view returns (address) {
        return _engineStorage().queue;
    }

    /// @inheritdoc IEngine
    function lastBatch() external view returns (uint48 number, uint40 matchedAt) {
        EngineStorage storage $ = _engineStorage();
        return ($.batch, $.matchedAt);
    }

    /// @inheritdoc IEngine
    function lastHalt() external view returns (uint40 startedAt, uint40 until) {
        EngineStorage storage $ = _engineStorage();
        return ($.haltedAt, $.haltedUntil);
    }

    /// @inheritdoc IEngine
    function balanceOf(address account, uint32 instrument) external view returns (uint256) {
        return _engineStorage().positions[PositionSlotLib.first(account, instrument)].balance();
    }

    /// @inheritdoc IEngine
    function orderState(address account, uint32 instrument, uint32 key)
        external
        view
        returns (uint32 sequence, uint64 filled)
    {
        return _engineStorage().positions[PositionSlotLib.first(account, instrument).ofKey(key)].nonceState(key);
    }

    /// @inheritdoc IEngine
    function feeBps() external view returns (uint16) {
        return _engineStorage().feeBps;
    }

    /// @inheritdoc IEngine
    function domainSeparator() external view returns (bytes32) {
        return OrderLib.domainSeparator();
    }

    /// @inheritdoc IEngine
    function hashOrder(Order calldata order) external pure returns (bytes32) {
        return OrderLib.hash(order);
    }

    /// @inheritdoc IEngine
    function orderDigest(Order calldata order) external view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(OrderLib.domainSeparator(), OrderLib.hash(order));
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Internals
    // ---------------------------------------------------------------------------------------------------------------

    function _now() private view returns (uint40) {
        return SafeCast.toUint40(block.timestamp);
    }

    function _engineStorage() private pure returns (EngineStorage storage $) {
        assembly ("memory-safe") {
            $.slot := STORAGE_SLOT
        }
    }
}
