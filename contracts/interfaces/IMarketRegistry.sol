// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {MarketWord} from "../libraries/MarketWord.sol";

/// @title  Assets and markets
/// @notice Metadata that never changes once set, and each market's status. Assets and markets share one id space, so
///         that an instrument (a spot market's base asset, a derivative's market) has one id. Id 0 is USDC.
interface IMarketRegistry {
    enum Kind {
        SPOT,
        PERP,
        FUTURE,
        OPTION
    }

    enum Status {
        NONE,
        ACTIVE,
        PAUSED,
        CLOSED
    }

    struct Asset {
        address synth;
        address underlying;
        uint8 decimals; // = quantityDecimals of its markets
    }

    /// @dev Bounds, beyond those named: all numbers are > 0; tickSize * lotSize is a multiple of 10^decimals and the
    ///      quotient, micro-USDC per lot, below 2^32; maxPrice per lot below 2^56; maxQuantity below 2^40; lotSize a
    ///      number below 2^24 times a power of ten; maxQuantity * maxPricePerLot < 2^94; maxQuantity * lotSize < 2^127.
    struct MarketParams {
        string symbol; // 1 to 31 characters of A-Z, 0-9 and '-'; never used by another market
        Kind kind;
        uint32 base; // asset id
        uint32 quote; // 0 = USDC
        uint64 tickSize; // micro-USDC per whole base unit
        uint128 lotSize; // quanta per lot
        uint64 maxPrice; // micro-USDC per whole base unit, on a tick
        uint64 maxQuantity; // lots per order
    }

    event AssetRegistered(
        uint32 indexed id, address indexed synth, address indexed underlying, uint8 decimals, string symbol
    );
    event MarketCreated(uint32 indexed id, uint32 indexed instrument, MarketParams params);
    /// @dev `statusAt` as `market` answers it from now on.
    event StatusChanged(uint32 indexed id, Status status, uint40 statusAt);
    event GuardianChanged(address indexed guardian);

    error ZeroAddress();
    error NotGuardian(address caller);
    /// @dev `token` is not the synth over what it reports as its underlying; `expected` is, or 0 if it reports none.
    error ForeignSynth(address token, address expected);
    error AssetExists(address synth);
    error UnknownAsset(uint32 id);
    error UnknownMarket(uint32 id);
    error UnsupportedKind(Kind kind);
    error UnsupportedQuote(uint32 quote);
    /// @dev `field` names the parameter that is out of range or breaks the tick rule.
    error InvalidParameter(string field);
    error InvalidTransition(Status from, Status to);

    /// @notice Accept `synth` as a base asset. Owner only. It must be deployed at `predictSynth(its underlying)`.
    function registerAsset(address synth) external returns (uint32 id);

    /// @notice Open a market, ACTIVE from now on. Owner only.
    function createMarket(MarketParams calldata params) external returns (uint32 id);

    /// @notice Owner: ACTIVE, PAUSED or (finally) CLOSED. Guardian: PAUSED only.
    function setStatus(uint32 id, Status status) external;

    /// @notice Name the account that may pause markets. Owner only.
    function setGuardian(address guardian) external;

    function guardian() external view returns (address);

    /// @return the last id given out, to an asset or a market; 0 at first
    function lastId() external view returns (uint32);

    /// @return the asset; all fields 0 if `id` is not one
    function asset(uint32 id) external view returns (Asset memory);

    /// @return the id of a registered synth, else 0
    function assetId(address synth) external view returns (uint32);

    /// @return params the market as created; status NONE if `id` is not a market
    /// @return status now
    /// @return statusAt Unix seconds since when it is ACTIVE, or since when it is not: closing a paused market keeps
    ///         the time of the pause, because fills are refused from then on
    function market(uint32 id) external view returns (MarketParams memory params, Status status, uint40 statusAt);

    /// @return the id of the market with this symbol, else 0
    function marketId(string calldata symbol) external view returns (uint32);

    /// @notice The packed words that settlement reads; zero for an unknown id.
    function marketWords(uint32[] calldata ids) external view returns (MarketWord[] memory words);

    /// @notice The only address at which a synth over `underlying` is accepted.
    function predictSynth(address underlying) external view returns (address);
}
