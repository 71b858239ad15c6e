// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {IClearinghouse} from "../interfaces/IClearinghouse.sol";
import {ClearingKeyLib, ClearingNotice} from "../libraries/ClearingWords.sol";
import {MarginLib} from "../libraries/MarginLib.sol";
import {ClearingExpiry} from "./ClearingExpiry.sol";
import {ClearingRisk} from "./ClearingRisk.sol";

/// @title  Clearinghouse: leaving a market without the operator
abstract contract ClearingExit is ClearingRisk, ClearingExpiry {
    /// @dev Seconds of the Engine's clock after which an exit that cannot be performed expires the market.
    uint40 private constant UNSERVED_AFTER = 24 hours;

    /// @dev An exit in memory.
    struct Exit {
        int256 size;
        int256 quote; // that goes to the fund
        int256 paid;
        Merger merger;
        int256 held; // by the fund's account
        int256 poolAfter;
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Requests
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IClearinghouse
    function requestExit(uint32 id) external {
        Market memory market = _loadOpen(id);
        _loadSized(market, msg.sender);
        ClearingNotice notice = _notice(msg.sender, id);
        uint40 time = _clock();
        _setNotice(market, ClearingKeyLib.make(msg.sender, id), notice, notice.withExit(time, 0));
        _storePool(market);
        emit ExitRequested(msg.sender, id, time);
    }

    /// @inheritdoc IClearinghouse
    function cancelExit(uint32 id) external {
        Market memory market; // whose count of notices does not change
        ClearingNotice notice = _notice(msg.sender, id);
        (uint40 requestedAt, uint40 time) = _exitOf(msg.sender, id);
        if (requestedAt == 0 || notice.exitEndsAt() != 0) revert NoExitRequest();
        uint40 endsAt = time + WINDOW;
        _setNotice(market, ClearingKeyLib.make(msg.sender, id), notice, notice.withExit(requestedAt, endsAt));
        emit ExitCanceled(msg.sender, id, endsAt);
    }

    /// @dev Whether an exit was requested at least so long ago.
    function _checkRequest(address account, uint32 id, uint40 age) private view {
        (uint40 requestedAt, uint40 time) = _exitOf(account, id);
        if (requestedAt == 0) revert NoExitRequest();
        _checkAge(requestedAt, age, time);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Exits
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IClearinghouse
    function exit(address account, uint32 id) external {
        Market memory market = _loadOpen(id);
        _checkRequest(account, id, WINDOW);
        Exit memory exit_ = _prepareExit(market, account);
        _checkFund(exit_.merger.topUp, exit_.held);
        if (exit_.poolAfter < 0) revert PoolShort(uint256(exit_.paid), uint256(exit_.poolAfter + exit_.paid));
        _performExit(market, account, exit_);
    }

    /// @inheritdoc IClearinghouse
    function expireUnserved(address account, uint32 id) external {
        Market memory market = _loadOpen(id);
        _checkRequest(account, id, UNSERVED_AFTER);
        Exit memory exit_ = _prepareExit(market, account);
        if (exit_.merger.topUp > exit_.held || exit_.poolAfter < 0) {
            _expire(market, _latestIndex(market), Expiry.UNSERVED_EXIT);
        } else {
            _performExit(market, account, exit_);
        }
    }

    /// @dev What the account gets, and what the fund gets and puts in.
    function _prepareExit(Market memory market, address account) private view returns (Exit memory exit_) {
        (int256 size, int256 quote) = _loadSized(market, account);
        uint256 notional = MarginLib.abs(size) * _latestIndex(market);
        // The cast is exact: a penalty is below 2^145.
        int256 penalty = int256(MarginLib.bpsUp(notional, market.terms.exitPenaltyBps()));
        exit_.paid = SignedMath.max(_equity(market, size, quote) - penalty, 0);
        (exit_.size, exit_.quote) = (size, quote - exit_.paid);
        exit_.held = int256(_fundBalance());
        market.pool -= exit_.paid;
        exit_.merger = _merge(market, exit_.size, exit_.quote);
        exit_.poolAfter = market.pool + exit_.merger.topUp;
    }

    function _performExit(Market memory market, address account, Exit memory exit_) private {
        int256 topUp = exit_.merger.topUp;
        emit Exited(account, market.id, int64(exit_.size), SafeCast.toInt96(exit_.quote), uint256(exit_.paid), topUp);
        _absorb(market, account, exit_.merger);
        _move(account, exit_.paid, -topUp);
    }
}
