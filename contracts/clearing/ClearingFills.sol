// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IClearinghouse} from "../interfaces/IClearinghouse.sol";
import {IMarketRegistry} from "../interfaces/IMarketRegistry.sol";
import {IPriceOracle} from "../interfaces/IPriceOracle.sol";
import {
    ClearingKey,
    ClearingKeyLib,
    ClearingPosition,
    ClearingPositionLib
} from "../libraries/ClearingWords.sol";
import {DerivativeFill} from "../libraries/DerivativeFill.sol";
import {DerivativeWord} from "../libraries/DerivativeWord.sol";
import {MarginLib} from "../libraries/MarginLib.sol";
import {MarketWord} from "../libraries/MarketWord.sol";
import {OptionLib} from "../libraries/OptionLib.sol";
import {TableCasts} from "../libraries/TableCasts.sol";
import {WordTable} from "../libraries/WordTable.sol";
import {ClearingStorage} from "./ClearingStorage.sol";

/// @title  Clearinghouse: a batch's fills
/// @notice Positions and markets are read once, kept in memory and written once.
abstract contract ClearingFills is ClearingStorage {
    using WordTable for uint256[];

    /// @dev A batch in memory. The tables follow the Engine's; their indices were checked there.
    struct Batch {
        uint40 matchedAt;
        uint256 feeBps;
        Market[] markets; // the derivative ones; the entries of others stay empty
        uint256[] positions; // Position, as given
        uint256[] states; // ClearingPosition of those with a fill
        uint256[] marks; // LOADED, GREW, CLOSED and, above them, the row of the market
        uint256[] deltas; // int256
        uint256[] fees;
        uint256 penalties;
    }

    uint256 private constant LOADED = 1 << 0;
    uint256 private constant GREW = 1 << 1;
    uint256 private constant CLOSED = 1 << 2;
    uint256 private constant MARK_ROW_SHIFT = 8;

    // ---------------------------------------------------------------------------------------------------------------
    // The batch
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IClearinghouse
    function settle(
        uint40 matchedAt,
        uint256 feeBps,
        uint32[] calldata markets,
        uint256[] calldata marketWords,
        uint80[] calldata rounds,
        uint256[] calldata positions,
        uint256[] calldata fills
    ) external returns (int256[] memory deltas, uint256[] memory fees, int256 ownDelta, uint256 penalties) {
        if (msg.sender != engine) revert NotEngine(msg.sender);
        if (marketWords.length != markets.length || rounds.length != markets.length) revert LengthMismatch();
        Batch memory batch;
        (batch.matchedAt, batch.feeBps) = (matchedAt, feeBps);
        batch.markets = _loadMarkets(markets, marketWords, rounds);
        batch.positions = positions;
        batch.states = new uint256[](positions.length);
        batch.marks = new uint256[](positions.length);
        batch.deltas = new uint256[](positions.length);
        batch.fees = new uint256[](positions.length);
        for (uint256 i; i < fills.length; ++i) {
            DerivativeFill fill = DerivativeFill.wrap(fills[i]);
            Market memory market = batch.markets[fill.market()];
            bool isOption = market.word.kind() == uint8(IMarketRegistry.Kind.OPTION);
            if (isOption) {
                _applyOption(batch, market, fill, false);
                _applyOption(batch, market, fill, true);
            } else {
                _applyMargin(batch, market, fill, false);
                _applyMargin(batch, market, fill, true);
            }
        }
        _storePositions(batch);
        return (TableCasts.toInt256s(batch.deltas), batch.fees, _storePools(batch, marketWords), batch.penalties);
    }

    /// @dev Read the derivative markets of a batch, at the rows that they have there, and check that they are open.
    function _loadMarkets(uint32[] calldata ids, uint256[] calldata words, uint80[] calldata rounds)
        private
        view
        returns (Market[] memory markets)
    {
        markets = new Market[](ids.length);
        uint256 count;
        uint256[] memory wanted = new uint256[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            if (_isDerivative(words[i])) wanted[count++] = ids[i];
        }
        wanted.setLength(count); // not more than it had
        (DerivativeWord[] memory terms, address[] memory oracles) =
            IMarketRegistry(registry).derivatives(TableCasts.toUint32s(wanted));

        count = 0;
        for (uint256 i; i < ids.length; ++i) {
            if (!_isDerivative(words[i])) continue;
            Market memory market = markets[i];
            (market.id, market.row, market.round) = (ids[i], i, rounds[i]);
            (market.word, market.terms, market.oracle) = (MarketWord.wrap(words[i]), terms[count], oracles[count]);
            ++count;
            _loadState(market);
            if (!_isOpen(market.state)) revert MarketNotOpen(i);
            if (_isPast(market.terms.expiry())) revert ExpiredMarket(i);
        }
    }

    function _isDerivative(uint256 word) private pure returns (bool) {
        return MarketWord.wrap(word).kind() != uint8(IMarketRegistry.Kind.SPOT);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Perpetuals and futures
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev One side of a fill, steps 0 to 4 of IClearinghouse. A quantity is below 2^40 and a price below 2^56: with
    ///      sizes of 64 and quotes of 96 bits nothing overflows before it is narrowed in _put.
    function _applyMargin(Batch memory batch, Market memory market, DerivativeFill fill, bool isSell) private {
        (int256 size, int256 quote) = _get(batch, market, fill, isSell);
        uint256 closing = MarginLib.closing(size, fill.quantity(), isSell);
        uint256 growing = fill.quantity() - closing;
        bool isForced = fill.isForced(isSell);
        if (growing != 0 && (isForced || fill.isReduceOnly(isSell))) revert ReduceOnlyExceeded(fill.fill());
        Cause cause;
        if (isForced) cause = _causeOf(batch, market, fill, isSell, size, quote);

        int256 credit;
        unchecked {
            int256 sigma = isSell ? -1 : int256(1);
            uint256 marks;
            if (closing != 0) {
                if (closing == MarginLib.abs(size)) marks |= CLOSED;
                int256 share = MarginLib.shareDown(quote, closing, size);
                credit = share - sigma * int256(closing * fill.price());
                size += sigma * int256(closing);
                quote -= share;
                if (isForced && credit < 0 && cause != Cause.FUND) revert NegativeCredit(fill.fill());
            }
            if (growing != 0) {
                marks |= GREW;
                int256 margin = int256(
                    MarginLib.initialMarginDown(growing, fill.price(), market.terms.initialMarginBps())
                );
                credit -= margin;
                quote += margin - sigma * int256(growing * fill.price());
                size += sigma * int256(growing);
            }
            _put(batch, market, fill, isSell, size, quote, marks);
            market.pool -= credit;
        }
        if (isForced) {
            _chargeForced(batch, market, fill, isSell, credit, cause);
        } else {
            _charge(batch, fill, isSell, credit);
        }
    }

    /// @dev Why a forced order is due, or revert; and that its price is in the band that goes with that.
    function _causeOf(
        Batch memory batch,
        Market memory market,
        DerivativeFill fill,
        bool isSell,
        int256 size,
        int256 quote
    ) private view returns (Cause cause) {
        uint256 index = _roundIndex(batch, market);
        // What grew in this batch must have its margin at the batch's end; it cannot be closed instead.
        bool hasGrown = batch.marks.get(fill.position(isSell)) & GREW != 0;
        address account = _keyOf(batch, fill, isSell).account();
        uint256 band = market.terms.bandBps();
        if (account == FUND) {
            cause = Cause.FUND;
        } else if (!hasGrown && _isBelowMaintenance(market, size, quote, index)) {
            cause = Cause.LIQUIDATION;
        } else {
            if (hasGrown || market.notices == 0 || !_wantsExit(account, market.id)) revert NotForceable(fill.fill());
            cause = Cause.EXIT;
            band = market.terms.exitPenaltyBps();
        }
        if (!MarginLib.isInBand(fill.price(), index, band, isSell)) revert PriceOutOfBand(fill.fill());
    }

    /// @dev The index of the market's round in this batch.
    function _roundIndex(Batch memory batch, Market memory market) private view returns (uint256 index) {
        index = market.roundIndex;
        if (index != 0) return index;
        if (market.round == 0) revert RoundMissing(market.row);
        index = _toIndex(market, IPriceOracle(market.oracle).priceAt(market.round, batch.matchedAt));
        market.roundIndex = index;
    }

    function _isBelowMaintenance(Market memory market, int256 size, int256 quote, uint256 index)
        private
        pure
        returns (bool)
    {
        uint256 maintenance = MarginLib.maintenanceUp(size, index, market.terms.maintenanceMarginBps());
        // The cast is exact: a maintenance margin is below 2^145.
        return MarginLib.equity(size, quote, index) < int256(maintenance);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Options
    // ---------------------------------------------------------------------------------------------------------------

    function _applyOption(Batch memory batch, Market memory market, DerivativeFill fill, bool isSell) private view {
        (int256 size,) = _get(batch, market, fill, isSell);
        uint256 quantity = fill.quantity();
        bool isForced = fill.isForced(isSell);
        if (isForced || fill.isReduceOnly(isSell)) {
            if (MarginLib.closing(size, quantity, isSell) != quantity) revert ReduceOnlyExceeded(fill.fill());
            if (isForced) revert NotForceable(fill.fill());
        }
        // Sizes have 64 bits, quantities 40, collateral and prices 56.
        unchecked {
            int256 sigma = isSell ? -1 : int256(1);
            int256 next = size + sigma * int256(quantity);
            int256 collateral = int256(uint256(market.terms.collateralPerLot()));
            int256 freed = collateral * (OptionLib.short(size) - OptionLib.short(next));
            _put(batch, market, fill, isSell, next, 0, 0);
            market.pool -= freed;
            _charge(batch, fill, isSell, freed - sigma * int256(quantity * fill.price()));
        }
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Both
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev Credit an account and take its fee.
    function _charge(Batch memory batch, DerivativeFill fill, bool isSell, int256 credit) private pure {
        uint256 position = fill.position(isSell);
        // Notionals are below 2^96 and there are fewer than 2^16 fills.
        unchecked {
            uint256 fee = MarginLib.bpsDown(fill.quantity() * fill.price(), batch.feeBps);
            batch.fees.add(position, int256(fee));
            batch.deltas.add(position, credit - int256(fee));
        }
    }

    /// @dev The same for a forced order, which pays no more than its credit, and a liquidation's penalty.
    function _chargeForced(
        Batch memory batch,
        Market memory market,
        DerivativeFill fill,
        bool isSell,
        int256 credit,
        Cause cause
    ) private {
        uint256 position = fill.position(isSell);
        unchecked {
            uint256 notional = fill.quantity() * fill.price();
            uint256 rest = credit > 0 ? uint256(credit) : 0;
            uint256 fee = Math.min(MarginLib.bpsDown(notional, batch.feeBps), rest);
            uint256 penalty;
            if (cause == Cause.LIQUIDATION) {
                penalty = Math.min(MarginLib.bpsDown(notional, market.terms.liquidationFeeBps()), rest - fee);
            }
            batch.fees.add(position, int256(fee));
            batch.deltas.add(position, credit - int256(fee + penalty));
            batch.penalties += penalty;
            emit ForcedFill(_keyOf(batch, fill, isSell).account(), market.id, cause, fill.fill(), fee, penalty);
        }
    }

    function _keyOf(Batch memory batch, DerivativeFill fill, bool isSell) private pure returns (ClearingKey) {
        return ClearingKeyLib.ofPosition(batch.positions.get(fill.position(isSell)));
    }

    /// @dev A position as the fills so far have left it. Its first fill reads it and pays its funding.
    function _get(Batch memory batch, Market memory market, DerivativeFill fill, bool isSell)
        private
        view
        returns (int256 size, int256 quote)
    {
        uint256 row = fill.position(isSell);
        if (batch.marks.get(row) != 0) {
            ClearingPosition position = ClearingPosition.wrap(batch.states.get(row));
            return (position.size(), position.quote());
        }
        batch.marks.put(row, LOADED | (market.row << MARK_ROW_SHIFT));
        (size, quote) = _loadPosition(market, _keyOf(batch, fill, isSell));
        if (quote != int96(quote)) revert QuoteOverflow(fill.fill());
    }

    /// @dev Keep a position for the next fill.
    function _put(
        Batch memory batch,
        Market memory market,
        DerivativeFill fill,
        bool isSell,
        int256 size,
        int256 quote,
        uint256 marks
    ) private pure {
        if (size != int64(size)) revert SizeOverflow(fill.fill());
        if (quote != int96(quote)) revert QuoteOverflow(fill.fill());
        uint256 row = fill.position(isSell);
        ClearingPosition position = ClearingPositionLib.pack(int64(size), int96(quote), market.state.funding());
        batch.states.put(row, ClearingPosition.unwrap(position));
        batch.marks.put(row, batch.marks.get(row) | marks);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Results
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev Write every position that had a fill, and check the margin of those that grew.
    function _storePositions(Batch memory batch) private {
        for (uint256 i; i < batch.positions.length; ++i) {
            uint256 marks = batch.marks.get(i);
            if (marks == 0) continue;
            ClearingKey key = ClearingKeyLib.ofPosition(batch.positions.get(i));
            ClearingPosition position = ClearingPosition.wrap(batch.states.get(i));
            Market memory market = batch.markets[marks >> MARK_ROW_SHIFT];
            _storePosition(key, position);
            if (marks & CLOSED != 0) _endNotice(market, key);
            if (marks & GREW == 0 || position.size() == 0) continue;
            if (_isBelowMaintenance(market, position.size(), position.quote(), _latestIndex(market))) {
                revert Undermargined(i);
            }
        }
    }

    /// @dev Write every pool, which must not be negative.
    /// @return ownDelta what the pools have gained together
    function _storePools(Batch memory batch, uint256[] calldata words) private returns (int256 ownDelta) {
        for (uint256 i; i < words.length; ++i) {
            if (!_isDerivative(words[i])) continue;
            Market memory market = batch.markets[i];
            if (market.pool < 0) revert PoolNegative(i);
            ownDelta += market.pool - int256(uint256(market.stored.amount()));
            _storePool(market);
        }
    }
}
