// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {OrderTerms} from "../libraries/BatchWords.sol";

/// @title  Test door to a library: fields of an order's first word
/// @notice For test networks only.
contract MockOrderTerms {
    function isOpposite(OrderTerms terms, OrderTerms other) external pure returns (bool) {
        return terms.unlike(other) == 0;
    }
}
