"""Where the timelock is the owner, an owner's action is proposed, voted on, queued and executed, or vetoed."""

import pytest

from scripts._lib import actions, proposals
from scripts._lib.fields import DeploymentError
from scripts._lib.proposals import VOTES, State
from tests.functional.manage.conftest import QUORUM

DAY, HOUR = 86_400, 3_600
USDC_AS_CXPT = 1


@pytest.fixture
def desk(governed, sit):
    return lambda account, **options: sit(governed, account, **options)


@pytest.fixture
def engine(governed, at):
    return at("Engine", governed.engine)


@pytest.fixture
def voters(governed, at, desk, holder, operator, chain):
    """The holder takes twice the quorum out of the exchange as CXPT and delegates it to itself."""
    usdc, vault = at("MockUSDC", governed.usdc), at("Vault", governed.vault)
    amount = 2 * QUORUM
    usdc.mint(holder, amount, sender=holder)
    usdc.approve(vault, amount, sender=holder)
    vault.deposit(amount, holder, sender=holder)
    vault.withdraw(amount, True, sender=holder)
    at("WithdrawalQueue", governed.queue).release(holder, USDC_AS_CXPT, 0, amount, sender=operator)
    holder_desk = desk(holder)
    holder_desk.do(holder_desk.call("CXPT", "delegate", holder.address))
    chain.mine(deltatime=10)


@pytest.fixture
def fee_at(chain):
    return chain.blocks.head.timestamp + 10 * DAY


@pytest.fixture
def propose_fee(desk, holder, voters, fee_at, lines):
    """Propose a fee of 40 basis points; the proposal's id."""

    def run():
        actions.schedule_fee(desk(holder), 40, fee_at)
        return int(lines[-1].removeprefix("proposal id "))

    return run


@pytest.fixture
def accept(desk, holder, propose_fee, chain):
    """Propose, vote for it, and wait for the end of the vote; the proposal's id."""

    def run():
        proposal = propose_fee()
        chain.mine(deltatime=DAY + 10)
        holder_desk = desk(holder)
        proposals.expect(holder_desk, proposal, [State.ACTIVE])
        holder_desk.do(holder_desk.call("Governor", "castVote", proposal, VOTES["for"]))
        chain.mine(deltatime=3 * DAY)
        return proposal

    return run


def queue(desk, proposal):
    desk.do(desk.call("Governor", "queue", *proposals.expect(desk, proposal, [State.SUCCEEDED]).hashed))


def execute(desk, proposal):
    desk.do(desk.call("Governor", "execute", *proposals.expect(desk, proposal, [State.QUEUED]).hashed))


def test_fee_is_changed_by_a_proposal(desk, engine, accept, stranger, fee_at, chain):
    proposal = accept()
    queue(desk(stranger), proposal)
    with pytest.raises(DeploymentError, match="would revert: TimelockUnexpectedOperationState"):
        execute(desk(stranger), proposal)
    chain.mine(deltatime=DAY + 1)
    execute(desk(stranger), proposal)
    assert tuple(engine.feeSchedule()) == (50, 40, fee_at)
    assert proposals.state(desk(stranger), proposal) is State.EXECUTED


def test_queued_proposal_is_vetoed_by_the_guardian(desk, engine, accept, stranger, guardian, chain):
    proposal = accept()
    queue(desk(stranger), proposal)
    with pytest.raises(DeploymentError, match=f"guardian: {stranger.address} may not veto"):
        proposals.veto(desk(stranger), proposal)
    proposals.veto(desk(guardian), proposal)
    assert proposals.state(desk(stranger), proposal) is State.CANCELED
    chain.mine(deltatime=DAY + 1)
    with pytest.raises(DeploymentError, match=f"{proposal}: is canceled, must be queued"):
        execute(desk(stranger), proposal)
    assert engine.feeSchedule()[2] == 0


def test_proposals_are_listed_with_their_states(desk, propose_fee, stranger, fee_at):
    proposal = propose_fee()
    (found,) = proposals.proposals(desk(stranger))
    assert (found.id, found.description) == (proposal, f"Fee of 40 bps from {fee_at}")
    assert proposals.state(desk(stranger), proposal) is State.PENDING


def test_each_step_has_its_time(desk, propose_fee, stranger, holder, chain):
    proposal = propose_fee()
    with pytest.raises(DeploymentError, match=f"{proposal}: is pending, must be succeeded"):
        queue(desk(stranger), proposal)
    with pytest.raises(DeploymentError, match="7: no such proposal"):
        queue(desk(stranger), 7)
    with pytest.raises(DeploymentError, match=f"{proposal}: is pending, must be queued"):
        proposals.veto(desk(stranger), proposal)
    chain.mine(deltatime=DAY + 10)
    with pytest.raises(DeploymentError, match=f"{proposal}: is active, must be queued"):
        execute(desk(stranger), proposal)
    chain.mine(deltatime=3 * DAY)
    assert proposals.state(desk(holder), proposal) is State.DEFEATED  # nobody voted


def test_without_votes_nothing_is_proposed(desk, stranger, chain):
    at = chain.blocks.head.timestamp + 10 * DAY
    with pytest.raises(DeploymentError, match=r"would revert: GovernorInsufficientProposerVotes\(proposer="):
        actions.schedule_fee(desk(stranger), 40, at)


def test_dry_run_proposes_nothing(desk, voters, holder, stranger, fee_at, lines):
    actions.schedule_fee(desk(holder, send=False), 40, fee_at)
    assert list(proposals.proposals(desk(stranger))) == []
    assert lines[-3] == f"proposal: Engine.scheduleFee(40, {fee_at})"
    assert lines[-2].startswith("would send Governor.propose(")


def test_fee_change_that_the_vote_would_outlast_is_refused(desk, voters, holder, chain):
    at = chain.blocks.head.timestamp + 5 * DAY
    with pytest.raises(DeploymentError, match="leaves no time for a vote, the timelock and the settlement window"):
        actions.schedule_fee(desk(holder), 40, at)


def test_call_that_the_timelock_could_not_make_is_not_proposed(desk, voters, holder):
    with pytest.raises(DeploymentError, match=r"Engine.setOperator\(0x0{40}\) would revert: ZeroAddress\(\)"):
        actions.propose_call(desk(holder), "Nobody", "Engine", "setOperator", ["0x" + "00" * 20])


def test_any_call_can_be_proposed(governed, at, desk, voters, holder, stranger, chain, lines):
    actions.propose_call(desk(holder), "Rebates", "Vault", "setRebateTiers", ["[[1000000000, 1000]]"])
    proposal = int(lines[-1].removeprefix("proposal id "))
    chain.mine(deltatime=DAY + 10)
    holder_desk = desk(holder)
    holder_desk.do(holder_desk.call("Governor", "castVote", proposal, VOTES["for"]))
    chain.mine(deltatime=3 * DAY)
    queue(desk(stranger), proposal)
    chain.mine(deltatime=DAY + 1)
    execute(desk(stranger), proposal)
    vault = at("Vault", governed.vault)
    assert [tuple(tier) for tier in vault.rebateTiers()] == [(10**9, 1_000)]


@pytest.mark.parametrize(
    ("contract", "method", "arguments", "reason"),
    [
        ("Nowhere", "setOperator", [], "Nowhere: is not part of the deployment"),
        ("Engine", "setNothing", [], "Engine: has no method setNothing that changes anything"),
        ("Engine", "feeBps", [], "Engine: has no method feeBps that changes anything"),
        ("Engine", "setOperator", ["5", "6"], r"Engine.setOperator: "),
        ("Engine", "scheduleFee", ["x", "y"], r"Engine.scheduleFee: "),
    ],
)
def test_calls_that_do_not_exist_are_named(desk, holder, contract, method, arguments, reason):
    with pytest.raises(DeploymentError, match=reason):
        actions.propose_call(desk(holder), "?", contract, method, arguments)


def test_guardian_still_pauses_and_halts_at_once(governed, at, desk, engine, guardian, chain):
    actions.set_status(desk(guardian), "BTC-USDC", actions.PAUSED)
    actions.halt(desk(guardian))
    registry = at("MarketRegistry", governed.registry)
    assert registry.market(governed.markets["BTC-USDC"]["id"])[1] == actions.PAUSED
    assert engine.lastHalt()[1] > chain.blocks.head.timestamp


def test_status_says_that_the_timelock_owns(desk, governed, stranger, lines):
    actions.show_status(desk(stranger, send=False))
    assert "\n".join(lines).count(f"owner {governed.timelock} (timelock)") == 4
