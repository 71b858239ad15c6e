// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {IClearinghouse} from "../interfaces/IClearinghouse.sol";
import {ClearingKeyLib, ClearingNotice} from "../libraries/ClearingWords.sol";
import {MarginLib} from "../libraries/MarginLib.sol";
import {ClearingStorage} from "./ClearingStorage.sol";

/// @title  Clearinghouse: flags, takeover by the fund, deleveraging
abstract contract ClearingRisk is ClearingStorage {
    /// @dev The fund's position after it has taken another one over, in memory.
    struct Merger {
        int256 size;
        int256 quote; // with the top-up
        int256 topUp; // what the fund's account puts in; negative: takes out
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Flags
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IClearinghouse
    function flag(address account, uint32 id) external {
        Market memory market = _loadOpen(id);
        (uint40 flagged, uint40 time) = _flagOf(account, id);
        if (flagged != 0) revert AlreadyFlagged(flagged);
        _loadDue(market, account);

        ClearingNotice notice = _notice(account, id);
        _setNotice(market, ClearingKeyLib.make(account, id), notice, notice.withFlag(time));
        _storePool(market);
        emit Flagged(account, id, time);
    }

    /// @inheritdoc IClearinghouse
    function unflag(address account, uint32 id) external {
        Market memory market = _loadOpen(id);
        _checkedFlag(account, id);
        // A flag ends with its position, so there is one.
        (int256 size, int256 quote) = _loadSized(market, account);
        (int256 equity_, int256 maintenance) = _health(market, size, quote);
        if (equity_ < maintenance) revert Unhealthy(equity_, uint256(maintenance));

        ClearingNotice notice = _notice(account, id);
        _setNotice(market, ClearingKeyLib.make(account, id), notice, notice.withFlag(0));
        _storePool(market);
    }

    /// @dev Whoever is not the operator, or lacks its condition, needs a flag that is a window old, and a day older at
    ///      most.
    function _checkFlag(address account, uint32 id) private view {
        (uint40 flagged, uint40 time) = _checkedFlag(account, id);
        _checkAge(flagged, WINDOW, time);
    }

    /// @dev The flag, which must count, and the Engine's clock.
    function _checkedFlag(address account, uint32 id) private view returns (uint40 flagged, uint40 time) {
        (flagged, time) = _flagOf(account, id);
        if (flagged == 0) revert NotFlagged();
    }

    /// @dev A position that is below maintenance.
    function _loadDue(Market memory market, address account)
        private
        view
        returns (int256 size, int256 quote, int256 equity_, int256 maintenance)
    {
        (size, quote) = _loadSized(market, account);
        (equity_, maintenance) = _health(market, size, quote);
        if (equity_ >= maintenance) revert Healthy(equity_, uint256(maintenance));
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Takeover
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IClearinghouse
    function takeOver(address account, uint32 id) external {
        Market memory market = _loadOpen(id);
        if (account == FUND) revert FundAccount();
        (int256 size, int256 quote, int256 equity_, int256 maintenance) = _loadDue(market, account);
        if (2 * equity_ >= maintenance || !_isOperator()) _checkFlag(account, id);

        Merger memory merger = _merge(market, size, quote);
        _checkFund(merger.topUp, int256(_fundBalance()));
        emit TakenOver(account, id, int64(size), SafeCast.toInt96(quote), merger.topUp);
        _absorb(market, account, merger);
        _move(account, 0, -merger.topUp);
    }

    /// @dev What the fund's position becomes with (size, quote) added, and what its account must put in for E(I) >= MM.
    ///      If nothing is open afterwards, it takes its quote out, as far as the pool has it.
    function _merge(Market memory market, int256 size, int256 quote) internal view returns (Merger memory merger) {
        (int256 fundSize, int256 fundQuote) = _loadPosition(market, ClearingKeyLib.make(FUND, market.id));
        merger.size = fundSize + size;
        merger.quote = fundQuote + quote;
        (int256 equity_, int256 maintenance) = _health(market, merger.size, merger.quote);
        int256 missing = maintenance - equity_;
        if (missing > 0) {
            merger.topUp = missing;
        } else if (merger.size == 0) {
            merger.topUp = -SignedMath.min(-missing, SignedMath.max(market.pool, 0));
        }
        merger.quote += merger.topUp;
    }

    function _checkFund(int256 topUp, int256 held) internal pure {
        if (topUp > held) revert FundShort(uint256(topUp), uint256(held));
    }

    /// @dev Give the fund a position that `account` then no longer has.
    function _absorb(Market memory market, address account, Merger memory merger) internal {
        market.pool += merger.topUp;
        _storePosition(market, account, 0, 0);
        _storePosition(market, FUND, merger.size, merger.quote);
        _endNotice(market, ClearingKeyLib.make(account, market.id));
        if (merger.size == 0) _endNotice(market, ClearingKeyLib.make(FUND, market.id));
        _storePool(market);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Deleveraging
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IClearinghouse
    function deleverage(address loser, address winner, uint32 id, uint256 quantity) external {
        Market memory market = _loadOpen(id);
        (int256 size, int256 quote) = _loadSized(market, loser);
        int256 equity_ = _equity(market, size, quote);
        if (equity_ > 0) revert Solvent(equity_);
        if (!_isOperator()) _checkFlag(loser, id);
        _checkFundShort(market, loser, size, quote);

        (int256 otherSize, int256 otherQuote) = _loadPosition(market, ClearingKeyLib.make(winner, id));
        if (size > 0 ? otherSize >= 0 : otherSize <= 0) revert NotOpposite();
        uint256 highest = Math.min(MarginLib.abs(size), MarginLib.abs(otherSize));
        if (quantity == 0 || quantity > highest) revert InvalidQuantity(quantity, highest);

        int256 credit = _shrink(market, loser, size, quote, quantity)
            + _shrink(market, winner, otherSize, otherQuote, quantity);
        if (credit < 0) revert CreditNegative(credit);
        if (credit > market.pool) revert PoolShort(uint256(credit), uint256(market.pool));
        market.pool -= credit;
        _storePool(market);
        emit Deleveraged(loser, winner, id, quantity, uint256(credit));
        _move(winner, winner == FUND ? int256(0) : credit, winner == FUND ? credit : int256(0));
    }

    /// @dev Deleveraging is for what the fund cannot take over, or cannot keep.
    function _checkFundShort(Market memory market, address loser, int256 size, int256 quote) private view {
        if (loser == FUND) (size, quote) = (0, 0); // it has the position already
        int256 required = _merge(market, size, quote).topUp;
        int256 held = int256(_fundBalance());
        if (required <= held) revert FundSuffices(uint256(SignedMath.max(required, 0)), uint256(held));
    }

    /// @dev Close `quantity` lots of a position.
    /// @return share of its quote
    function _shrink(Market memory market, address account, int256 size, int256 quote, uint256 quantity)
        private
        returns (int256 share)
    {
        share = MarginLib.shareDown(quote, quantity, size);
        size += size > 0 ? -int256(quantity) : int256(quantity);
        _storePosition(market, account, size, quote - share);
        if (size == 0) _endNotice(market, ClearingKeyLib.make(account, market.id));
    }
}
