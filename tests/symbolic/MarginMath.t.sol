// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {MarginLib} from "../../contracts/libraries/MarginLib.sol";

/// @notice Roundings of perpetuals and futures: against the account, by less than one unit.
/// @dev    Where two unknowns are multiplied and divided, solvers need narrower numbers than the contracts allow; the
///         shifts, divisors and comparisons are the contract's own.
contract MarginMathTest {
    uint256 private constant BPS = 10_000;

    /// @dev ceil(size * move / 2^32), over the whole range of both.
    function check_funding_rounds_against_the_account(int64 size, int96 move) external pure {
        int256 paid = MarginLib.fundingUp(size, move);
        int256 exact = int256(size) * move; // times 2^32
        assert(paid << 32 >= exact);
        assert((paid - 1) << 32 < exact);
    }

    /// @dev What two opposite positions pay together is never negative.
    function check_funding_leaves_the_pool_whole(int64 size, int96 move) external pure {
        assert(MarginLib.fundingUp(size, move) + MarginLib.fundingUp(-int256(size), move) >= 0);
    }

    function check_share_is_rounded_down(int8 quote, uint8 quantity, int8 size) external pure {
        uint256 lots = MarginLib.abs(size);
        if (size == 0 || quantity > lots) return;
        int256 share = MarginLib.shareDown(quote, quantity, size);
        assert(share * int256(lots) <= int256(quote) * int256(uint256(quantity)));
        assert((share + 1) * int256(lots) > int256(quote) * int256(uint256(quantity)));
    }

    /// @dev Closing everything takes the whole quote, so a closed position keeps nothing.
    function check_share_of_everything_is_the_quote(int16 quote, int8 size) external pure {
        if (size == 0) return;
        assert(MarginLib.shareDown(quote, MarginLib.abs(size), size) == quote);
    }

    /// @dev At most what is open and at most the fill; nothing if the fill has the position's own side.
    function check_closing_never_flips(int64 size, uint40 quantity, bool isSell) external pure {
        uint256 closing = MarginLib.closing(size, quantity, isSell);
        assert(closing <= quantity && closing <= MarginLib.abs(size));
        int256 left = isSell ? int256(size) - int256(closing) : int256(size) + int256(closing);
        assert(size >= 0 ? left >= 0 : left <= 0);
        bool isOpposite = size != 0 && isSell == (size > 0);
        assert(isOpposite ? closing == quantity || left == 0 : closing == 0);
    }

    function check_margins_round_against_the_account(uint24 notional, uint8 bps) external pure {
        uint256 exact = uint256(notional) * bps; // times 1e4
        uint256 down = MarginLib.bpsDown(notional, bps);
        uint256 up = MarginLib.bpsUp(notional, bps);
        assert(down * BPS <= exact && exact < (down + 1) * BPS);
        assert(up * BPS >= exact && (up == 0 || (up - 1) * BPS < exact));
    }

    function check_fee_never_exceeds_half_a_percent(uint16 quantity, uint16 price, uint8 bps) external pure {
        if (bps > 50) return;
        uint256 notional = uint256(quantity) * price;
        assert(MarginLib.bpsDown(notional, bps) <= notional / 200);
    }

    /// @dev A larger notional never needs less maintenance margin.
    function check_maintenance_grows_with_the_notional(uint24 notional, uint24 more, uint8 bps) external pure {
        assert(MarginLib.bpsUp(uint256(notional) + more, bps) >= MarginLib.bpsUp(notional, bps));
    }

    /// @dev A long's equity moves with the price, a short's against it, lot for lot.
    function check_equity_is_linear(int64 size, int96 quote, uint64 price) external pure {
        int256 step = MarginLib.equity(size, quote, uint256(price) + 1) - MarginLib.equity(size, quote, price);
        assert(step == size);
    }
}
