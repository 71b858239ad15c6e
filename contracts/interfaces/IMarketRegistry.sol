// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {DerivativeWord} from "../libraries/DerivativeWord.sol";
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
        address synth; // or CXPT
        address underlying; // 0 for CXPT
        uint8 decimals; // = quantityDecimals of its markets
    }

    /// @dev What a kind does not use is zero. strike and cap are in micro-USDC per whole base unit, on a tick, and less
    ///      than 2^56 per lot; maxQuantity times each of them, per lot, is below 2^94.
    ///
    ///      field                  PERP               FUTURE             OPTION
    ///      expiry                 0                  > now              > now
    ///      strike                 0                  0                  > 0
    ///      cap                    0                  0                  call: > strike; put: 0
    ///      isPut                  false              false              either
    ///      maintenanceMarginBps   10 .. 5000         10 .. 5000         0
    ///      initialMarginBps       2 mm .. 10000      2 mm .. 10000      0
    ///      bandBps                1 .. mm - 1        1 .. mm - 1        0
    ///      liquidationFeeBps      0 .. mm            0 .. mm            0
    ///      exitPenaltyBps         1 .. mm - 1        1 .. mm - 1        0
    ///      fundingCap             1 .. 50000         0                  0            (1e-8 per hour; 5 bp at most)
    ///      fundingPeriod          3600 .. 86400      0                  0            (seconds)
    ///
    ///      fundingPeriod is for those who compute the rate: a premium of 1 % costs 1 % per period.
    struct DerivativeParams {
        uint40 expiry; // Unix seconds
        uint64 strike;
        uint64 cap;
        bool isPut;
        uint16 initialMarginBps;
        uint16 maintenanceMarginBps; // mm
        uint16 bandBps;
        uint16 liquidationFeeBps;
        uint16 exitPenaltyBps;
        uint16 fundingCap;
        uint32 fundingPeriod;
    }

    /// @dev Bounds, beyond those named: all numbers are > 0; tickSize * lotSize is a multiple of 10^decimals and the
    ///      quotient, the tick per lot, below 2^32; maxPrice per lot below 2^56; maxQuantity below 2^40; lotSize a
    ///      number below 2^24 times a power of ten; maxQuantity * maxPricePerLot < 2^94; maxQuantity * lotSize < 2^127.
    ///
    ///      A derivative is quoted in USDC and its oracle prices the base asset; a spot market that is quoted in another
    ///      registered asset than its base has an oracle of that quote asset; one that is quoted in USDC has none. An
    ///      oracle must answer `latest()` when the market is created, with a price that is not zero in the market's
    ///      units: an index of 1 micro-USDC per lot and, for perpetuals and futures, of maxPrice at most; a rate of 1
    ///      micro-USDC per quote unit. Prices are per whole base unit: micro-USDC or, cross-quoted, 10^-12 quote units.
    struct MarketParams {
        string symbol; // 1 to 31 characters of A-Z, 0-9 and '-'; never used by another market
        Kind kind;
        uint32 base; // asset id
        uint32 quote; // asset id; 0 = USDC
        uint64 tickSize; // price
        uint128 lotSize; // quanta per lot
        uint64 maxPrice; // price, on a tick
        uint64 maxQuantity; // lots per order
        address oracle;
        DerivativeParams derivative;
    }

    event AssetRegistered(
        uint32 indexed id, address indexed synth, address indexed underlying, uint8 decimals, string symbol
    );
    event MarketCreated(uint32 indexed id, uint32 indexed instrument, MarketParams params);
    /// @dev `statusAt` as `market` answers it from now on.
    event StatusChanged(uint32 indexed id, Status status, uint40 statusAt);
    event GuardianChanged(address indexed guardian);
    event CxptSet(address indexed cxpt);

    error ZeroAddress();
    error NotGuardian(address caller);
    /// @dev `token` is not the synth over what it reports as its underlying; `expected` is, or 0 if it reports none.
    error ForeignSynth(address token, address expected);
    error AssetExists(address synth);
    error UnknownAsset(uint32 id);
    error UnknownMarket(uint32 id);
    /// @dev CXPT is named once.
    error CxptExists(address cxpt);
    /// @dev `field` names the parameter that is out of range or breaks the tick rule.
    error InvalidParameter(string field);
    error InvalidTransition(Status from, Status to);

    /// @notice Accept `synth` as an asset. Owner only. It must be deployed at `predictSynth(its underlying)`, or be CXPT.
    function registerAsset(address synth) external returns (uint32 id);

    /// @notice Open a market, ACTIVE from now on. Owner only.
    function createMarket(MarketParams calldata params) external returns (uint32 id);

    /// @notice Owner: ACTIVE, PAUSED or (finally) CLOSED. Guardian: PAUSED only.
    function setStatus(uint32 id, Status status) external;

    /// @notice Name the one token beside synths that can be an asset. Owner only, once.
    function setCxpt(address cxpt) external;

    /// @notice Name the account that may pause markets. Owner only.
    function setGuardian(address guardian) external;

    function guardian() external view returns (address);

    /// @return CXPT; 0 until it is named
    function cxpt() external view returns (address);

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

    /// @notice The packed words and oracles of these markets. The word is zero if a market is no derivative, the oracle
    ///         if it has none.
    function derivatives(uint32[] calldata ids)
        external
        view
        returns (DerivativeWord[] memory words, address[] memory oracles);

    /// @return the market's oracle: of the base asset of a derivative, of the quote asset of a cross-quoted spot market,
    ///         else 0
    function oracleOf(uint32 id) external view returns (address);

    /// @return Unix seconds of the market's creation, 0 if `id` is not a market
    function createdAt(uint32 id) external view returns (uint40);

    /// @notice The only address at which a synth over `underlying` is accepted.
    function predictSynth(address underlying) external view returns (address);
}
