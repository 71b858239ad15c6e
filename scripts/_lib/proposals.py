"""Owner's actions: sent by the owner, or proposed to the governor where the timelock is the owner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from eth_utils.crypto import keccak

from .desk import Call, Desk
from .fields import DeploymentError
from .governance import CANCELLER

VOTES = {"against": 0, "for": 1, "abstain": 2}


class State(IntEnum):
    """As in IGovernor.ProposalState."""

    PENDING = 0
    ACTIVE = 1
    CANCELED = 2
    DEFEATED = 3
    SUCCEEDED = 4
    QUEUED = 5
    EXPIRED = 6
    EXECUTED = 7


@dataclass(frozen=True)
class Proposal:
    """A proposal as its event told it."""

    id: int
    targets: tuple[str, ...]
    values: tuple[int, ...]
    data: tuple[bytes, ...]
    description: str

    @property
    def hashed(self) -> tuple[Any, ...]:
        """The arguments by which `queue` and `execute` name it."""
        return [*self.targets], [*self.values], [*self.data], keccak(text=self.description)


def owner_does(desk: Desk, description: str, *calls: Call) -> None:
    """Send an owner's calls, or propose them to the governor.

    Raises:
        DeploymentError: if the sender neither is the owner nor can propose to it, or the calls would revert.
    """
    owners = {str(desk.at(call.contract).owner()) for call in calls}
    if owners == {desk.sender}:
        desk.do(*calls)
    elif desk.has("Timelock") and owners == {desk.address("Timelock")}:
        propose(desk, description, *calls)
    else:
        raise DeploymentError(f"owner: {', '.join(sorted(owners))} can do this, not {desk.sender}")


def is_governed(desk: Desk, contract: str) -> bool:
    """Say whether the timelock owns the contract."""
    return desk.has("Timelock") and str(desk.at(contract).owner()) == desk.address("Timelock")


def earliest_execution(desk: Desk) -> int:
    """Return the Unix second at which a proposal made now can be executed, if it changes parameters only."""
    governor, timelock = desk.at("Governor"), desk.at("Timelock")
    vote = int(governor.votingDelay()) + int(governor.votingPeriod())
    return desk.node.time() + vote + int(timelock.PARAMETER_DELAY())


def propose(desk: Desk, description: str, *calls: Call) -> None:
    """Propose that the timelock makes these calls. Each is tried in its name first."""
    for call in calls:
        desk.attempt(call, sender=desk.address("Timelock"))
        desk.echo(f"proposal: {call}")
    targets = [call.address for call in calls]
    data = [call.data for call in calls]
    desk.do(desk.call("Governor", "propose", targets, [0] * len(calls), data, description))
    arguments = (targets, [0] * len(calls), data, keccak(text=description))
    desk.echo(f"proposal id {int(desk.at('Governor').hashProposal(*arguments))}")


def find(desk: Desk, proposal_id: int) -> Proposal:
    """Return the proposal with this id.

    Raises:
        DeploymentError: if it was never made.
    """
    for proposal in proposals(desk):
        if proposal.id == proposal_id:
            return proposal
    raise DeploymentError(f"{proposal_id}: no such proposal; `ape run manage proposals` lists them")


def proposals(desk: Desk) -> Iterator[Proposal]:
    """Yield all proposals, oldest first."""
    for values in desk.events("Governor", "ProposalCreated"):
        yield Proposal(
            int(values["proposalId"]),
            tuple(map(str, values["targets"])),
            tuple(map(int, values["values"])),
            tuple(map(bytes, values["calldatas"])),
            str(values["description"]),
        )


def state(desk: Desk, proposal_id: int) -> State:
    return State(int(desk.at("Governor").state(proposal_id)))


def expect(desk: Desk, proposal_id: int, states: Sequence[State]) -> Proposal:
    """Return the proposal, which must be in one of these states.

    Raises:
        DeploymentError: naming the state that it is in.
    """
    proposal = find(desk, proposal_id)
    has = state(desk, proposal_id)
    if has not in states:
        wanted = " or ".join(wanted.name.lower() for wanted in states)
        raise DeploymentError(f"{proposal_id}: is {has.name.lower()}, must be {wanted}")
    return proposal


def operation_id(desk: Desk, proposal: Proposal) -> bytes:
    """Return the timelock's id of a queued proposal; see CrosspointGovernor."""
    targets, values, data, description = proposal.hashed
    governor = bytes.fromhex(desk.address("Governor")[2:]).ljust(32, b"\0")
    salt = bytes(left ^ right for left, right in zip(governor, description, strict=True))
    return bytes(desk.at("Timelock").hashOperationBatch(targets, values, data, bytes(32), salt))


def veto(desk: Desk, proposal_id: int) -> None:
    """Cancel a queued proposal in the timelock."""
    proposal = expect(desk, proposal_id, [State.QUEUED])
    if not desk.at("Timelock").hasRole(CANCELLER, desk.sender):
        raise DeploymentError(f"guardian: {desk.sender} may not veto")
    desk.do(desk.call("Timelock", "cancel", operation_id(desk, proposal)))
