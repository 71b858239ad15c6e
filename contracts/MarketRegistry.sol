// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Create2} from "@openzeppelin/contracts/utils/Create2.sol";
import {IMarketRegistry} from "./interfaces/IMarketRegistry.sol";
import {ISynth} from "./interfaces/ISynth.sol";
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

    // ---------------------------------------------------------------------------------------------------------------
    // Storage
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IMarketRegistry
    address public override guardian;

    /// @inheritdoc IMarketRegistry
    uint32 public override lastId;

    /// @inheritdoc IMarketRegistry
    mapping(address synth => uint32 id) public override assetId;

    mapping(uint32 id => Asset) private _assets;
    mapping(uint32 id => MarketWord) private _words;
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

    // ---------------------------------------------------------------------------------------------------------------
    // Assets and markets
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IMarketRegistry
    function registerAsset(address synth) external onlyOwner returns (uint32 id) {
        address underlying = _underlyingOf(synth);
        address expected = underlying == address(0) ? address(0) : predictSynth(underlying);
        if (underlying == address(0) || synth != expected) revert ForeignSynth(synth, expected);
        if (assetId[synth] != 0) revert AssetExists(synth);
        uint8 decimals = ISynth(synth).decimals();
        if (decimals > MAX_DECIMALS) revert InvalidParameter("decimals");

        id = ++lastId;
        assetId[synth] = id;
        _assets[id] = Asset(synth, underlying, decimals);
        emit AssetRegistered(id, synth, underlying, decimals, ISynth(synth).symbol());
    }

    /// @inheritdoc IMarketRegistry
    function createMarket(MarketParams calldata params) external onlyOwner returns (uint32 id) {
        if (params.kind != Kind.SPOT) revert UnsupportedKind(params.kind);
        if (params.quote != 0) revert UnsupportedQuote(params.quote);
        Asset storage base = _assets[params.base];
        if (base.synth == address(0)) revert UnknownAsset(params.base);
        _checkSymbol(params.symbol);
        MarketWord word = _wordOf(params, base.decimals);

        id = ++lastId;
        _words[id] = word;
        _markets[id] = params;
        _marketIds[params.symbol] = id;
        emit MarketCreated(id, params.base, params);
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

    /// @dev The word of a new spot market, after all bounds of IMarketRegistry.MarketParams. Every cast is exact by the
    ///      check above it; products of a uint64 and a uint128 or of a uint64 and a uint56 fit 256 bits.
    function _wordOf(MarketParams calldata params, uint8 decimals) private view returns (MarketWord) {
        uint256 unit = 10 ** decimals;
        uint256 lotSize = params.lotSize;
        (uint256 mantissa, uint8 exponent) = _lotOf(lotSize);
        if (mantissa == 0 || mantissa > type(uint24).max) revert InvalidParameter("lotSize");

        uint256 tick = params.tickSize * lotSize;
        if (tick == 0 || tick % unit != 0 || tick / unit > type(uint32).max) revert InvalidParameter("tickSize");

        // A price on a tick is a whole number of micro-USDC per lot, because the tick is.
        if (params.maxPrice == 0 || params.maxPrice % params.tickSize != 0) revert InvalidParameter("maxPrice");
        uint256 maxPricePerLot = params.maxPrice * lotSize / unit;
        if (maxPricePerLot > type(uint56).max) revert InvalidParameter("maxPrice");

        uint256 maxQuantity = params.maxQuantity;
        bool fits = maxQuantity != 0 && maxQuantity <= type(uint40).max && maxQuantity * maxPricePerLot < NOTIONAL_LIMIT
            && maxQuantity * lotSize < QUANTA_LIMIT;
        if (!fits) revert InvalidParameter("maxQuantity");

        return MarketWordLib.pack({
            instrument_: params.base,
            kind_: uint8(params.kind),
            status_: uint8(Status.ACTIVE),
            statusAt_: uint40(block.timestamp),
            maxPricePerLot_: uint56(maxPricePerLot),
            maxQuantity_: uint40(maxQuantity),
            tickPerLot_: uint32(tick / unit),
            lotMantissa_: uint24(mantissa),
            lotExponent_: exponent
        });
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
}
