// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {IClearinghouse} from "../interfaces/IClearinghouse.sol";
import {IEngine} from "../interfaces/IEngine.sol";
import {IMarketRegistry} from "../interfaces/IMarketRegistry.sol";
import {IPriceOracle} from "../interfaces/IPriceOracle.sol";
import {ClearingKeyLib, ClearingMarket} from "../libraries/ClearingWords.sol";
import {MarginLib} from "../libraries/MarginLib.sol";
import {OptionLib} from "../libraries/OptionLib.sol";
import {ClearingStorage} from "./ClearingStorage.sol";

/// @title  Clearinghouse: funding, expiry and the settlement of what has expired
abstract contract ClearingExpiry is ClearingStorage {
    /// @dev Seconds without a sign of life after which anyone may expire a market.
    uint40 private constant ABANDONED_AFTER = 48 hours;

    // ---------------------------------------------------------------------------------------------------------------
    // Funding
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IClearinghouse
    function accrueFunding(uint32 id, uint32 hour, int64 rate, uint80 round) external {
        if (!_isOperator()) revert NotOperator(msg.sender);
        Market memory market = _loadMarket(id);
        if (market.word.kind() != uint8(IMarketRegistry.Kind.PERP)) revert WrongKind(id);
        if (!_isOpen(market.state)) revert NotOpen(id);
        _checkHour(market.state.lastHour(), hour);
        uint16 cap = market.terms.fundingCap();
        if (MarginLib.abs(rate) > cap) revert RateOutOfBounds(rate, cap);

        // The product is below 2^45, an hour that has begun.
        uint256 price = IPriceOracle(market.oracle).priceAt(round, uint40(hour) * HOUR);
        uint256 index = _toIndex(market, price);
        int96 funding = SafeCast.toInt96(market.state.funding() + MarginLib.fundingStep(rate, index));
        ClearinghouseStorage storage $ = _clearinghouseStorage();
        $.markets[id].state = market.state.withFunding(funding, hour);
        if (hour > $.lastHour) $.lastHour = hour;
        emit FundingAccrued(id, hour, rate, index, funding);
    }

    /// @dev No hour twice, none before it has begun, and none that began more than a window ago.
    function _checkHour(uint32 last, uint32 hour) private view {
        // The casts are exact: a time has 40 bits, and the last hour has begun.
        uint32 highest = uint32(block.timestamp / HOUR);
        uint32 lowest = uint32((block.timestamp - WINDOW + HOUR - 1) / HOUR);
        if (lowest <= last) lowest = last + 1;
        if (hour < lowest || hour > highest) revert WrongHour(hour, lowest, highest);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Expiry
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IClearinghouse
    function expire(uint32 id, uint80 round) external {
        Market memory market = _loadMarket(id);
        uint40 expiry = market.terms.expiry();
        if (expiry == 0) revert WrongKind(id);
        if (!_isOpen(market.state)) revert NotOpen(id);
        if (!_isPast(expiry)) revert BeforeExpiry(expiry);
        _expire(market, _toIndex(market, IPriceOracle(market.oracle).priceAcross(round, expiry)), Expiry.DATE);
    }

    /// @inheritdoc IClearinghouse
    function expireAbandoned(uint32 id) external {
        Market memory market = _loadMarket(id);
        if (market.word.kind() == uint8(IMarketRegistry.Kind.SPOT)) revert WrongKind(id);
        if (!_isOpen(market.state)) revert NotOpen(id);
        uint40 expiry = market.terms.expiry();
        uint256 since =
            _isPast(expiry) ? expiry : Math.max(lastSignOfLife(), IMarketRegistry(registry).createdAt(id));
        // The cast is exact: all of these times have passed.
        uint40 until = uint40(since + ABANDONED_AFTER);
        if (block.timestamp < until) revert NotAbandoned(until);
        _expire(market, _latestIndex(market), Expiry.ABANDONED);
    }

    /// @dev Fix the settlement price of an open market.
    function _expire(Market memory market, uint256 index, Expiry how) internal {
        uint56 collateral;
        uint256 settlement = index;
        if (market.word.kind() == uint8(IMarketRegistry.Kind.OPTION)) {
            collateral = market.terms.collateralPerLot();
            settlement = OptionLib.payoff(market.terms, index);
        }
        // The cast is exact: an index is below 2^64, and a payoff is at most the collateral.
        uint64 settlePerLot = uint64(settlement);
        _clearinghouseStorage().markets[market.id].state =
            market.state.withExpiry(uint8(State.EXPIRED), settlePerLot, collateral);
        emit MarketExpired(market.id, how, settlePerLot);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Settlement of positions
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IClearinghouse
    function close(address account, uint32 id) external {
        Market memory market;
        market.id = id;
        _loadState(market);
        if (_isOpen(market.state)) revert NotExpired(id);
        (int256 size, int256 quote) = _loadPosition(market, ClearingKeyLib.make(account, id));
        if (size == 0 && quote == 0) revert NothingToClose();

        int256 equity_ = _settlement(market.state, size, quote);
        int256 paid;
        int256 covered;
        if (equity_ > 0) {
            paid = SignedMath.min(equity_, market.pool);
        } else if (equity_ < 0) {
            covered = SignedMath.min(-equity_, int256(_fundBalance()));
        }
        _storePosition(market, account, 0, SignedMath.max(equity_, 0) - paid);
        _endNotice(market, ClearingKeyLib.make(account, id));
        market.pool += covered - paid;
        _storePool(market);
        emit Closed(account, id, equity_, uint256(paid), uint256(covered));
        account == FUND ? _move(account, 0, paid - covered) : _move(account, paid, -covered);
    }

    /// @dev What a position of an expired market is worth.
    function _settlement(ClearingMarket state, int256 size, int256 quote) internal pure returns (int256) {
        uint256 collateral = state.collateral();
        if (collateral == 0) return MarginLib.equity(size, quote, state.settlePerLot());
        // The cast is exact: below 2^120.
        return int256(OptionLib.settlement(size, state.settlePerLot(), collateral)) + quote;
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Signs of life
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IClearinghouse
    function lastSignOfLife() public view returns (uint40) {
        (, uint40 matchedAt) = IEngine(engine).lastBatch();
        uint40 accruedAt = uint40(_clearinghouseStorage().lastHour) * HOUR;
        return matchedAt > accruedAt ? matchedAt : accruedAt;
    }
}
