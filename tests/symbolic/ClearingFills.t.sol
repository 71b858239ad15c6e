// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Clearinghouse} from "../../contracts/Clearinghouse.sol";
import {DerivativeFill, DerivativeFillLib} from "../../contracts/libraries/DerivativeFill.sol";
import {DerivativeWord, DerivativeWordLib} from "../../contracts/libraries/DerivativeWord.sol";
import {MarketWord, MarketWordLib} from "../../contracts/libraries/MarketWord.sol";

/// @notice A fill in the real Clearinghouse for every quantity, price and fee: what leaves the accounts is in the pool or
///         is a fee. This contract is the Engine, the registry and the oracle.
contract ClearingFillsTest {
    uint8 private constant PERP = 1;
    uint8 private constant OPTION = 3;
    uint32 private constant MARKET = 7;
    address private constant BUYER = address(0xa1);
    address private constant SELLER = address(0xb2);
    uint256 private constant INDEX = 1_000_000;

    Clearinghouse private house;
    DerivativeWord private terms;

    function setUp() external {
        house = new Clearinghouse(address(this), address(0xda), address(this));
    }

    function derivatives(uint32[] calldata ids) external view returns (DerivativeWord[] memory, address[] memory) {
        DerivativeWord[] memory words = new DerivativeWord[](ids.length);
        address[] memory oracles = new address[](ids.length);
        if (ids.length == 1) (words[0], oracles[0]) = (terms, address(this));
        return (words, oracles);
    }

    function latest() external pure returns (uint80, uint256, uint40) {
        return (1, INDEX * 1e12, 1);
    }

    function check_option_fill_conserves(uint40 quantity, uint56 price, uint56 strike, uint8 feeBps) external {
        terms = DerivativeWordLib.pack(0, 0, 0, 0, 0, 0, type(uint40).max, strike, 0, true);
        _check(OPTION, quantity, price, feeBps);
        assert(house.poolOf(MARKET) == uint256(strike) * quantity);
    }

    function check_perpetual_fill_conserves(uint40 quantity, uint56 price, uint8 feeBps) external {
        terms = DerivativeWordLib.pack(1_000, 500, 200, 100, 100, 50_000, 0, 0, 0, false);
        if (!_check(PERP, quantity, price, feeBps)) return;
        (int64 long, int96 longQuote,) = house.positionOf(BUYER, MARKET);
        (int64 short, int96 shortQuote,) = house.positionOf(SELLER, MARKET);
        assert(long == -short);
        assert(int256(uint256(house.poolOf(MARKET))) == int256(longQuote) + shortQuote);
    }

    /// @dev The checks above say something: fills at the index are accepted.
    function check_fills_are_accepted() external {
        terms = DerivativeWordLib.pack(1_000, 500, 200, 100, 100, 50_000, 0, 0, 0, false);
        assert(_check(PERP, 10, INDEX, 50));
    }

    function _check(uint8 kind, uint256 quantity, uint256 price, uint8 feeBps) private returns (bool accepted) {
        uint32[] memory ids = new uint32[](1);
        uint256[] memory words = new uint256[](1);
        uint256[] memory positions = new uint256[](2);
        uint256[] memory fills = new uint256[](1);
        ids[0] = MARKET;
        words[0] = MarketWord.unwrap(MarketWordLib.pack(MARKET, kind, 1, 0, type(uint56).max, 0, 1, 1, 0, 0, false));
        positions[0] = (uint256(uint160(BUYER)) << 96) | (uint256(MARKET) << 64);
        positions[1] = (uint256(uint160(SELLER)) << 96) | (uint256(MARKET) << 64) | 1;
        fills[0] = DerivativeFill.unwrap(DerivativeFillLib.make(0, 1, 0, 0, 0, price, quantity));
        try house.settle(1, feeBps, ids, words, new uint80[](1), positions, fills) returns (
            int256[] memory deltas, uint256[] memory fees, int256 ownDelta, uint256 penalties
        ) {
            assert(deltas[0] + deltas[1] + int256(fees[0] + fees[1]) + ownDelta + int256(penalties) == 0);
            assert(fees[0] == fees[1]);
            return true;
        } catch {
            return false;
        }
    }
}
