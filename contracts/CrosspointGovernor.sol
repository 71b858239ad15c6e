// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Governor} from "@openzeppelin/contracts/governance/Governor.sol";
import {GovernorCountingSimple} from "@openzeppelin/contracts/governance/extensions/GovernorCountingSimple.sol";
import {GovernorSettings} from "@openzeppelin/contracts/governance/extensions/GovernorSettings.sol";
import {GovernorVotes} from "@openzeppelin/contracts/governance/extensions/GovernorVotes.sol";
import {
    GovernorVotesQuorumFraction
} from "@openzeppelin/contracts/governance/extensions/GovernorVotesQuorumFraction.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {CrosspointTimelock} from "./CrosspointTimelock.sol";

/// @title  CrosspointGovernor
/// @notice Holders of CXPT decide what the timelock does. Votes are those held one voting delay after the proposal,
///         which is shorter than the redemption of CXPT: who buys votes after seeing a proposal keeps them for longer
///         than it takes to count them. An accepted proposal is queued with the delay that its calls need; until its
///         execution the guardian may cancel it in the timelock.
/// @dev    In place of OpenZeppelin's GovernorTimelockControl, which queues everything with the least delay.
contract CrosspointGovernor is
    Governor,
    GovernorSettings,
    GovernorCountingSimple,
    GovernorVotes,
    GovernorVotesQuorumFraction
{
    // ---------------------------------------------------------------------------------------------------------------
    // Constants and immutables
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Bounds of the voting delay, in seconds. The upper one is the redemption delay of CXPT.
    uint48 public constant MIN_VOTING_DELAY = 1 days;
    uint48 public constant REDEEM_DELAY = 48 hours;

    /// @notice Shortest vote, in seconds.
    uint32 public constant MIN_VOTING_PERIOD = 1 days;

    /// @notice Executes what was accepted, and nobody else's proposals.
    CrosspointTimelock public immutable timelock;

    /// @notice Votes that a quorum needs however small the supply, in quanta of CXPT.
    uint256 public immutable quorumFloor;

    // ---------------------------------------------------------------------------------------------------------------
    // Storage
    // ---------------------------------------------------------------------------------------------------------------

    /// @dev The timelock's id of a queued proposal.
    mapping(uint256 proposalId => bytes32) private _operations;

    error InvalidVotingDelay(uint48 votingDelay);
    error InvalidVotingPeriod(uint32 votingPeriod);

    // ---------------------------------------------------------------------------------------------------------------
    // Construction
    // ---------------------------------------------------------------------------------------------------------------

    /// @param cxpt               the votes
    /// @param proposalThreshold_ votes that a proposer needs, in quanta of CXPT
    constructor(IVotes cxpt, CrosspointTimelock timelock_, uint256 proposalThreshold_, uint256 quorumFloor_)
        Governor("Crosspoint Governor")
        GovernorSettings(1 days, 3 days, proposalThreshold_)
        GovernorVotes(cxpt)
        GovernorVotesQuorumFraction(4)
    {
        timelock = timelock_;
        quorumFloor = quorumFloor_;
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Views
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Votes for or abstaining that a proposal needs: a fraction of the supply, the floor at least.
    function quorum(uint256 timepoint) public view override(Governor, GovernorVotesQuorumFraction) returns (uint256) {
        return Math.max(super.quorum(timepoint), quorumFloor);
    }

    /// @notice A queued proposal's state is what the timelock says: the guardian cancels it there.
    function state(uint256 proposalId) public view override returns (ProposalState) {
        ProposalState current = super.state(proposalId);
        if (current != ProposalState.Queued) return current;
        bytes32 operation = _operations[proposalId];
        if (timelock.isOperationPending(operation)) return current;
        return timelock.isOperationDone(operation) ? ProposalState.Executed : ProposalState.Canceled;
    }

    /// @notice Every proposal waits in the timelock.
    function proposalNeedsQueuing(uint256) public pure override returns (bool) {
        return true;
    }

    function proposalThreshold() public view override(Governor, GovernorSettings) returns (uint256) {
        return super.proposalThreshold();
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Internals
    // ---------------------------------------------------------------------------------------------------------------

    function _queueOperations(
        uint256 proposalId,
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override returns (uint48 eta) {
        uint256 delay = timelock.delayOfBatch(targets, calldatas);
        bytes32 salt = _salt(descriptionHash);
        _operations[proposalId] = timelock.hashOperationBatch(targets, values, calldatas, 0, salt);
        timelock.scheduleBatch(targets, values, calldatas, 0, salt, delay);
        return SafeCast.toUint48(block.timestamp + delay);
    }

    function _executeOperations(
        uint256,
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override {
        timelock.executeBatch{value: msg.value}(targets, values, calldatas, 0, _salt(descriptionHash));
    }

    /// @dev Whoever acts for governance, also on the governor's own settings.
    function _executor() internal view override returns (address) {
        return address(timelock);
    }

    function _setVotingDelay(uint48 votingDelay_) internal override {
        bool isValid = votingDelay_ >= MIN_VOTING_DELAY && votingDelay_ < REDEEM_DELAY;
        if (!isValid) revert InvalidVotingDelay(votingDelay_);
        super._setVotingDelay(votingDelay_);
    }

    function _setVotingPeriod(uint32 votingPeriod_) internal override {
        if (votingPeriod_ < MIN_VOTING_PERIOD) revert InvalidVotingPeriod(votingPeriod_);
        super._setVotingPeriod(votingPeriod_);
    }

    /// @dev As in GovernorTimelockControl: no collision with another governor of the same timelock.
    function _salt(bytes32 descriptionHash) private view returns (bytes32) {
        return bytes20(address(this)) ^ descriptionHash;
    }
}
