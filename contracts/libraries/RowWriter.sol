// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @notice Where the next field of a packed row is written: a pointer into the bytes that RowWriter reserved.
type RowCursor is uint256;

using RowWriter for RowCursor global;

/// @title  Writing packed rows
/// @notice Fields of whole bytes, big-endian, one behind another.
library RowWriter {
    /// @notice Reserve `size` bytes for rows.
    function allocate(uint256 size) internal pure returns (bytes memory rows, RowCursor cursor) {
        rows = new bytes(size);
        assembly ("memory-safe") {
            cursor := add(rows, 0x20)
        }
    }

    /// @notice Write the lower `size` bytes of a value, of which there are 1 to 32, and return where the next is
    ///         written. The field must end within the rows; what is behind it stays as it is.
    function put(RowCursor cursor, uint256 size, uint256 value) internal pure returns (RowCursor next) {
        assembly ("memory-safe") {
            let shift := shl(3, sub(32, size))
            let behind := sub(shl(shift, 1), 1)
            mstore(cursor, or(and(mload(cursor), behind), shl(shift, value)))
            next := add(cursor, size)
        }
    }
}
