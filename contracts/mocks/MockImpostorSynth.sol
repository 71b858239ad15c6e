// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  Test contract that claims to be the synth over a token
/// @notice It answers `underlying()` with the token, with more than an address, or with nothing. For tests only.
contract MockImpostorSynth {
    enum Manner {
        CLAIM,
        ANSWER,
        SILENT
    }

    uint256 private immutable _token;
    Manner private _manner;

    constructor(address token) {
        _token = uint160(token);
    }

    function setAnswer() external {
        _manner = Manner.ANSWER;
    }

    function setSilent() external {
        _manner = Manner.SILENT;
    }

    function underlying() external view returns (uint256) {
        if (_manner == Manner.SILENT) {
            assembly ("memory-safe") {
                return(0, 0)
            }
        }
        return _manner == Manner.CLAIM ? _token : _token | (1 << 160);
    }
}
