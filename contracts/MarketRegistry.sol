// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {Create2} from "@openzeppelin/contracts/utils/Create2.sol";
import {IMarketRegistry} from "./interfaces/IMarketRegistry.sol";
import {IPriceOracle} from "./interfaces/IPriceOracle.sol";
import {ISynth} from "./interfaces/ISynth.sol";
import {DerivativeWord, DerivativeWordLib} from "./libraries/DerivativeWord.sol";
import {MarketWord, MarketWordLib} from "./libraries/MarketWord.sol";
import {SynthERC20} from "./SynthERC20.sol";

/// @title  MarketRegistry
/// @notice Assets, markets and their status; see IMarketRegistry. It cannot be upgraded: what is set once stays.
contract MarketRegistry is Ownable2Step, IMarketRegistry {
    // ---------------------------------------------------------------------------------------------------------------
    // Constants
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev The canonical CREATE2 deployer, at the same address on every chain, and the salt that synths use.
    address private constant CREATE2_DEPLOYER = 0x4e59b44847b379578588920cA78FbF26c0B4956C;
    bytes32 private constant SYNTH_SALT = 0;

    /// @dev Beyond this, 128 bits of quanta hold too few whole units to trade.
    uint8 private constant MAX_DECIMALS = 24;
    uint256 private constant MAX_SYMBOL_LENGTH = 31;

    /// @dev Exclusive bounds of an order's notional in micro-USDC and of its quantity in quanta.
    uint256 private constant NOTIONAL_LIMIT = 1 << 94;
    uint256 private constant QUANTA_LIMIT = 1 << 127;

    /// @dev Bounds of margins in basis points, of the funding rate in 1e-8 per hour and of its period in seconds.
    uint256 private constant MIN_MAINTENANCE_BPS = 10;
    uint256 private constant MAX_MAINTENANCE_BPS = 5_000;
    uint256 private constant MAX_INITIAL_BPS = 10_000;
    uint256 private constant MAX_FUNDING_CAP = 50_000;
    uint256 private constant MIN_FUNDING_PERIOD = 1 hours;
    uint256 private constant MAX_FUNDING_PERIOD = 1 days;

    /// @dev From a price with 18 decimals to micro-USDC per whole unit.
    uint256 private constant PRICE_SCALE = 1e12;

    // ---------------------------------------------------------------------------------------------------------------
    // Storage
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev What a market is created with and batches do not read.
    struct Origin {
        address oracle;
        uint40 createdAt; // Unix seconds
    }

    /// @inheritdoc IMarketRegistry
    address public override guardian;

    /// @inheritdoc IMarketRegistry
    address public override cxpt;

    /// @inheritdoc IMarketRegistry
    uint32 public override lastId;

    /// @inheritdoc IMarketRegistry
    mapping(address synth => uint32 id) public override assetId;

    mapping(uint32 id => Origin) private _origins;
    mapping(uint32 id => Asset) private _assets;
    mapping(uint32 id => MarketWord) private _words;
    mapping(uint32 id => DerivativeWord) private _derivatives;
    mapping(uint32 id => MarketParams) private _markets;
    mapping(string symbol => uint32 id) private _marketIds;

    // ---------------------------------------------------------------------------------------------------------------
    // Construction and roles
    // ---------------------------------------------------------------------------------------------------------------

    constructor(address owner_, address guardian_) Ownable(owner_) {
        _setGuardian(guardian_);
    }

    /// @inheritdoc IMarketRegistry
    function setGuardian(address guardian_) external onlyOwner {
        _setGuardian(guardian_);
    }

    /// @inheritdoc IMarketRegistry
    function setCxpt(address cxpt_) external onlyOwner {
        if (cxpt_ == address(0)) revert ZeroAddress();
        if (cxpt != address(0)) revert CxptExists(cxpt);
        cxpt = cxpt_;
        emit CxptSet(cxpt_);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Assets and markets
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IMarketRegistry
    function registerAsset(address synth) external onlyOwner returns (uint32 id) {
        bool isCxpt = synth == cxpt && synth != address(0);
        address underlying = isCxpt ? address(0) : _checkedUnderlying(synth);
        if (assetId[synth] != 0) revert AssetExists(synth);
        uint8 decimals = IERC20Metadata(synth).decimals();
        if (decimals > MAX_DECIMALS) revert InvalidParameter("decimals");

        id = ++lastId;
        assetId[synth] = id;
        _assets[id] = Asset(synth, underlying, decimals);
        emit AssetRegistered(id, synth, underlying, decimals, IERC20Metadata(synth).symbol());
    }

    /// @inheritdoc IMarketRegistry
    function createMarket(MarketParams calldata params) external onlyOwner returns (uint32 id) {
        Asset storage base = _assets[params.base];
        if (base.synth == address(0)) revert UnknownAsset(params.base);
        _checkQuote(params);
        _checkSymbol(params.symbol);

        id = ++lastId;
        uint32 instrument = params.kind == Kind.SPOT ? params.base : id;
        MarketWord word = _wordOf(params, base.decimals, instrument);
        DerivativeWord derivative = _derivativeOf(params, 10 ** base.decimals);
        _checkOracle(params, word);

        _words[id] = word;
        _derivatives[id] = derivative;
        _origins[id] = Origin(params.oracle, uint40(block.timestamp));
        _markets[id] = params;
        _marketIds[params.symbol] = id;
        emit MarketCreated(id, instrument, params);
        emit StatusChanged(id, Status.ACTIVE, word.statusAt());
    }

    /// @inheritdoc IMarketRegistry
    function setStatus(uint32 id, Status status) external {
        if (msg.sender != owner()) {
            if (status != Status.PAUSED) revert OwnableUnauthorizedAccount(msg.sender);
            if (msg.sender != guardian) revert NotGuardian(msg.sender);
        }
        MarketWord word = _words[id];
        Status from = Status(word.status());
        if (from == Status.NONE) revert UnknownMarket(id);
        if (from == Status.CLOSED || status == Status.NONE || status == from) revert InvalidTransition(from, status);

        bool staysInactive = from == Status.PAUSED && status == Status.CLOSED;
        uint40 statusAt = staysInactive ? word.statusAt() : uint40(block.timestamp);
        _words[id] = word.withStatus(uint8(status), statusAt);
        emit StatusChanged(id, status, statusAt);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Views
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IMarketRegistry
    function asset(uint32 id) external view returns (Asset memory) {
        return _assets[id];
    }

    /// @inheritdoc IMarketRegistry
    function market(uint32 id) external view returns (MarketParams memory params, Status status, uint40 statusAt) {
        MarketWord word = _words[id];
        return (_markets[id], Status(word.status()), word.statusAt());
    }

    /// @inheritdoc IMarketRegistry
    function marketId(string calldata symbol) external view returns (uint32) {
        return _marketIds[symbol];
    }

    /// @inheritdoc IMarketRegistry
    function marketWords(uint32[] calldata ids) external view returns (MarketWord[] memory words) {
        uint256 length = ids.length;
        words = new MarketWord[](length);
        for (uint256 i; i < length; ++i) {
            words[i] = _words[ids[i]];
        }
    }

    /// @inheritdoc IMarketRegistry
    function derivatives(uint32[] calldata ids)
        external
        view
        returns (DerivativeWord[] memory words, address[] memory oracles)
    {
        uint256 length = ids.length;
        words = new DerivativeWord[](length);
        oracles = new address[](length);
        for (uint256 i; i < length; ++i) {
            words[i] = _derivatives[ids[i]];
            oracles[i] = _origins[ids[i]].oracle;
        }
    }

    /// @inheritdoc IMarketRegistry
    function oracleOf(uint32 id) external view returns (address) {
        return _origins[id].oracle;
    }

    /// @inheritdoc IMarketRegistry
    function createdAt(uint32 id) external view returns (uint40) {
        return _origins[id].createdAt;
    }

    /// @inheritdoc IMarketRegistry
    function predictSynth(address underlying) public pure returns (address) {
        bytes32 codeHash = keccak256(abi.encodePacked(type(SynthERC20).creationCode, abi.encode(underlying)));
        return Create2.computeAddress(SYNTH_SALT, codeHash, CREATE2_DEPLOYER);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Internals
    // ---------------------------------------------------------------------------------------------------------------

    function _setGuardian(address guardian_) private {
        if (guardian_ == address(0)) revert ZeroAddress();
        guardian = guardian_;
        emit GuardianChanged(guardian_);
    }

    /// @dev The underlying of the one synth that is accepted over it.
    function _checkedUnderlying(address synth) private view returns (address underlying) {
        underlying = _underlyingOf(synth);
        address expected = underlying == address(0) ? address(0) : predictSynth(underlying);
        if (underlying == address(0) || synth != expected) revert ForeignSynth(synth, expected);
    }

    /// @dev What `synth` reports as its underlying; 0 if it has no code or gives no such answer.
    function _underlyingOf(address synth) private view returns (address) {
        (bool success, bytes memory answer) = synth.staticcall(abi.encodeCall(ISynth.underlying, ()));
        if (!success || answer.length != 32) return address(0);
        uint256 value = abi.decode(answer, (uint256));
        return value >> 160 == 0 ? address(uint160(value)) : address(0);
    }

    function _checkSymbol(string calldata symbol) private view {
        bytes calldata text = bytes(symbol);
        bool isValid = text.length != 0 && text.length <= MAX_SYMBOL_LENGTH && _marketIds[symbol] == 0;
        for (uint256 i; isValid && i < text.length; ++i) {
            bytes1 c = text[i];
            isValid = (c >= "A" && c <= "Z") || (c >= "0" && c <= "9") || c == "-";
        }
        if (!isValid) revert InvalidParameter("symbol");
    }

    function _checkQuote(MarketParams calldata params) private view {
        uint32 quote = params.quote;
        if (quote == 0) return;
        if (params.kind != Kind.SPOT || quote == params.base) revert InvalidParameter("quote");
        if (_assets[quote].synth == address(0)) revert UnknownAsset(quote);
    }

    /// @dev The word of a new market, after all bounds of IMarketRegistry.MarketParams. Every cast is exact by the
    ///      check above it; products of a uint64 and a uint128 or of a uint64 and a uint56 fit 256 bits.
    function _wordOf(MarketParams calldata params, uint8 decimals, uint32 instrument)
        private
        view
        returns (MarketWord)
    {
        uint256 unit = 10 ** decimals;
        uint256 lotSize = params.lotSize;
        (uint256 mantissa, uint8 exponent) = _lotOf(lotSize);
        if (mantissa == 0 || mantissa > type(uint24).max) revert InvalidParameter("lotSize");

        uint256 tick = params.tickSize * lotSize;
        if (tick == 0 || tick % unit != 0 || tick / unit > type(uint32).max) revert InvalidParameter("tickSize");

        uint256 maxPricePerLot = _perLot(params, unit, params.maxPrice, "maxPrice");
        _check(maxPricePerLot != 0, "maxPrice");

        uint256 maxQuantity = params.maxQuantity;
        bool fits = maxQuantity != 0 && maxQuantity <= type(uint40).max && maxQuantity * maxPricePerLot < NOTIONAL_LIMIT
            && maxQuantity * lotSize < QUANTA_LIMIT;
        if (!fits) revert InvalidParameter("maxQuantity");

        return MarketWordLib.pack({
            instrument_: instrument,
            kind_: uint8(params.kind),
            status_: uint8(Status.ACTIVE),
            statusAt_: uint40(block.timestamp),
            maxPricePerLot_: uint56(maxPricePerLot),
            maxQuantity_: uint40(maxQuantity),
            tickPerLot_: uint32(tick / unit),
            lotMantissa_: uint24(mantissa),
            lotExponent_: exponent,
            baseDecimals_: decimals,
            isCrossQuoted_: params.quote != 0
        });
    }

    /// @dev The derivative word of a new market, after all bounds of IMarketRegistry.DerivativeParams.
    function _derivativeOf(MarketParams calldata params, uint256 unit) private view returns (DerivativeWord) {
        DerivativeParams calldata terms = params.derivative;
        Kind kind = params.kind;
        _check(_isDated(kind) ? terms.expiry > block.timestamp : terms.expiry == 0, "expiry");
        _checkMargins(kind == Kind.PERP || kind == Kind.FUTURE, terms);
        _checkFunding(kind == Kind.PERP, terms);
        (uint256 strike, uint256 cap) = _checkedStrike(params, unit);

        return DerivativeWordLib.pack({
            initialMarginBps_: terms.initialMarginBps,
            maintenanceMarginBps_: terms.maintenanceMarginBps,
            bandBps_: terms.bandBps,
            liquidationFeeBps_: terms.liquidationFeeBps,
            exitPenaltyBps_: terms.exitPenaltyBps,
            fundingCap_: terms.fundingCap,
            expiry_: terms.expiry,
            strikePerLot_: uint56(strike),
            capPerLot_: uint56(cap),
            isPut_: terms.isPut
        });
    }

    function _checkMargins(bool isMargined, DerivativeParams calldata terms) private pure {
        uint256 maintenance = terms.maintenanceMarginBps;
        if (isMargined) {
            _check(_isWithin(maintenance, MIN_MAINTENANCE_BPS, MAX_MAINTENANCE_BPS), "maintenanceMarginBps");
            _check(_isWithin(terms.initialMarginBps, 2 * maintenance, MAX_INITIAL_BPS), "initialMarginBps");
            _check(_isWithin(terms.bandBps, 1, maintenance - 1), "bandBps");
            _check(terms.liquidationFeeBps <= maintenance, "liquidationFeeBps");
            _check(_isWithin(terms.exitPenaltyBps, 1, maintenance - 1), "exitPenaltyBps");
        } else {
            _check(maintenance == 0, "maintenanceMarginBps");
            _check(terms.initialMarginBps == 0, "initialMarginBps");
            _check(terms.bandBps == 0, "bandBps");
            _check(terms.liquidationFeeBps == 0, "liquidationFeeBps");
            _check(terms.exitPenaltyBps == 0, "exitPenaltyBps");
        }
    }

    function _checkFunding(bool isFunded, DerivativeParams calldata terms) private pure {
        uint256 cap = terms.fundingCap;
        uint256 period = terms.fundingPeriod;
        _check(isFunded ? _isWithin(cap, 1, MAX_FUNDING_CAP) : cap == 0, "fundingCap");
        _check(isFunded ? _isWithin(period, MIN_FUNDING_PERIOD, MAX_FUNDING_PERIOD) : period == 0, "fundingPeriod");
    }

    /// @dev Strike and cap in micro-USDC per lot, both below 2^56; 0 if the market is no option.
    function _checkedStrike(MarketParams calldata params, uint256 unit)
        private
        pure
        returns (uint256 strike, uint256 cap)
    {
        DerivativeParams calldata terms = params.derivative;
        bool isOption = params.kind == Kind.OPTION;
        bool isCall = isOption && !terms.isPut;
        _check(isOption || !terms.isPut, "isPut");
        _check(isOption == (terms.strike != 0), "strike");
        _check(isCall ? terms.cap > terms.strike : terms.cap == 0, "cap");
        strike = _perLot(params, unit, terms.strike, "strike");
        cap = _perLot(params, unit, terms.cap, "cap");
        uint256 highest = isCall ? cap : strike;
        _check(params.maxQuantity * highest < NOTIONAL_LIMIT, "maxQuantity");
    }

    /// @dev The oracle answers with a price that the market can use: see IMarketRegistry.MarketParams.
    function _checkOracle(MarketParams calldata params, MarketWord word) private view {
        address oracle = params.oracle;
        bool isSpot = params.kind == Kind.SPOT;
        if (isSpot && params.quote == 0) return _check(oracle == address(0), "oracle");
        uint256 price = _latestPrice(oracle);
        if (isSpot) return _check(_isWithin(price / PRICE_SCALE, 1, type(uint64).max), "oracle");
        uint256 highest = params.kind == Kind.OPTION ? type(uint56).max : word.maxPricePerLot();
        _check(_isWithin(word.indexPerLot(price), 1, highest), "oracle");
    }

    /// @dev What the oracle answers now; 0 if it does not, or more than 128 bits.
    function _latestPrice(address oracle) private view returns (uint256 price) {
        (bool success, bytes memory answer) = oracle.staticcall(abi.encodeCall(IPriceOracle.latest, ()));
        if (!success || answer.length != 96) return 0;
        (, price,) = abi.decode(answer, (uint256, uint256, uint256));
        if (price > type(uint128).max) return 0;
    }

    /// @dev `price`, which must be on a tick, in its unit per lot. It is exact, because the tick is.
    function _perLot(MarketParams calldata params, uint256 unit, uint256 price, string memory field)
        private
        pure
        returns (uint256 perLot)
    {
        perLot = price * params.lotSize / unit;
        _check(price % params.tickSize == 0 && perLot <= type(uint56).max, field);
    }

    /// @dev lotSize = mantissa * 10^exponent with the smallest mantissa; (0, 0) for 0. At most 38 rounds, as 10^39 >
    ///      2^128.
    function _lotOf(uint256 lotSize) private pure returns (uint256 mantissa, uint8 exponent) {
        mantissa = lotSize;
        while (mantissa != 0 && mantissa % 10 == 0) {
            mantissa /= 10;
            ++exponent;
        }
    }

    function _isDated(Kind kind) private pure returns (bool) {
        return kind == Kind.FUTURE || kind == Kind.OPTION;
    }

    /// @dev Whether lowest <= value <= highest.
    function _isWithin(uint256 value, uint256 lowest, uint256 highest) private pure returns (bool) {
        return value >= lowest && value <= highest;
    }

    function _check(bool holds, string memory field) private pure {
        if (!holds) revert InvalidParameter(field);
    }
}
