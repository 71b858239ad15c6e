// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {MemoryWords} from "../../libraries/MemoryWords.sol";
import {Guards} from "./Guards.sol";

/// @title  MemoryWords beside plain Solidity
/// @notice For tests only.
contract MemoryWordsReference {
    using Guards for uint256[];

    /// @notice Words that were stored in reserved memory, read again, and their hash.
    function keep(uint256[] calldata words)
        external
        pure
        returns (uint256[] memory actual, bytes32 actualHash, bytes32 expectedHash, bool isIntact)
    {
        uint256[] memory before = Guards.make();
        uint256 pointer = MemoryWords.allocate(words.length);
        uint256[] memory behind = Guards.make();
        for (uint256 i; i < words.length; ++i) {
            MemoryWords.store(pointer + i * 32, words[i]);
        }
        isIntact = before.isIntact() && behind.isIntact();
        actualHash = MemoryWords.hash(pointer, words.length);
        expectedHash = keccak256(abi.encodePacked(words));
        actual = new uint256[](words.length);
        for (uint256 i; i < words.length; ++i) {
            actual[i] = MemoryWords.load(pointer + i * 32);
        }
    }

    /// @notice The 32 bytes of `data` from `offset` on.
    function read(bytes calldata data, uint256 offset) external pure returns (uint256 actual, uint256 expected) {
        bytes memory copy = data;
        actual = MemoryWords.load(MemoryWords.start(copy) + offset);
        for (uint256 i; i < 32; ++i) {
            expected = (expected << 8) | uint8(data[offset + i]);
        }
    }
}
