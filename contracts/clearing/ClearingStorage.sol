// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IClearinghouse} from "../interfaces/IClearinghouse.sol";
import {IEngine} from "../interfaces/IEngine.sol";
import {IMarketRegistry} from "../interfaces/IMarketRegistry.sol";
import {IPriceOracle} from "../interfaces/IPriceOracle.sol";
import {IVault} from "../interfaces/IVault.sol";
import {
    ClearingKey,
    ClearingKeyLib,
    ClearingMarket,
    ClearingNotice,
    ClearingNoticeLib,
    ClearingPool,
    ClearingPoolLib,
    ClearingPosition,
    ClearingPositionLib
} from "../libraries/ClearingWords.sol";
import {DerivativeWord} from "../libraries/DerivativeWord.sol";
import {IndexLib} from "../libraries/IndexLib.sol";
import {INSURANCE_FUND} from "../libraries/InsuranceFund.sol";
import {MarginLib} from "../libraries/MarginLib.sol";
import {MarketWord} from "../libraries/MarketWord.sol";

/// @title  Clearinghouse: storage, and what every part of it does with a market or a position
abstract contract ClearingStorage is IClearinghouse {
    using IndexLib for uint256;

    // ---------------------------------------------------------------------------------------------------------------
    // Types, constants and immutables
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev A derivative market in memory: read once, changed here, its pool written once at the end.
    struct Market {
        uint32 id;
        MarketWord word;
        DerivativeWord terms;
        address oracle;
        ClearingMarket state;
        ClearingPool stored; // pool and notices as stored
        int256 pool; // and with what has happened since
        uint256 notices;
        uint256 latestIndex; // the oracle's latest, 0 until it is asked for
        // of a batch only
        uint256 row; // in its market table
        uint80 round;
        uint256 roundIndex; // of that round, 0 until it is asked for
    }

    /// @inheritdoc IClearinghouse
    address public constant override FUND = INSURANCE_FUND;

    /// @dev Seconds of the settlement window, as IEngine.WINDOW.
    uint40 internal constant WINDOW = 3600;

    uint40 internal constant HOUR = 3600;

    /// @dev Epoch of a Vault entry whose account signed nothing.
    uint256 private constant NOTHING_SIGNED = uint256(type(uint32).max) << 64;
    uint256 private constant ENTRY_ACCOUNT_SHIFT = 96;

    /// @dev keccak256(abi.encode(uint256(keccak256("crosspoint.storage.Clearinghouse")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE_SLOT = 0xc03f04ed5266639a927c17e01fdd32d07f7cca80dbb024a0d1d284fae4e9e100;

    /// @inheritdoc IClearinghouse
    address public immutable override engine;

    /// @inheritdoc IClearinghouse
    address public immutable override vault;

    /// @inheritdoc IClearinghouse
    address public immutable override registry;

    // ---------------------------------------------------------------------------------------------------------------
    // Storage
    // ---------------------------------------------------------------------------------------------------------------

    struct MarketSlots {
        ClearingMarket state;
        ClearingPool pool;
    }

    /// @custom:storage-location erc7201:crosspoint.storage.Clearinghouse
    struct ClearinghouseStorage {
        uint32 lastHour; // Unix hour of the last accrual of funding in any market
        mapping(ClearingKey key => ClearingPosition) positions;
        mapping(uint32 market => MarketSlots) markets;
        mapping(ClearingKey key => ClearingNotice) notices;
    }

    constructor(address engine_, address vault_, address registry_) {
        if (engine_ == address(0) || vault_ == address(0) || registry_ == address(0)) revert ZeroAddress();
        engine = engine_;
        vault = vault_;
        registry = registry_;
    }

    function _clearinghouseStorage() internal pure returns (ClearinghouseStorage storage $) {
        assembly ("memory-safe") {
            $.slot := STORAGE_SLOT
        }
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Markets
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev Read a market. One that is no derivative has the kind SPOT here, also if it does not exist.
    function _loadMarket(uint32 id) internal view returns (Market memory market) {
        uint32[] memory ids = new uint32[](1);
        ids[0] = id;
        market.word = IMarketRegistry(registry).marketWords(ids)[0];
        (DerivativeWord[] memory terms, address[] memory oracles) = IMarketRegistry(registry).derivatives(ids);
        (market.id, market.terms, market.oracle) = (id, terms[0], oracles[0]);
        _loadState(market);
    }

    function _loadState(Market memory market) internal view {
        MarketSlots storage slots = _clearinghouseStorage().markets[market.id];
        market.state = slots.state;
        market.stored = slots.pool;
        market.pool = int256(uint256(market.stored.amount()));
        market.notices = market.stored.notices();
    }

    /// @dev An open market with margin, before its expiry.
    function _loadOpen(uint32 id) internal view returns (Market memory market) {
        market = _loadMarket(id);
        _checkHasMargin(market);
        if (!_isOpen(market.state)) revert NotOpen(id);
        if (_isPast(market.terms.expiry())) revert PastExpiry(id);
    }

    function _checkHasMargin(Market memory market) internal pure {
        uint8 kind = market.word.kind();
        bool hasMargin = kind == uint8(IMarketRegistry.Kind.PERP) || kind == uint8(IMarketRegistry.Kind.FUTURE);
        if (!hasMargin) revert WrongKind(market.id);
    }

    function _isOpen(ClearingMarket state) internal pure returns (bool) {
        return state.state() == uint8(State.OPEN);
    }

    /// @dev Whether a dated market's time has come.
    function _isPast(uint40 expiry) internal view returns (bool) {
        return expiry != 0 && block.timestamp >= expiry;
    }

    /// @dev The index at the oracle's newest price.
    function _latestIndex(Market memory market) internal view returns (uint256 index) {
        index = market.latestIndex;
        if (index != 0) return index;
        (, uint256 price,) = IPriceOracle(market.oracle).latest();
        index = _toIndex(market, price);
        market.latestIndex = index;
    }

    function _toIndex(Market memory market, uint256 price) internal pure returns (uint256 index) {
        index = price.toIndex(market.word);
        if (index == 0) revert IndexOutOfBounds(market.id, price);
    }

    /// @dev Write pool and count of notices, if they have changed. The caller knows that the pool is not negative.
    function _storePool(Market memory market) internal {
        uint128 pool = SafeCast.toUint128(SafeCast.toUint256(market.pool));
        ClearingPool word = ClearingPoolLib.make(pool, SafeCast.toUint32(market.notices));
        if (ClearingPool.unwrap(word) == ClearingPool.unwrap(market.stored)) return;
        _clearinghouseStorage().markets[market.id].pool = word;
        if (pool != market.stored.amount()) emit PoolChanged(market.id, pool);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Positions
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev A position after funding.
    function _loadPosition(Market memory market, ClearingKey key) internal view returns (int256 size, int256 quote) {
        ClearingPosition position = _clearinghouseStorage().positions[key];
        size = position.size();
        quote = position.quote() - MarginLib.fundingUp(size, market.state.funding() - int256(position.fundingIndex()));
    }

    /// @dev The same, which must have a size.
    function _loadSized(Market memory market, address account) internal view returns (int256 size, int256 quote) {
        (size, quote) = _loadPosition(market, ClearingKeyLib.make(account, market.id));
        if (size == 0) revert NoPosition(account, market.id);
    }

    function _storePosition(Market memory market, address account, int256 size, int256 quote) internal {
        _storePosition(
            ClearingKeyLib.make(account, market.id), ClearingPositionLib.make(size, quote, market.state.funding())
        );
    }

    function _storePosition(ClearingKey key, ClearingPosition position) internal {
        _clearinghouseStorage().positions[key] = position;
        emit PositionChanged(key.account(), key.market(), position.size(), position.quote(), position.fundingIndex());
    }

    function _maintenance(Market memory market, int256 size) internal view returns (uint256) {
        return MarginLib.maintenanceUp(size, _latestIndex(market), market.terms.maintenanceMarginBps());
    }

    function _equity(Market memory market, int256 size, int256 quote) internal view returns (int256) {
        return MarginLib.equity(size, quote, _latestIndex(market));
    }

    /// @dev Equity and maintenance margin at the latest index.
    function _health(Market memory market, int256 size, int256 quote)
        internal
        view
        returns (int256 equity_, int256 maintenance)
    {
        // The cast is exact: a maintenance margin is below 2^145.
        return (_equity(market, size, quote), int256(_maintenance(market, size)));
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Notices
    // ---------------------------------------------------------------------------------------------------------------

    function _notice(address account, uint32 market) internal view returns (ClearingNotice) {
        return _clearinghouseStorage().notices[ClearingKeyLib.make(account, market)];
    }

    /// @return requestedAt the exit request, if it counts now, else 0
    /// @return time        the Engine's clock
    function _exitOf(address account, uint32 market) internal view returns (uint40 requestedAt, uint40 time) {
        time = _clock();
        requestedAt = _notice(account, market).exitRequestedAt(time);
    }

    function _wantsExit(address account, uint32 market) internal view returns (bool) {
        (uint40 requestedAt,) = _exitOf(account, market);
        return requestedAt != 0;
    }

    /// @return flagged the flag, if it counts now, else 0
    /// @return time    the Engine's clock
    function _flagOf(address account, uint32 market) internal view returns (uint40 flagged, uint40 time) {
        time = _clock();
        flagged = _notice(account, market).flaggedAt(time);
    }

    /// @dev Whether something is so old.
    function _checkAge(uint40 since, uint40 age, uint40 time) internal pure {
        if (time < since + age) revert WindowOpen(since + age);
    }

    /// @dev Replace a position's notice and count it in its market, whose pool word the caller stores.
    function _setNotice(Market memory market, ClearingKey key, ClearingNotice from, ClearingNotice to) internal {
        if (from.isNone() && !to.isNone()) ++market.notices;
        if (!from.isNone() && to.isNone()) --market.notices;
        _clearinghouseStorage().notices[key] = to;
        if (from.hasExit() && !to.hasExit()) emit ExitEnded(key.account(), key.market());
        if (from.hasFlag() && !to.hasFlag()) emit Unflagged(key.account(), key.market());
    }

    /// @dev A position was closed: neither its exit request nor its flag must outlive it.
    function _endNotice(Market memory market, ClearingKey key) internal {
        if (market.notices == 0) return;
        ClearingNotice notice = _clearinghouseStorage().notices[key];
        if (!notice.isNone()) _setNotice(market, key, notice, ClearingNoticeLib.NONE);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Engine and Vault
    // ---------------------------------------------------------------------------------------------------------------

    function _clock() internal view returns (uint40) {
        return IEngine(engine).clock();
    }

    function _isOperator() internal view returns (bool) {
        return msg.sender == IEngine(engine).operator();
    }

    function _fundBalance() internal view returns (uint256) {
        return IVault(vault).sharesOf(FUND);
    }

    /// @dev Pay an account and the fund from the pools, or take from them; the two changes are the pool's opposite.
    function _move(address account, int256 accountDelta, int256 fundDelta) internal {
        if (accountDelta == 0 && fundDelta == 0) return;
        uint256[] memory entries = new uint256[](3);
        int256[] memory deltas = new int256[](3);
        (entries[0], deltas[0]) = (_entry(address(this)), -accountDelta - fundDelta);
        (entries[1], deltas[1]) = (_entry(FUND), fundDelta);
        (entries[2], deltas[2]) = (_entry(account), accountDelta);
        IVault(vault).settle(entries, deltas);
    }

    function _entry(address account) private pure returns (uint256) {
        return (uint256(uint160(account)) << ENTRY_ACCOUNT_SHIFT) | NOTHING_SIGNED;
    }
}
