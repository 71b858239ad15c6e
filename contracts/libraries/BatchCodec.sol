// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IEngine} from "../interfaces/IEngine.sol";
import {BatchTables} from "./BatchTables.sol";
import {MemoryWords} from "./MemoryWords.sol";

/// @title  The packed form of a batch
/// @notice A packed batch in memory is what settlement reads. Only its length is checked here; what the rows say is
///         checked by the Engine.
library BatchCodec {
    uint256 private constant HEADER_SIZE = 27;

    /// @notice Point to a packed batch's rows and reserve the tables for them.
    /// @dev    A row is read with the 32 bytes from its beginning, which may lie beyond the end of `packed`, but never
    ///         beyond the tables that are reserved behind it.
    function open(bytes memory packed) internal view returns (BatchTables memory tables) {
        if (packed.length < HEADER_SIZE) revert IEngine.MalformedBatch(HEADER_SIZE);
        uint256 start = MemoryWords.start(packed);
        uint256 header = MemoryWords.load(start);
        tables.number = uint48(header >> 208);
        tables.matchedAt = uint40(header >> 168);
        tables.accountCount = uint16(header >> 152);
        tables.marketCount = uint16(header >> 136);
        tables.positionCount = uint16(header >> 120);
        tables.groupCount = uint16(header >> 104);
        tables.absentCount = uint16(header >> 88);
        tables.orderCount = uint16(header >> 72);
        tables.limitCount = uint16(header >> 56);
        tables.fillCount = uint16(header >> 40);

        uint256 length = tables.locate(start + HEADER_SIZE) - start;
        if (packed.length != length) revert IEngine.MalformedBatch(length);
        tables.allocate();
    }
}
