// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {DigestPreimage, SignatureLib} from "../../libraries/SignatureLib.sol";
import {Guards} from "./Guards.sol";

/// @title  SignatureLib's digests beside plain Solidity
/// @notice For tests only.
contract SignatureLibReference {
    using Guards for uint256[];

    function digests(bytes32 separator, bytes32[] calldata hashes)
        external
        pure
        returns (bytes32[] memory actual, bytes32[] memory expected, bool isIntact)
    {
        (actual, expected) = (new bytes32[](hashes.length), new bytes32[](hashes.length));
        uint256[] memory before = Guards.make();
        DigestPreimage preimage = SignatureLib.allocatePreimage(separator);
        uint256[] memory behind = Guards.make();
        for (uint256 i; i < hashes.length; ++i) {
            actual[i] = preimage.digest(hashes[i]);
            expected[i] = keccak256(abi.encodePacked(hex"1901", separator, hashes[i]));
        }
        isIntact = before.isIntact() && behind.isIntact();
    }
}
