"""Opening, replacing and canceling requests."""

import pytest

from tests.functional.queue.conftest import CXPT_REDEEM, INSTRUMENT, USDC, USDC_AS_CXPT
from tests.utils.custody import deploy_custody
from tests.utils.reverts import assert_creation_reverts, reverts

NO_REQUEST = (0, 0)


@pytest.mark.parametrize("kind", [USDC, USDC_AS_CXPT, INSTRUMENT])
def test_request_is_recorded_with_its_time(queue, asset_of, maker, kind):
    receipt = queue.request(*asset_of(kind), 70, sender=maker)
    assert tuple(queue.requestOf(maker, *asset_of(kind))) == (70, receipt.timestamp)
    instrument = asset_of(kind)[1]
    assert receipt.events == [
        queue.WithdrawalRequested(
            account=maker, kind=kind, instrument=instrument, amount=70, requestedAt=receipt.timestamp
        )
    ]


@pytest.mark.parametrize(("as_cxpt", "kind"), [(False, USDC), (True, USDC_AS_CXPT)])
def test_the_vaults_door_opens_the_callers_request(system, queue, maker, as_cxpt, kind):
    system.vault.withdraw(33, as_cxpt, sender=maker)
    assert queue.requestOf(maker, kind, 0).amount == 33
    assert tuple(queue.requestOf(maker, USDC_AS_CXPT - kind, 0)) == NO_REQUEST


def test_a_new_request_replaces_the_old_and_restarts_its_clock(queue, chain, maker):
    queue.request(USDC, 0, 70, sender=maker)
    chain.mine(deltatime=3_000)
    receipt = queue.request(USDC, 0, 50, sender=maker)
    assert tuple(queue.requestOf(maker, USDC, 0)) == (50, receipt.timestamp)


def test_requests_of_accounts_and_assets_are_separate(system, queue, maker, taker):
    queue.request(USDC, 0, 1, sender=maker)
    queue.request(INSTRUMENT, system.instrument, 2, sender=maker)
    queue.request(USDC, 0, 3, sender=taker)
    queue.cancel(USDC, 0, sender=maker)
    assert tuple(queue.requestOf(maker, USDC, 0)) == NO_REQUEST
    assert queue.requestOf(maker, INSTRUMENT, system.instrument).amount == 2
    assert queue.requestOf(taker, USDC, 0).amount == 3


def test_cancel_closes_the_request(queue, maker):
    queue.request(USDC, 0, 5, sender=maker)
    receipt = queue.cancel(USDC, 0, sender=maker)
    assert receipt.events == [queue.WithdrawalCanceled(account=maker, kind=USDC, instrument=0)]
    for call in (lambda: queue.cancel(USDC, 0, sender=maker), lambda: queue.settle(maker, USDC, 0, sender=maker)):
        with reverts("NoRequest", account=maker.address, kind=USDC, instrument=0):
            call()


def test_cxpt_waits_for_the_token(project, system, owner, operator, guardian, accounts, maker):
    unfinished = deploy_custody(project, owner, operator, guardian, accounts[7:9], with_cxpt=False)
    for kind in (USDC_AS_CXPT, CXPT_REDEEM):
        with reverts("CxptUnavailable"):
            unfinished.queue.request(kind, 0, 5, sender=maker)
    with reverts("CxptUnavailable"):
        unfinished.vault.withdraw(5, True, sender=maker)


def test_zero_and_too_large_amounts_are_refused(system, queue, maker):
    with reverts("ZeroAmount"):
        queue.request(USDC, 0, 0, sender=maker)
    with reverts("ZeroAmount"):
        system.vault.withdraw(0, False, sender=maker)
    with reverts("AmountTooLarge", amount=2**128):
        queue.request(USDC, 0, 2**128, sender=maker)
    queue.request(USDC, 0, 2**128 - 1, sender=maker)


def test_instrument_must_exist_and_usdc_names_none(system, queue, maker):
    cases = [(INSTRUMENT, 0), (INSTRUMENT, system.cxpt_instrument + 1)]
    cases += [(kind, system.instrument) for kind in (USDC, USDC_AS_CXPT, CXPT_REDEEM)]
    for kind, instrument in cases:
        with reverts("UnknownInstrument", instrument=instrument):
            queue.request(kind, instrument, 5, sender=maker)


def test_only_the_vault_requests_for_others(queue, operator, maker, taker):
    for caller in (operator, maker):
        with reverts("NotVault", caller=caller.address):
            queue.requestFor(taker, 5, False, sender=caller)


def test_constructor_names_every_contract(system, queue):
    assert (queue.vault(), queue.engine(), queue.registry()) == (system.vault, system.engine, system.registry)
    assert (queue.WINDOW(), queue.REDEEM_DELAY()) == (3600, 48 * 3600)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_constructor_refuses_zero_addresses(project, system, owner, missing):
    addresses = [system.vault, system.engine, system.registry]
    addresses[missing] = "0x" + "00" * 20
    assert_creation_reverts(owner, project.WithdrawalQueue, addresses, "ZeroAddress()")
