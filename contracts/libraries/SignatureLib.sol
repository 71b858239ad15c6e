// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @notice Memory in which digests are made one after another: the 66 bytes 0x1901, domain separator, struct hash.
type DigestPreimage is uint256;

using SignatureLib for DigestPreimage global;

/// @title  Compact signatures (EIP-2098)
library SignatureLib {
    /// @dev Half of secp256k1's order. An s above it has a twin below it that signs the same (EIP-2). The compact form has
    ///      255 bits for s and so hardly room for such an s; the check makes it none.
    uint256 private constant HIGHEST_S = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;
    uint256 private constant S_MASK = type(uint256).max >> 1;

    /// @notice Reserve memory for the function below.
    function allocatePreimage(bytes32 domainSeparator) internal pure returns (DigestPreimage preimage) {
        bytes memory data = abi.encodePacked(hex"1901", domainSeparator, bytes32(0));
        assembly ("memory-safe") {
            preimage := add(data, 0x20)
        }
    }

    /// @notice EIP-712 digest of a struct hash.
    function digest(DigestPreimage preimage, bytes32 structHash) internal pure returns (bytes32 result) {
        assembly ("memory-safe") {
            mstore(add(preimage, 0x22), structHash)
            result := keccak256(preimage, 0x42)
        }
    }

    /// @notice The signer of `digest_`; zero if the signature is malformed or malleable.
    /// @param  vs parity of y in the highest bit, s in the others
    function recover(bytes32 digest_, bytes32 r, bytes32 vs) internal pure returns (address) {
        uint256 s = uint256(vs) & S_MASK;
        if (s > HIGHEST_S) return address(0);
        return ecrecover(digest_, uint8(27 + (uint256(vs) >> 255)), r, bytes32(s));
    }
}
