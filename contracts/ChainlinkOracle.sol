// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IAggregatorV3} from "./interfaces/external/IAggregatorV3.sol";
import {PriceOracle} from "./PriceOracle.sol";

/// @title  ChainlinkOracle
/// @notice A Chainlink feed of USD per whole unit, read through its proxy; see IPriceOracle. On a rollup, the sequencer
///         uptime feed keeps prices of the present from being used until everybody could react again.
/// @dev    A round is complete if it has a time and an answer of its own; one that carries an earlier answer over is
///         skipped, as is one that is missing. A phase is an aggregator behind the proxy. Where the aggregator was
///         replaced, both may have rounds of the same time: a round is then right if its own aggregator says so.
contract ChainlinkOracle is PriceOracle {
    // ---------------------------------------------------------------------------------------------------------------
    // Constants and immutables
    // ---------------------------------------------------------------------------------------------------------------

    uint256 private constant PHASE_SHIFT = 64;

    /// @dev So many rounds in a row may be missing before it is not known any more which is the successor of a round.
    uint256 private constant MAX_MISSING = 4;

    /// @notice The feed: a Chainlink proxy, or one aggregator alone.
    IAggregatorV3 public immutable aggregator;

    /// @notice The sequencer uptime feed of the chain, 0 where there is no sequencer.
    IAggregatorV3 public immutable sequencerFeed;

    /// @notice How long, in seconds, prices are not used after the sequencer came back.
    uint256 public immutable gracePeriod;

    int256 private immutable _exponent;

    // ---------------------------------------------------------------------------------------------------------------
    // Construction
    // ---------------------------------------------------------------------------------------------------------------

    constructor(
        IAggregatorV3 aggregator_,
        uint256 maxAge_,
        uint256 minPrice_,
        uint256 maxPrice_,
        IAggregatorV3 sequencerFeed_,
        uint256 gracePeriod_
    ) PriceOracle(maxAge_, minPrice_, maxPrice_) {
        uint8 decimals = aggregator_.decimals();
        if (decimals > 18) revert InvalidParameter("decimals");
        bool hasSequencer = address(sequencerFeed_) != address(0);
        if (gracePeriod_ > 1 days || (!hasSequencer && gracePeriod_ != 0)) revert InvalidParameter("gracePeriod");
        if (hasSequencer && address(sequencerFeed_).code.length == 0) revert InvalidParameter("sequencerFeed");
        aggregator = aggregator_;
        sequencerFeed = sequencerFeed_;
        gracePeriod = gracePeriod_;
        _exponent = -int256(uint256(decimals));
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Rounds
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev The sequencer's feed answers 0 while it is up, since `startedAt`; a feed that was never set has no such time.
    function _checkLive() internal view override {
        if (address(sequencerFeed) == address(0)) return;
        (, int256 answer, uint256 since,,) = sequencerFeed.latestRoundData();
        if (answer != 0 || since == 0) revert SequencerDown();
        if (block.timestamp < since + gracePeriod) revert SequencerGracePeriod(since);
    }

    function _latestRound() internal view override returns (Round memory) {
        (uint80 id, int256 answer,, uint256 updatedAt, uint80 answeredInRound) = aggregator.latestRoundData();
        return _round(id, answer, updatedAt, answeredInRound);
    }

    /// @dev A feed answers for another round than asked only by mistake.
    function _roundOf(uint80 id) internal view override returns (Round memory round) {
        try aggregator.getRoundData(id) returns (
            uint80 answered, int256 answer, uint256, uint256 updatedAt, uint80 answeredInRound
        ) {
            if (answered == id) return _round(id, answer, updatedAt, answeredInRound);
        } catch {}
        round.id = id;
    }

    /// @dev The next complete round of the same phase or, after its last, the first of the next phase that has one.
    ///      Silence means "no successor" only for the round that the feed itself calls its latest.
    function _successorOf(uint80 id) internal view override returns (bool isKnown, Round memory successor) {
        Round memory newest = _latestRound();
        if (newest.id == id) return (true, successor);
        successor = _firstAfter(id);
        uint256 lastPhase = newest.id >> PHASE_SHIFT;
        for (uint256 phase = (id >> PHASE_SHIFT) + 1; phase <= lastPhase && !successor.exists; ++phase) {
            successor = _firstAfter(uint80(phase << PHASE_SHIFT));
        }
        return (successor.exists, successor);
    }

    /// @dev The first complete one of the few rounds that follow `id`, or one that does not exist.
    function _firstAfter(uint80 id) private view returns (Round memory round) {
        for (uint80 i = 1; i <= MAX_MISSING + 1 && !round.exists; ++i) {
            round = _roundOf(id + i);
        }
    }

    function _round(uint80 id, int256 answer, uint256 updatedAt, uint80 answeredInRound)
        private
        view
        returns (Round memory)
    {
        bool exists = updatedAt != 0 && updatedAt <= type(uint40).max && answeredInRound >= id;
        return Round(id, exists, exists ? uint40(updatedAt) : 0, answer, _exponent);
    }
}
