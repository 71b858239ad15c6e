"""Construction, ownership and upgrades."""

from __future__ import annotations

import pytest
from eth_utils import keccak

from tests.functional.clearinghouse.house import FUND, STORAGE
from tests.utils.contracts import deploy_behind_proxy
from tests.utils.reverts import assert_creation_reverts, reverts

ZERO = "0x" + 40 * "0"


@pytest.mark.parametrize("missing", range(3))
def test_every_address_is_needed(project, owner, house, missing):
    arguments = [house.engine.address, house.vault.address, house.registry.address]
    arguments[missing] = ZERO
    assert_creation_reverts(owner, project.Clearinghouse, arguments, "ZeroAddress()")


def test_what_it_is_wired_to(house, owner):
    clearing = house.clearing
    assert clearing.engine() == house.engine.address
    assert clearing.vault() == house.vault.address
    assert clearing.registry() == house.registry.address
    assert clearing.owner() == owner.address


def test_the_fund_is_an_account_without_a_key(house):
    assert house.clearing.FUND().lower() == FUND == "0x" + keccak(text="crosspoint.insurance-fund")[12:].hex()


def test_storage_lies_at_its_erc7201_slot():
    inner = int.from_bytes(keccak(text="crosspoint.storage.Clearinghouse"), "big") - 1
    assert int.from_bytes(keccak(inner.to_bytes(32, "big")), "big") & ~0xFF == STORAGE


def test_it_is_initialised_once(house, stranger):
    with reverts("InvalidInitialization"):
        house.clearing.initialize(stranger, sender=stranger)


def test_an_implementation_cannot_be_initialised(project, owner, house, stranger):
    arguments = (house.engine, house.vault, house.registry)
    implementation = owner.deploy(project.Clearinghouse, *arguments)
    with reverts("InvalidInitialization"):
        implementation.initialize(stranger, sender=stranger)


def test_only_the_owner_upgrades(project, owner, house, stranger):
    implementation = owner.deploy(project.Clearinghouse, house.engine, house.vault, house.registry)
    with reverts("OwnableUnauthorizedAccount", account=stranger.address):
        house.clearing.upgradeToAndCall(implementation, b"", sender=stranger)


def test_an_upgrade_keeps_positions(project, owner, house, maker, taker):
    house.trade(maker, taker, 3)
    before = house.position(maker), house.position(taker), house.pool()
    implementation = owner.deploy(project.Clearinghouse, house.engine, house.vault, house.registry)
    house.clearing.upgradeToAndCall(implementation, b"", sender=owner)
    assert (house.position(maker), house.position(taker), house.pool()) == before


def test_an_upgrade_to_something_else_is_refused(house, owner):
    with reverts("ERC1967InvalidImplementation", implementation=house.usdc.address):
        house.clearing.upgradeToAndCall(house.usdc, b"", sender=owner)


def test_ownership_moves_in_two_steps(house, owner, stranger):
    house.clearing.transferOwnership(stranger, sender=owner)
    assert house.clearing.owner() == owner.address
    house.clearing.acceptOwnership(sender=stranger)
    assert house.clearing.owner() == stranger.address


def test_the_code_fits_a_contract(project):
    assert len(project.Clearinghouse.contract_type.get_runtime_bytecode()) < 24_576


def test_two_houses_share_nothing(project, owner, house, maker, taker):
    house.trade(maker, taker, 1)
    arguments = (house.engine.address, house.vault.address, house.registry.address)
    other = deploy_behind_proxy(owner, project.Clearinghouse, project.UpgradeableProxy, arguments, (owner.address,))
    assert other.positionOf(maker, house.market) == (0, 0, 0)
