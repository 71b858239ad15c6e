// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IEngine} from "../interfaces/IEngine.sol";
import {BatchTables, OrderState} from "./BatchTables.sol";
import {FillWord, MarketTerms, OrderTerms} from "./BatchWords.sol";
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

    /// @notice Apply all fills. A group is the run of fills of one IOC or FOK taker; it ends before the first check of
    ///         the next taker's fill, or with the batch.
    /// @param  fee basis points of the notional per side
    function applyAll(BatchTables memory tables, uint256 fee) internal {
        OrderState group = NO_GROUP; // the IOC or FOK order whose group is open
        uint256 groupFills;
        uint256 fees; // micro-USDC, of spot fills
        uint256 count = tables.fillCount;
        for (uint256 i; i < count; ++i) {
            FillWord fill = tables.fill(i);
            OrderState taker = tables.order(fill.taker());
            if (Bools.both(!_same(group, NO_GROUP), !_same(group, taker))) {
                _closeGroup(tables, group);
                (group, groupFills) = (NO_GROUP, 0);
            }
            // Until the next check has passed, `taker` may point beyond the table.
            bool isInside = Bools.both(fill.maker() < tables.orderCount, fill.taker() < tables.orderCount);
            if (!isInside) revert IEngine.IndexOutOfRange(IEngine.Table.FILLS, i);
            OrderState maker = tables.order(fill.maker());
            _checkPair(maker, taker, fill, i);
            if (taker.terms().isImmediate()) {
                group = taker;
                if (++groupFills > MAX_GROUP_FILLS) revert IEngine.GroupTooLarge(i);
            }
            if (!maker.claimKey()) revert IEngine.Superseded(i);
            if (!taker.claimKey()) revert IEngine.Superseded(i);
            // The sum is exact: 2^16 fills with a fee below 2^95 each.
            unchecked {
                fees += _apply(tables, maker, taker, fill, i, fee);
            }
        }
        tables.usdcDeltas.add(tables.accountCount, int256(fees));
        if (!_same(group, NO_GROUP)) _closeGroup(tables, group);
    }

    function _checkPair(OrderState maker, OrderState taker, FillWord fill, uint256 i) private pure {
        (OrderTerms make, OrderTerms take) = (maker.terms(), taker.terms());
        bool isPair = Bools.both(make.isOpposite(take), maker.account() != taker.account());
        bool isDone = Bools.either(make.isImmediate(), taker.isClosed());
        bool isValid = Bools.both(Bools.both(isPair, fill.quantity() != 0), !isDone);
        if (!isValid) _refusePair(maker, taker, fill, i);
    }

    /// @dev Say what is wrong with a pair.
    function _refusePair(OrderState maker, OrderState taker, FillWord fill, uint256 i) private pure {
        (OrderTerms make, OrderTerms take) = (maker.terms(), taker.terms());
        if (fill.quantity() == 0) revert IEngine.ZeroQuantity(i);
        if (make.market() != take.market()) revert IEngine.MarketMismatch(i);
        if (make.side() == take.side()) revert IEngine.SameSide(i);
        if (maker.account() == taker.account()) revert IEngine.SelfTrade(i);
        if (make.isImmediate()) revert IEngine.MakerNotResting(i);
        revert IEngine.GroupClosed(i);
    }

    /// @dev Trade `fill.quantity()` lots at the maker's price.
    /// @return fees of both sides in micro-USDC; a derivative's are the Clearinghouse's to take
    function _apply(
        BatchTables memory tables,
        OrderState maker,
        OrderState taker,
        FillWord fill,
        uint256 i,
        uint256 fee
    ) private returns (uint256 fees) {
        (OrderTerms make, OrderTerms take) = (maker.terms(), taker.terms());
        uint256 quantity = fill.quantity();
        uint256 price = make.price();
        if (take.isSell() ? take.price() > price : take.price() < price) revert IEngine.NotCrossing(i);

        (uint256 makerFilled, uint256 takerFilled) = (maker.filled(), taker.filled());
        // What is filled and the quantity of a fill are below 2^64.
        unchecked {
            if (makerFilled + quantity > make.quantity()) revert IEngine.Overfill(i, fill.maker());
            if (takerFilled + quantity > take.quantity()) revert IEngine.Overfill(i, fill.taker());
            maker.use(uint64(makerFilled + quantity));
            taker.use(uint64(takerFilled + quantity));
        }
        (OrderState buyer, OrderState seller) = take.isSell() ? (maker, taker) : (taker, maker);
        MarketTerms marketTerms = tables.termsOf(make.market());
        if (marketTerms.isDerivative()) {
            tables.push(_derivativeFill(buyer.terms(), seller.terms(), i, price, quantity));
        } else {
            fees = _move(tables, marketTerms, buyer, seller, quantity, price, fee);
        }
        emit IEngine.Fill(OrderLib.fillId(maker.hash(), taker.hash(), makerFilled, takerFilled));
    }

    /// @dev The Clearinghouse books this one.
    function _derivativeFill(OrderTerms buy, OrderTerms sell, uint256 i, uint256 price, uint256 quantity)
        private
        pure
        returns (DerivativeFill)
    {
        uint256 flags;
        if (buy.isReduceOnly()) flags |= DerivativeFillLib.BUYER_REDUCE_ONLY;
        if (sell.isReduceOnly()) flags |= DerivativeFillLib.SELLER_REDUCE_ONLY;
        if (buy.isForced()) flags |= DerivativeFillLib.BUYER_FORCED;
        if (sell.isForced()) flags |= DerivativeFillLib.SELLER_FORCED;
        return DerivativeFillLib.make(buy.position(), sell.position(), buy.market(), flags, i, price, quantity);
    }

    /// @dev Book one fill: N = quantity * price, in a cross-quoted market converted at the rate, and each side pays
    ///      floor(N * fee / 1e4).
    function _move(
        BatchTables memory tables,
        MarketTerms marketTerms,
        OrderState buyer,
        OrderState seller,
        uint256 quantity,
        uint256 price,
        uint256 fee
    ) private pure returns (uint256 fees) {
        // Quantity, price and rate are below 2^40, 2^56 and 2^64, the fee is at most N / 200, quantity * lotSize is below
        // 2^127 (the registry's rule for maxQuantity) and there are fewer than 2^16 fills: all products stay below
        // 2^160 and all sums below 2^144.
        unchecked {
            uint256 notional = quantity * price;
            uint256 rate = marketTerms.rate();
            if (rate != 0) notional = notional * rate / RATE_SCALE;
            uint256 feeDown = notional * fee / BPS;
            uint256 quanta = quantity * marketTerms.lotSize();
            tables.usdcDeltas.add(buyer.account(), -int256(notional + feeDown));
            tables.usdcDeltas.add(seller.account(), int256(notional - feeDown));
            tables.fees.addToBoth(buyer.account(), seller.account(), feeDown);
            tables.baseDeltas.move(seller.terms().position(), buyer.terms().position(), quanta);
            return 2 * feeDown;
        }
    }

    /// @dev The group of an IOC or FOK order has ended.
    function _closeGroup(BatchTables memory tables, OrderState order) private pure {
        OrderTerms terms = order.terms();
        if (terms.isFok() && order.filled() != terms.quantity()) revert IEngine.FokIncomplete(tables.indexOf(order));
        order.close();
    }

    function _same(OrderState a, OrderState b) private pure returns (bool) {
        return OrderState.unwrap(a) == OrderState.unwrap(b);
    }
}
