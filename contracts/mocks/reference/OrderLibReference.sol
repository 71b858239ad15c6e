// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IEngine} from "../../interfaces/IEngine.sol";
import {OrderTerms, Position} from "../../libraries/BatchWords.sol";
import {OrderLib, OrderPreimage} from "../../libraries/OrderLib.sol";
import {Guards} from "./Guards.sol";

/// @title  OrderLib's hashes beside plain Solidity
/// @notice For tests only.
contract OrderLibReference {
    using Guards for uint256[];

    /// @dev Words as a batch has them: what is not of the order lies beside its fields.
    struct Packed {
        uint256 terms;
        uint256 position;
        uint32 market;
        uint64 limit;
    }

    struct Pair {
        bytes32 maker;
        bytes32 taker;
        uint256 makerFilled;
        uint256 takerFilled;
    }

    /// @notice Hashes of orders one after another in the same memory.
    function hashes(Packed[] calldata orders)
        external
        pure
        returns (bytes32[] memory actual, bytes32[] memory expected, bool isIntact)
    {
        (actual, expected) = (new bytes32[](orders.length), new bytes32[](orders.length));
        uint256[] memory before = Guards.make();
        OrderPreimage preimage = OrderLib.allocatePreimage();
        uint256[] memory behind = Guards.make();
        for (uint256 i; i < orders.length; ++i) {
            Position position = Position.wrap(orders[i].position);
            actual[i] = preimage.hash(
                OrderTerms.wrap(orders[i].terms),
                position.account(),
                orders[i].market,
                position.epoch(),
                orders[i].limit
            );
            expected[i] = keccak256(abi.encode(OrderLib.ORDER_TYPEHASH, _orderOf(orders[i])));
        }
        isIntact = before.isIntact() && behind.isIntact();
    }

    function fillIds(Pair[] calldata pairs)
        external
        pure
        returns (bytes32[] memory actual, bytes32[] memory expected, bool isIntact)
    {
        (actual, expected) = (new bytes32[](pairs.length), new bytes32[](pairs.length));
        uint256[] memory before = Guards.make();
        for (uint256 i; i < pairs.length; ++i) {
            Pair calldata pair = pairs[i];
            actual[i] = OrderLib.fillId(pair.maker, pair.taker, pair.makerFilled, pair.takerFilled);
            expected[i] = keccak256(abi.encode(pair));
        }
        isIntact = before.isIntact();
    }

    /// @dev The fields at the bits that BatchWords draws.
    function _orderOf(Packed calldata packed) private pure returns (IEngine.Order memory order) {
        uint256 terms = packed.terms;
        order.account = address(uint160(packed.position >> 96));
        order.market = packed.market;
        order.side = uint8((terms >> 216) % 2);
        order.timeInForce = uint8((terms >> 217) % 4);
        order.reduceOnly = (terms >> 219) % 2 == 1;
        order.price = uint64((terms >> 96) % 2 ** 56);
        order.quantity = uint64((terms >> 56) % 2 ** 40);
        order.nonce = uint64((terms >> 152) % 2 ** 64);
        order.epoch = uint32((packed.position >> 32) % 2 ** 32);
        order.expiry = uint64((terms >> 16) % 2 ** 40);
        if (order.timeInForce == 0) order.expiry = type(uint64).max;
        order.maxFeeBps = uint16(terms % 2 ** 16);
        order.conversionLimit = packed.limit;
    }
}
