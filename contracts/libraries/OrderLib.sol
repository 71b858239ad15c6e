// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {IEngine} from "../interfaces/IEngine.sol";
import {OrderTerms} from "./BatchWords.sol";

/// @notice Memory in which orders are hashed one after another: thirteen words, the type hash and the fields of
///         IEngine.Order.
type OrderPreimage is uint256;

using OrderLib for OrderPreimage global;

/// @title  EIP-712 hashes of orders and ids of fills
library OrderLib {
    bytes32 internal constant ORDER_TYPEHASH = keccak256(
        "Order(address account,uint32 market,uint8 side,uint8 timeInForce,bool reduceOnly,uint64 price,uint64 quantity,"
        "uint64 nonce,uint32 epoch,uint64 expiry,uint16 maxFeeBps,uint64 conversionLimit)"
    );
    bytes32 private constant ORDER_ARRAY_TYPEHASH = keccak256(
        "OrderArray(Order[] orders)"
        "Order(address account,uint32 market,uint8 side,uint8 timeInForce,bool reduceOnly,uint64 price,uint64 quantity,"
        "uint64 nonce,uint32 epoch,uint64 expiry,uint16 maxFeeBps,uint64 conversionLimit)"
    );
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant NAME_HASH = keccak256("OrderBookDEX");
    bytes32 private constant VERSION_HASH = keccak256("1");
    uint256 private constant PREIMAGE_SIZE = 13 * 32;

    /// @notice Domain separator of an Engine (of its proxy) on this chain.
    function domainSeparator(address engine) internal view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN_TYPEHASH, NAME_HASH, VERSION_HASH, block.chainid, engine));
    }

    /// @notice EIP-712 struct hash of an order.
    function hash(IEngine.Order calldata order) internal pure returns (bytes32) {
        return keccak256(abi.encode(ORDER_TYPEHASH, order));
    }

    /// @notice EIP-712 struct hash of an OrderArray.
    /// @param  concatenated keccak256 of its orders' struct hashes, one after another
    function arrayHash(bytes32 concatenated) internal pure returns (bytes32) {
        return Hashes.efficientKeccak256(ORDER_ARRAY_TYPEHASH, concatenated);
    }

    /// @notice Reserve memory for the function below, with the type hash in its first word.
    function allocatePreimage() internal pure returns (OrderPreimage preimage) {
        bytes32[] memory words = new bytes32[](PREIMAGE_SIZE / 32);
        words[0] = ORDER_TYPEHASH;
        assembly ("memory-safe") {
            preimage := add(words, 0x20)
        }
    }

    /// @notice The same of an order in a batch.
    function hash(
        OrderPreimage preimage,
        OrderTerms terms,
        address account,
        uint256 market,
        uint32 epoch,
        uint64 conversionLimit
    ) internal pure returns (bytes32 result) {
        uint256 side = terms.side();
        uint256 timeInForce = terms.timeInForce();
        uint256 reduceOnly = terms.reduceOnly();
        uint256 price = terms.price();
        uint256 quantity = terms.quantity();
        uint256 nonce = terms.nonce();
        uint256 expiry = terms.expiry();
        uint256 maxFeeBps = terms.maxFeeBps();
        assembly ("memory-safe") {
            mstore(add(preimage, 0x20), account)
            mstore(add(preimage, 0x40), market)
            mstore(add(preimage, 0x60), side)
            mstore(add(preimage, 0x80), timeInForce)
            mstore(add(preimage, 0xa0), reduceOnly)
            mstore(add(preimage, 0xc0), price)
            mstore(add(preimage, 0xe0), quantity)
            mstore(add(preimage, 0x100), nonce)
            mstore(add(preimage, 0x120), epoch)
            // GTC, whose record has expiry 0, signs 2^64-1.
            mstore(add(preimage, 0x140), or(expiry, mul(iszero(timeInForce), 0xffffffffffffffff)))
            mstore(add(preimage, 0x160), maxFeeBps)
            mstore(add(preimage, 0x180), conversionLimit)
            result := keccak256(preimage, PREIMAGE_SIZE)
        }
    }

    /// @notice keccak256(abi.encode(makerHash, takerHash, makerFilledBefore, takerFilledBefore)).
    /// @dev    Written beyond the free memory pointer and not kept, so that a batch's memory does not grow with its
    ///         fills.
    function fillId(bytes32 makerHash, bytes32 takerHash, uint256 makerFilledBefore, uint256 takerFilledBefore)
        internal
        pure
        returns (bytes32 id)
    {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, makerHash)
            mstore(add(free, 0x20), takerHash)
            mstore(add(free, 0x40), makerFilledBefore)
            mstore(add(free, 0x60), takerFilledBefore)
            id := keccak256(free, 0x80)
        }
    }
}
