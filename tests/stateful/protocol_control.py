"""What traders, the guardian and the owner do beside trading: delegates, cancels, halts, pauses, rebates and fees."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.stateful.protocol import ROLES, TIERS, World
from tests.stateful.protocol_orders import Desk
from tests.utils.batches import FUND, Order
from tests.utils.controls import sign_cancel, sign_cancel_all, sign_delegate

SIGNERS = 3  # the fourth trader signs nothing
HOUR = 3_600
ACTIVE, PAUSED = 1, 2
SEQUENCE = 2**32 - 1
BPS = 10_000

signers = st.integers(0, SIGNERS - 1)
choices = st.integers(0, 2**16)


class Controls(Desk):
    """Rules of the state machine, and what the model remembers of them."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.delegates: dict[tuple[str, str], int] = {}  # until when
        self.ended: dict[tuple[str, int, int], int] = {}  # by nonce key, the lowest sequence that may still act
        self.fees_paid: dict[str, int] = {}  # at most
        self.rebates: dict[str, int] = {}

    # -----------------------------------------------------------------------------------------------------------------
    # Delegates
    # -----------------------------------------------------------------------------------------------------------------

    @rule(owner=signers, delegate=signers, seconds=st.sampled_from((0, 600, HOUR, 90_000)), by_signature=st.booleans())
    def set_delegate(self, owner: int, delegate: int, seconds: int, by_signature: bool) -> None:
        """A time is never cut to less than a window from now."""
        world, control = self.world, self.world.exchange.control
        account, other = world.traders[owner], world.traders[delegate]
        until = world.now() + seconds
        if by_signature:
            number = world.read([(control.delegateNonce, (account,))])[0][0]
            signature = sign_delegate(world.domain, account, other, until, number, world.people[ROLES[owner]])
            stranger = world.traders[-1]
            assert world.send(stranger, control.setDelegateBySig, account, other, until, number, *signature)
        else:
            assert world.send(account, control.setDelegate, other, until)
        kept = min(self.delegates.get((account, other), 0), world.now() + HOUR)
        self.delegates[account, other] = max(until, kept)

    # -----------------------------------------------------------------------------------------------------------------
    # Cancels
    # -----------------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.orders)
    @rule(choice=choices)
    def cancel_by_signature(self, choice: int) -> None:
        """The operator cancels what its account signed a cancel of, at once."""
        order, control = self.orders[choice % len(self.orders)], self.world.exchange.control
        signature = sign_cancel(self.world.domain, order, order.signer)
        if self.world.send(self.world.exchange.operator, control.cancelBySig, order.fields(), *signature):
            self._end(order)

    @precondition(lambda self: self.orders)
    @rule(choice=choices, wait=st.sampled_from((0, HOUR, HOUR)))
    def cancel_alone(self, choice: int, wait: int) -> None:
        """Without the operator a cancel takes a window."""
        order, control = self.orders[choice % len(self.orders)], self.world.exchange.control
        key = order.nonce >> 32
        assert self.world.send(order.account, control.requestCancel, order.instrument, key, order.nonce & SEQUENCE)
        self.world.wait(wait + 1)
        stranger = self.world.traders[-1]
        if self.world.send(stranger, control.applyCancel, order.account, order.instrument, key):
            assert wait, "a cancel within the window"
            self._end(order)

    @rule(signer=signers, is_stale=st.booleans())
    def cancel_all_by_signature(self, signer: int, is_stale: bool) -> None:
        world, account = self.world, self.world.traders[signer]
        epoch = world.epoch_of(account)
        signed = epoch + 1 if is_stale else epoch
        signature = sign_cancel_all(world.domain, account, signed, world.people[ROLES[signer]])
        control = world.exchange.control
        assert world.send(world.exchange.operator, control.cancelAllBySig, account, signed, *signature) != is_stale
        assert world.epoch_of(account) == epoch + (not is_stale)

    @rule(signer=signers)
    def bump_epoch(self, signer: int) -> None:
        """All orders so far end a window later."""
        self.world.send(self.world.traders[signer], self.world.exchange.vault.requestEpochBump)
        self.world.wait(HOUR)
        self.world.send(self.world.traders[-1], self.world.exchange.vault.applyEpochBump, self.world.traders[signer])

    # -----------------------------------------------------------------------------------------------------------------
    # Guardian and owner
    # -----------------------------------------------------------------------------------------------------------------

    @rule(signer=signers, amount=st.integers(1, 10**6), hours=st.sampled_from((0, 1, 25)))
    def halt(self, signer: int, amount: int, hours: int) -> None:
        """While settlement is halted nothing settles, and withdrawals can be asked for all the same."""
        world, account = self.world, self.world.traders[signer]
        if not world.send(world.guardian, world.exchange.engine.halt):
            return
        before = world.last_batch()
        self.trade([0, 1, 2], 0, 0, 1, 0, 0)
        assert world.last_batch() == before
        can_ask = world.ledger().shares[account] >= amount
        if can_ask:
            assert world.send(account, world.exchange.vault.withdraw, amount, False)
        world.wait(hours * HOUR + 1)
        assert world.send(world.guardian, world.exchange.engine.endHalt) == (hours < 24)

    @rule(market=choices)
    def pause(self, market: int) -> None:
        """Nothing that was matched while a market was paused settles."""
        world, chosen = self.world, self._market(market)
        registry = world.exchange.registry
        if not world.send(world.guardian, registry.setStatus, chosen.id, PAUSED):
            return
        world.wait(1)
        before = world.last_batch()
        self.trade([0, 1, 2], market, 0, 1, 0, 0)
        assert world.last_batch() == before
        assert not world.send(world.guardian, registry.setStatus, chosen.id, ACTIVE), "the guardian only pauses"
        assert world.send(world.exchange.owner, registry.setStatus, chosen.id, ACTIVE)

    @rule(is_cut=st.booleans())
    def set_rebate_tiers(self, is_cut: bool) -> None:
        """Accepted only as long as the fees collected so far cover it."""
        world = self.world
        world.send(world.exchange.owner, world.exchange.vault.setRebateTiers, TIERS[:1] if is_cut else TIERS)

    @rule(signer=signers, by_other=st.booleans())
    def claim_rebate(self, signer: int, by_other: bool) -> None:
        """Nobody gets back more than the highest tier's share of what they paid."""
        world, account = self.world, self.world.traders[signer]
        before = world.ledger()
        sender = world.traders[-1] if by_other else account
        if world.send(sender, world.exchange.vault.claimRebate, account):
            after = world.ledger()
            gained = after.shares[account] - before.shares[account]
            assert gained > 0
            self.rebates[account] = self.rebates.get(account, 0) + gained
            assert self.rebates[account] * BPS <= self.fees_paid.get(account, 0) * TIERS[-1][1]
            engine = world.exchange.engine.address
            assert before.shares[engine] - after.shares[engine] == gained

    @rule()
    def collect_fees(self) -> None:
        """What may be claimed as a rebate stays."""
        self.world.send(self.world.exchange.owner, self.world.exchange.engine.collectFees, FUND)

    # -----------------------------------------------------------------------------------------------------------------
    # What they mean for orders
    # -----------------------------------------------------------------------------------------------------------------

    def _check_permitted(self, order: Order, matched_at: int) -> None:
        """An order that was filled: not canceled, and signed by who may."""
        place = (order.account, order.instrument, order.nonce >> 32)
        assert order.nonce & SEQUENCE >= self.ended.get(place, 0), "a canceled order was filled"
        if order.forced:
            return
        assert order.epoch == self.world.epoch_of(order.account), "an order of an epoch that has ended was filled"
        if order.delegate is not None and order.delegate.address != order.account:
            assert self.delegates.get((order.account, order.delegate.address), 0) >= matched_at

    def _count_fees(self, order: Order, taken: int) -> None:
        self.fees_paid[order.account] = self.fees_paid.get(order.account, 0) + taken

    def _end(self, order: Order) -> None:
        place = (order.account, order.instrument, order.nonce >> 32)
        self.ended[place] = max(self.ended.get(place, 0), (order.nonce & SEQUENCE) + 1)
