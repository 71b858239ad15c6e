// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";

/// @title  CrosspointTimelock
/// @notice Owner of the protocol. What it is told to do waits: UPGRADE_DELAY if it can replace code, owners or the rules
///         of governance, PARAMETER_DELAY otherwise. Users leave within the settlement window plus a day, holders of
///         CXPT within 48 hours, so both are gone before an upgrade binds them.
///
///         Roles after the handover: the governor proposes and executes, the guardian cancels, the timelock administers
///         itself. Nobody else has one.
contract CrosspointTimelock is TimelockController {
    // ---------------------------------------------------------------------------------------------------------------
    // Constants
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Least delay of any call, in seconds. `getMinDelay` can raise it, not lower it.
    uint256 public constant PARAMETER_DELAY = 24 hours;

    /// @notice Least delay of upgrades, of changes of owners, of this contract and of whoever proposes to it.
    uint256 public constant UPGRADE_DELAY = 72 hours;

    error ZeroAddress();

    // ---------------------------------------------------------------------------------------------------------------
    // Construction
    // ---------------------------------------------------------------------------------------------------------------

    /// @param guardian who can cancel a scheduled operation
    /// @param deployer who names the governor and then renounces DEFAULT_ADMIN_ROLE, before any contract is handed over
    constructor(address guardian, address deployer)
        TimelockController(PARAMETER_DELAY, new address[](0), new address[](0), deployer)
    {
        if (guardian == address(0) || deployer == address(0)) revert ZeroAddress();
        _grantRole(CANCELLER_ROLE, guardian);
    }

    /// @notice Accept the ownership that `target`'s owner has offered to the timelock. Anyone.
    /// @dev    The only call that does not wait. It says nothing but yes to an offer, which its maker could make to
    ///         itself as well.
    function acceptOwnershipOf(Ownable2Step target) external {
        target.acceptOwnership();
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Scheduling
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Schedule a call, `delayOf` it ahead at least.
    function schedule(
        address target,
        uint256 value,
        bytes calldata data,
        bytes32 predecessor,
        bytes32 salt,
        uint256 delay
    ) public override onlyRole(PROPOSER_ROLE) {
        _checkDelay(delay, delayOf(target, data));
        super.schedule(target, value, data, predecessor, salt, delay);
    }

    /// @notice Schedule calls that are executed together, `delayOf` the slowest of them ahead at least.
    function scheduleBatch(
        address[] calldata targets,
        uint256[] calldata values,
        bytes[] calldata payloads,
        bytes32 predecessor,
        bytes32 salt,
        uint256 delay
    ) public override onlyRole(PROPOSER_ROLE) {
        _checkDelay(delay, delayOfBatch(targets, payloads));
        super.scheduleBatch(targets, values, payloads, predecessor, salt, delay);
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Views
    // ---------------------------------------------------------------------------------------------------------------

    /// @notice Least delay of a call, in seconds.
    function delayOf(address target, bytes calldata data) public view returns (uint256 delay) {
        delay = getMinDelay();
        if (delay < PARAMETER_DELAY) delay = PARAMETER_DELAY;
        bytes4 selector = bytes4(data); // padded with zeros if shorter
        bool isFundamental = target == address(this) || hasRole(PROPOSER_ROLE, target)
            || selector == UUPSUpgradeable.upgradeToAndCall.selector || selector == Ownable.transferOwnership.selector
            || selector == Ownable.renounceOwnership.selector;
        if (isFundamental && delay < UPGRADE_DELAY) delay = UPGRADE_DELAY;
    }

    /// @notice Least delay of calls that are executed together, in seconds.
    function delayOfBatch(address[] calldata targets, bytes[] calldata payloads) public view returns (uint256 delay) {
        for (uint256 i; i < targets.length && i < payloads.length; ++i) {
            uint256 needed = delayOf(targets[i], payloads[i]);
            if (needed > delay) delay = needed;
        }
    }

    // ---------------------------------------------------------------------------------------------------------------
    // Internals
    // ---------------------------------------------------------------------------------------------------------------

    function _checkDelay(uint256 delay, uint256 least) private pure {
        if (delay < least) revert TimelockInsufficientDelay(delay, least);
    }
}
