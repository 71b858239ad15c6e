// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {MarginLib} from "../../contracts/libraries/MarginLib.sol";

/// @notice Arithmetic of perpetuals and futures over the whole range of its arguments.
/// @dev    Divisions by 10,000 and by a size are beyond the solvers at 256 bits; their rounding is tested against
///         independent formulas at random instead (tests/functional/clearinghouse, tests/unit/domain).
contract MarginMathTest {
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

    /// @dev At most what is open and at most the fill; nothing if the fill has the position's own side.
    function check_closing_never_flips(int64 size, uint40 quantity, bool isSell) external pure {
        uint256 closing = MarginLib.closing(size, quantity, isSell);
        assert(closing <= quantity && closing <= MarginLib.abs(size));
        int256 left = isSell ? int256(size) - int256(closing) : int256(size) + int256(closing);
        assert(size >= 0 ? left >= 0 : left <= 0);
        bool isOpposite = size != 0 && isSell == (size > 0);
        assert(isOpposite ? closing == quantity || left == 0 : closing == 0);
    }

    /// @dev A long's equity moves with the price, a short's against it, lot for lot.
    function check_equity_is_linear(int64 size, int96 quote, uint64 price) external pure {
        int256 step = MarginLib.equity(size, quote, uint256(price) + 1) - MarginLib.equity(size, quote, price);
        assert(step == size);
    }
}
