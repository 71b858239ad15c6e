// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  Compact signatures (EIP-2098)
library SignatureLib {
    /// @dev Half of secp256k1's order. An s above it has a twin below it that signs the same (EIP-2). The compact form has
    ///      255 bits for s and so hardly room for such an s; the check makes it none.
    uint256 private constant HIGHEST_S = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;
    uint256 private constant S_MASK = type(uint256).max >> 1;

    /// @notice The signer of `digest`; zero if the signature is malformed or malleable.
    /// @param  vs parity of y in the highest bit, s in the others
    function recover(bytes32 digest, bytes32 r, bytes32 vs) internal pure returns (address) {
        uint256 s = uint256(vs) & S_MASK;
        if (s > HIGHEST_S) return address(0);
        return ecrecover(digest, uint8(27 + (uint256(vs) >> 255)), r, bytes32(s));
    }
}
