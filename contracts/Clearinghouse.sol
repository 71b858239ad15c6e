// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Ownable2StepUpgradeable} from "@openzeppelin/contracts-upgradeable/access/Ownable2StepUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {ClearingExit} from "./clearing/ClearingExit.sol";
import {ClearingFills} from "./clearing/ClearingFills.sol";
import {ClearingStorage} from "./clearing/ClearingStorage.sol";
import {IClearinghouse} from "./interfaces/IClearinghouse.sol";
import {IMarketRegistry} from "./interfaces/IMarketRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {ClearingKeyLib, ClearingMarket, ClearingPosition} from "./libraries/ClearingWords.sol";

/// @title  Clearinghouse
/// @notice Positions in perpetuals, futures and options; see IClearinghouse.
///
///   ClearingStorage     storage, markets, positions, notices, calls to Engine and Vault
///    |- ClearingFills   a batch's fills, called by the Engine
///    |- ClearingRisk    flags, takeover by the fund, deleveraging
///    |- ClearingExpiry  funding, expiry, settlement of what has expired
///    |   '- ClearingExit    (with ClearingRisk) exits without the operator
///    '- Clearinghouse   construction, upgrades, views
contract Clearinghouse is Ownable2StepUpgradeable, UUPSUpgradeable, ClearingFills, ClearingExit {
    // ---------------------------------------------------------------------------------------------------------------
    // Construction
    // ---------------------------------------------------------------------------------------------------------------

    constructor(address engine_, address vault_, address registry_) ClearingStorage(engine_, vault_, registry_) {
        _disableInitializers();
    }

    /// @notice Set the first owner. Called by the proxy's constructor.
    function initialize(address owner_) external initializer {
        __Ownable_init(owner_);
    }

    /// @dev Upgrades are the owner's alone.
    function _authorizeUpgrade(address) internal override onlyOwner {}

    // ---------------------------------------------------------------------------------------------------------------
    // Views
    // ---------------------------------------------------------------------------------------------------------------

    /// @inheritdoc IClearinghouse
    function positionOf(address account, uint32 market)
        external
        view
        returns (int64 size, int96 quote, int96 fundingIndex)
    {
        ClearingPosition position = _clearinghouseStorage().positions[ClearingKeyLib.make(account, market)];
        return (position.size(), position.quote(), position.fundingIndex());
    }

    /// @inheritdoc IClearinghouse
    function marketState(uint32 market) external view returns (MarketState memory) {
        MarketSlots storage slots = _clearinghouseStorage().markets[market];
        ClearingMarket state = slots.state;
        return MarketState({
            funding: state.funding(),
            lastHour: state.lastHour(),
            state: State(state.state()),
            settlePerLot: state.settlePerLot(),
            pool: slots.pool.amount()
        });
    }

    /// @inheritdoc IClearinghouse
    function poolOf(uint32 market) public view returns (uint128) {
        return _clearinghouseStorage().markets[market].pool.amount();
    }

    /// @inheritdoc IClearinghouse
    function equity(address account, uint32 market) external view returns (int256 equity_, uint256 maintenance) {
        Market memory terms = _loadMarket(market);
        (int256 size, int256 quote) = _loadPosition(terms, ClearingKeyLib.make(account, market));
        if (!_isOpen(terms.state)) return (_settlement(terms.state, size, quote), 0);
        _checkHasMargin(terms);
        return (_equity(terms, size, quote), _maintenance(terms, size));
    }

    /// @inheritdoc IClearinghouse
    function isLiquidatable(address account, uint32 market) external view returns (bool) {
        Market memory terms = _loadOpen(market);
        (int256 size, int256 quote) = _loadPosition(terms, ClearingKeyLib.make(account, market));
        (int256 equity_, int256 maintenance) = _health(terms, size, quote);
        return equity_ < maintenance;
    }

    /// @inheritdoc IClearinghouse
    function exitRequestedAt(address account, uint32 market) external view returns (uint40 requestedAt) {
        (requestedAt,) = _exitOf(account, market);
    }

    /// @inheritdoc IClearinghouse
    function exitEndsAt(address account, uint32 market) external view returns (uint40) {
        return _notice(account, market).exitEndsAt();
    }

    /// @inheritdoc IClearinghouse
    function flaggedAt(address account, uint32 market) external view returns (uint40 flagged) {
        (flagged,) = _flagOf(account, market);
    }

    /// @inheritdoc IClearinghouse
    /// @dev Reads the pool of every id in the registry: for callers outside of transactions.
    function solvency() external view returns (uint256 held, uint256 owed) {
        held = IVault(vault).sharesOf(address(this));
        uint32 last = IMarketRegistry(registry).lastId();
        for (uint32 id = 1; id <= last; ++id) {
            owed += poolOf(id);
        }
    }
}
