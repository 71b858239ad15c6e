// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IEngine} from "../interfaces/IEngine.sol";
import {KeyState, MarketState, OrderRefs, OrderState} from "./BatchRecords.sol";
import {FillRow} from "./BatchRows.sol";
import {BatchTables} from "./BatchTables.sol";
import {FillWord, OrderTerms, Progress} from "./BatchWords.sol";
import {Bools} from "./Bools.sol";
import {DerivativeFill, DerivativeFillLib} from "./DerivativeFill.sol";
import {OrderLib} from "./OrderLib.sol";
import {WordTable} from "./WordTable.sol";

/// @title  Fills
/// @notice Checks a batch's fills in match order and books them in its tables. Nothing is stored here.
library FillLib {
    using WordTable for uint256[];

    uint256 private constant BPS = 10_000;
    uint256 private constant RATE_SCALE = 1e12; // 10^-12 quote units at micro-USDC per unit to micro-USDC
    uint256 private constant MAX_GROUP_FILLS = 256;
    OrderState private constant NO_GROUP = OrderState.wrap(0);
    FillRow private constant NO_LIMIT = FillRow.wrap(type(uint256).max);

    /// @notice Apply all fills. A group is the run of fills of one IOC or FOK taker; it ends before the first check of
    ///         the next taker's fill, or with the batch.
    /// @param  fee basis points of the notional per side
    function applyAll(BatchTables memory tables, uint256 fee) internal {
        OrderState group = NO_GROUP; // the IOC or FOK order whose group is open
        FillRow limit = NO_LIMIT; // the first row that a group as large as it may be does not reach
        uint256 fees; // micro-USDC, of spot fills
        FillRow end = tables.endOfFills();
        for (FillRow row = tables.fillRows; row.isBefore(end); row = row.next()) {
            FillWord fill = row.fill();
            OrderState taker = tables.order(fill.taker());
            if (Bools.both(!group.isSame(NO_GROUP), !group.isSame(taker))) {
                _closeGroup(tables, group);
                (group, limit) = (NO_GROUP, NO_LIMIT);
            }
            // Until the next check has passed, `taker` may point beyond the table.
            bool isInside = Bools.both(fill.maker() < tables.orderCount, fill.taker() < tables.orderCount);
            if (!isInside) revert IEngine.IndexOutOfRange(IEngine.Table.FILLS, tables.indexOfFill(row));
            OrderState maker = tables.order(fill.maker());
            if (maker.refs().shareKeys(taker.refs())) _claimKeys(tables, maker, taker, row, limit);
            uint256 obstacles = _obstacles(maker, taker, fill) | Bools.toUint(!row.isBefore(limit));
            if (obstacles != 0) _refuse(tables, maker, taker, row, limit);

            if (taker.terms().immediate() != 0 && group.isSame(NO_GROUP)) {
                (group, limit) = (taker, row.skip(MAX_GROUP_FILLS));
            }
            _fill(maker, taker, fill);

            MarketState market = tables.market(maker.terms().market());
            // Quantity and price are below 2^40 and 2^56 (`_move` says more), and the sum of the fees is exact: 2^16
            // fills with fees below 2^95 each.
            unchecked {
                uint256 notional = fill.quantity() * maker.terms().price();
                if (!market.terms().isPlain()) {
                    if (market.terms().isDerivative()) {
                        tables.push(_derivativeFill(maker, taker, tables.indexOfFill(row), fill.quantity()));
                        continue; // the Clearinghouse books this one, and takes its fees
                    }
                    notional = notional * market.terms().rate() / RATE_SCALE;
                }
                uint256 feeDown = notional * fee / BPS;
                _move(tables, maker, taker, notional, feeDown, fill.quantity() * market.lotSize());
                fees += 2 * feeDown;
            }
        }
        tables.usdcDeltas.add(tables.accountCount, int256(fees));
        if (!group.isSame(NO_GROUP)) _closeGroup(tables, group);
    }

    /// @dev Let orders act that share their nonce keys with others.
    function _claimKeys(BatchTables memory tables, OrderState maker, OrderState taker, FillRow row, FillRow limit)
        private
        pure
    {
        (KeyState makerKey, KeyState takerKey) = (maker.refs().key(), taker.refs().key());
        if (makerKey.isPast(maker) || takerKey.isPast(taker)) _refuse(tables, maker, taker, row, limit);
        makerKey.claim(maker);
        takerKey.claim(taker);
    }

    /// @dev Look for what `_refuse` names, without branches.
    /// @return obstacles not zero if something in the two orders stands against the fill
    function _obstacles(OrderState maker, OrderState taker, FillWord fill) private pure returns (uint256 obstacles) {
        (OrderTerms make, OrderTerms take) = (maker.terms(), taker.terms());
        (Progress makerBefore, Progress takerBefore) = (maker.progress(), taker.progress());
        obstacles = make.unlike(take) | make.immediate() | takerBefore.closed();
        obstacles |= Bools.toUint(maker.refs().account().isSame(taker.refs().account()));
        obstacles |= Bools.toUint(fill.quantity() == 0);
        // Prices are below 2^56, what is filled and the quantity of a fill below 2^64.
        unchecked {
            int256 surplus = int256(uint256(make.price())) - int256(uint256(take.price()));
            obstacles |= Bools.toUint(_direction(take) * surplus < 0);
            obstacles |= Bools.toUint(makerBefore.filled() + fill.quantity() > make.quantity());
            obstacles |= Bools.toUint(takerBefore.filled() + fill.quantity() > take.quantity());
        }
    }

    /// @return 1 if the taker sells, -1 if it buys: the sign of the base that the maker gets, and of the quote that the
    ///         taker gets
    function _direction(OrderTerms take) private pure returns (int256) {
        unchecked {
            return int256(2 * uint256(take.side())) - 1;
        }
    }

    /// @dev Say what is wrong with a fill.
    function _refuse(BatchTables memory tables, OrderState maker, OrderState taker, FillRow row, FillRow limit)
        private
        pure
    {
        FillWord fill = row.fill();
        uint256 i = tables.indexOfFill(row);
        (OrderTerms make, OrderTerms take) = (maker.terms(), taker.terms());
        if (fill.quantity() == 0) revert IEngine.ZeroQuantity(i);
        if (make.market() != take.market()) revert IEngine.MarketMismatch(i);
        if (make.side() == take.side()) revert IEngine.SameSide(i);
        if (maker.refs().account().isSame(taker.refs().account())) revert IEngine.SelfTrade(i);
        if (make.isImmediate()) revert IEngine.MakerNotResting(i);
        if (taker.progress().isClosed()) revert IEngine.GroupClosed(i);
        if (!row.isBefore(limit)) revert IEngine.GroupTooLarge(i);
        bool isPast = maker.refs().key().isPast(maker) || taker.refs().key().isPast(taker);
        if (isPast) revert IEngine.Superseded(i);
        bool isCrossing = take.isSell() ? take.price() <= make.price() : take.price() >= make.price();
        if (!isCrossing) revert IEngine.NotCrossing(i);
        if (maker.progress().filled() + fill.quantity() > make.quantity()) revert IEngine.Overfill(i, fill.maker());
        revert IEngine.Overfill(i, fill.taker());
    }

    /// @dev Let two orders be filled further.
    function _fill(OrderState maker, OrderState taker, FillWord fill) private {
        (Progress makerBefore, Progress takerBefore) = (maker.progress(), taker.progress());
        maker.setProgress(makerBefore.withFill(fill.quantity()));
        taker.setProgress(takerBefore.withFill(fill.quantity()));
        emit IEngine.Fill(OrderLib.fillId(maker.hash(), taker.hash(), makerBefore.filled(), takerBefore.filled()));
    }

    function _derivativeFill(OrderState maker, OrderState taker, uint256 i, uint256 quantity)
        private
        pure
        returns (DerivativeFill)
    {
        (OrderTerms make, OrderTerms take) = (maker.terms(), taker.terms());
        (OrderTerms buy, OrderTerms sell) = take.isSell() ? (make, take) : (take, make);
        uint256 flags;
        if (buy.isReduceOnly()) flags |= DerivativeFillLib.BUYER_REDUCE_ONLY;
        if (sell.isReduceOnly()) flags |= DerivativeFillLib.SELLER_REDUCE_ONLY;
        if (buy.isForced()) flags |= DerivativeFillLib.BUYER_FORCED;
        if (sell.isForced()) flags |= DerivativeFillLib.SELLER_FORCED;
        return DerivativeFillLib.make(buy.position(), sell.position(), buy.market(), flags, i, make.price(), quantity);
    }

    /// @dev Book a fill of the notional N = quantity * price, which in a cross-quoted market is converted at the rate.
    ///      Each side pays floor(N * fee / 1e4).
    function _move(
        BatchTables memory tables,
        OrderState maker,
        OrderState taker,
        uint256 notional,
        uint256 feeDown,
        uint256 quanta
    ) private pure {
        (OrderRefs make, OrderRefs take) = (maker.refs(), taker.refs());
        (uint256[] memory deltas, uint256[] memory fees) = (tables.usdcDeltas, tables.fees);
        // Quantity, price and rate are below 2^40, 2^56 and 2^64, the fee is at most N / 200, quantity * lotSize is
        // below 2^127 (the registry's rule for maxQuantity) and there are fewer than 2^16 fills: all products stay
        // below 2^160 and all sums below 2^144.
        unchecked {
            int256 direction = _direction(taker.terms());
            int256 paid = direction * int256(notional); // by the maker to the taker
            int256 moved = direction * int256(quanta); // by the taker to the maker
            deltas.addAt(make.account(), -paid - int256(feeDown));
            deltas.addAt(take.account(), paid - int256(feeDown));
            fees.addAt(make.account(), int256(feeDown));
            fees.addAt(take.account(), int256(feeDown));
            make.position().addBase(moved);
            take.position().addBase(-moved);
        }
    }

    /// @dev The group of an IOC or FOK order has ended.
    function _closeGroup(BatchTables memory tables, OrderState order) private pure {
        OrderTerms terms = order.terms();
        Progress progress = order.progress();
        if (terms.isFok() && progress.filled() != terms.quantity()) {
            revert IEngine.FokIncomplete(tables.indexOf(order));
        }
        order.setProgress(progress.close());
    }
}
