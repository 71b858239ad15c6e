// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IEngine} from "./IEngine.sol";

/// @title  Writer of packed batches
interface IBatchPacker {
    /// @notice Write a readable batch in packed form; see IEngine for both.
    /// @dev    Only what the packed form cannot express is refused: MalformedBatch, Overfill and InvalidAbsentMask.
    function pack(IEngine.Batch calldata batch) external pure returns (bytes memory packed);
}
