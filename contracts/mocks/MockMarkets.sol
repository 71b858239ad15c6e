// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {DerivativeWord, DerivativeWordLib} from "../libraries/DerivativeWord.sol";
import {MarketWord, MarketWordLib} from "../libraries/MarketWord.sol";

/// @title  Test registry: the part that the Clearinghouse reads, without the real one's bounds
/// @notice For test networks only.
contract MockMarkets {
    struct Terms {
        uint8 kind;
        uint40 statusAt;
        uint24 lotMantissa;
        uint8 lotExponent;
        uint8 baseDecimals;
        uint16 initialMarginBps;
        uint16 maintenanceMarginBps;
        uint16 bandBps;
        uint16 liquidationFeeBps;
        uint16 exitPenaltyBps;
        uint16 fundingCap;
        uint40 expiry;
        uint56 strikePerLot;
        uint56 capPerLot;
        bool isPut;
    }

    uint32 public lastId;

    mapping(uint32 id => MarketWord) private _words;
    mapping(uint32 id => DerivativeWord) private _derivatives;
    mapping(uint32 id => address) public oracleOf;
    mapping(uint32 id => uint40) public createdAt;

    function create(Terms calldata terms, address oracle) external {
        uint32 id = ++lastId;
        _words[id] = MarketWordLib.pack({
            instrument_: id,
            kind_: terms.kind,
            status_: 1,
            statusAt_: terms.statusAt,
            maxPricePerLot_: type(uint56).max,
            maxQuantity_: type(uint40).max,
            tickPerLot_: 1,
            lotMantissa_: terms.lotMantissa,
            lotExponent_: terms.lotExponent,
            baseDecimals_: terms.baseDecimals,
            isCrossQuoted_: false
        });
        oracleOf[id] = oracle;
        createdAt[id] = uint40(block.timestamp);
        if (terms.kind == 0) return;
        _derivatives[id] = DerivativeWordLib.pack({
            initialMarginBps_: terms.initialMarginBps,
            maintenanceMarginBps_: terms.maintenanceMarginBps,
            bandBps_: terms.bandBps,
            liquidationFeeBps_: terms.liquidationFeeBps,
            exitPenaltyBps_: terms.exitPenaltyBps,
            fundingCap_: terms.fundingCap,
            expiry_: terms.expiry,
            strikePerLot_: terms.strikePerLot,
            capPerLot_: terms.capPerLot,
            isPut_: terms.isPut
        });
    }

    function setStatus(uint32 id, uint8 status) external {
        _words[id] = _words[id].withStatus(status, uint40(block.timestamp));
    }

    function marketWords(uint32[] calldata ids) external view returns (MarketWord[] memory words) {
        words = new MarketWord[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            words[i] = _words[ids[i]];
        }
    }

    function derivatives(uint32[] calldata ids)
        external
        view
        returns (DerivativeWord[] memory words, address[] memory oracles)
    {
        words = new DerivativeWord[](ids.length);
        oracles = new address[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            (words[i], oracles[i]) = (_derivatives[ids[i]], oracleOf[ids[i]]);
        }
    }
}
