"""CXPT as the base of a spot market: into the Engine's custody, from owner to owner there, and back to a wallet."""

import pytest
from eth_account import Account

from tests.functional.engine.exchange import create_market
from tests.utils.batches import BUY, SELL, Domain, Order, build_batch, nonce, packed_calldata
from tests.utils.custody import CXPT_REDEEM, INSTRUMENT, WINDOW, delegate
from tests.utils.reverts import reverts

LOT = 10_000  # a hundredth of a CXPT
# Tick of a hundredth of a USDC, so a hundred micro-USDC per lot.
PARAMS = {"tickSize": 10_000, "lotSize": LOT, "maxPrice": 10**9, "maxQuantity": 10**9}


@pytest.fixture(scope="module")
def market(system, owner):
    return create_market(system.registry, owner, "CXPT-USDC", system.cxpt_instrument, PARAMS)


@pytest.fixture
def to_custody(system, cxpt):
    """Give an account CXPT and move it into the Engine's custody."""

    def run(account, amount):
        system.give_cxpt(account, amount)
        cxpt.approve(system.engine, amount, sender=account)
        system.engine.deposit(system.cxpt_instrument, amount, sender=account)

    return run


@pytest.fixture
def trade(system, market, chain, operator):
    """Settle a fill: `seller` sells `quantity` lots to `buyer` at `price` micro-USDC per lot."""

    def run(seller, buyer, quantity, price=10_000):
        domain = Domain(chain.chain_id, system.engine.address)
        orders = [
            Order(
                signer=Account.from_key(account.private_key),
                market=market,
                instrument=system.cxpt_instrument,
                side=side,
                price=price,
                quantity=quantity,
                nonce=nonce(0, 1),
            )
            for account, side in ((seller, SELL), (buyer, BUY))
        ]
        number, now = system.engine.lastBatch()[0] + 1, chain.blocks.head.timestamp
        batch = build_batch(domain, number, now, [(*orders, quantity)])
        data = packed_calldata(batch.packed())
        return operator.transfer(system.engine, 0, data=data, gas=10_000_000)

    return run


def test_custody_takes_cxpt_and_credits_it(system, cxpt, to_custody, holder):
    to_custody(holder, 50 * LOT)
    assert (cxpt.balanceOf(holder), cxpt.balanceOf(system.engine)) == (0, 50 * LOT)
    assert system.engine.balanceOf(holder, system.cxpt_instrument) == 50 * LOT


def test_custody_needs_an_allowance(system, cxpt, holder):
    system.give_cxpt(holder, LOT)
    with reverts("ERC20InsufficientAllowance", spender=system.engine.address, allowance=0, needed=LOT):
        system.engine.deposit(system.cxpt_instrument, LOT, sender=holder)


def test_cxpt_changes_owners_on_the_market(system, cxpt, to_custody, trade, holder, other):
    """50 lots at 0.01 USDC: 0.5 USDC and a fee of 50 basis points from each side."""
    to_custody(holder, 100 * LOT)
    system.deposit_usdc(other, 10**6)
    trade(holder, other, 50)
    balances = [system.engine.balanceOf(account, system.cxpt_instrument) for account in (holder, other)]
    assert balances == [50 * LOT, 50 * LOT]
    assert (system.vault.sharesOf(holder), system.vault.sharesOf(other)) == (497_500, 497_500)
    assert [system.vault.feesPaidOf(account) for account in (holder, other)] == [2_500, 2_500]
    assert cxpt.reserve() == (100 * LOT, 100 * LOT)


def test_withdrawal_from_custody_to_the_wallet(system, cxpt, to_custody, trade, chain, holder, other):
    """Who bought CXPT can take it out and redeem it."""
    to_custody(holder, 100 * LOT)
    system.deposit_usdc(other, 10**6)
    trade(holder, other, 50)
    system.queue.request(INSTRUMENT, system.cxpt_instrument, 50 * LOT, sender=other)
    chain.mine(deltatime=WINDOW)
    assert system.queue.settle(other, INSTRUMENT, system.cxpt_instrument, sender=holder).return_value == 50 * LOT
    assert (cxpt.balanceOf(other), cxpt.balanceOf(system.engine)) == (50 * LOT, 50 * LOT)
    system.queue.request(CXPT_REDEEM, 0, 50 * LOT, sender=other)
    assert cxpt.balanceOf(system.queue) == 50 * LOT


def test_custody_does_not_vote(system, cxpt, to_custody, holder):
    delegate(cxpt, holder, holder)
    to_custody(holder, LOT)
    assert (cxpt.getVotes(holder), cxpt.getVotes(system.engine)) == (0, 0)


def test_custody_cannot_be_redeemed(system, to_custody, holder):
    """Redemption takes from the wallet."""
    to_custody(holder, LOT)
    with reverts("ERC20InsufficientBalance", sender=holder.address, balance=0, needed=LOT):
        system.queue.request(CXPT_REDEEM, 0, LOT, sender=holder)


@pytest.mark.parametrize("in_custody", [0, 4_000, 10_000])
def test_rebates_count_wallet_and_custody(system, cxpt, owner, holder, in_custody):
    system.vault.setRebateTiers([(10_000, 5_000)], sender=owner)
    system.give_cxpt(holder, 10_000)
    system.charge_fees(holder, 100)
    if in_custody:
        cxpt.approve(system.engine, in_custody, sender=holder)
        system.engine.deposit(system.cxpt_instrument, in_custody, sender=holder)
    assert system.vault.claimRebate(holder, sender=holder).return_value == 50


def test_rebate_on_fees_of_trading(system, to_custody, trade, owner, holder, other):
    """Fees of a real batch, charged by the Engine, are what the claim returns a part of."""
    system.vault.setRebateTiers([(50 * LOT, 5_000)], sender=owner)
    to_custody(holder, 100 * LOT)
    system.deposit_usdc(other, 10**6)
    trade(holder, other, 50)
    assert system.vault.sharesOf(system.engine) == 5_000
    assert system.vault.collectableFees() == 2_500
    for account in (holder, other):
        assert system.vault.claimRebate(account, sender=account).return_value == 1_250
    assert system.vault.sharesOf(system.engine) == system.vault.collectableFees() == 2_500


def test_rebate_with_cxpt_sold_before_the_claim(system, to_custody, trade, owner, holder, other):
    """What was sold counts for the buyer alone."""
    system.vault.setRebateTiers([(60 * LOT, 5_000)], sender=owner)
    to_custody(holder, 100 * LOT)
    system.deposit_usdc(other, 10**6)
    trade(holder, other, 60)
    with reverts("NoRebate", account=holder.address):
        system.vault.claimRebate(holder, sender=holder)
    assert system.vault.claimRebate(other, sender=other).return_value == 1_500
