"""Wiring, ownership, upgrades and storage."""

import pytest
from eth_utils import keccak

from tests.utils.reverts import assert_creation_reverts, reverts

ZERO = "0x" + "00" * 20


def test_connect_is_once_and_the_owners(create_vault, usdc, owner, engine, queue, clearinghouse, order_control, maker):
    vault = create_vault(usdc, connected=False)
    contracts = [engine, queue, clearinghouse, order_control]
    with reverts("OwnableUnauthorizedAccount", account=maker.address):
        vault.connect(*contracts, sender=maker)
    for missing in range(4):
        with reverts("ZeroAddress"):
            vault.connect(*contracts[:missing], ZERO, *contracts[missing + 1 :], sender=owner)
    receipt = vault.connect(*contracts, sender=owner)
    assert receipt.events == [
        vault.Connected(engine=engine, queue=queue, clearinghouse=clearinghouse, orderControl=order_control)
    ]
    assert [vault.engine(), vault.queue(), vault.clearinghouse(), vault.orderControl()] == contracts
    with reverts("AlreadyConnected"):
        vault.connect(*contracts, sender=owner)


def test_withdraw_needs_a_queue(create_vault, usdc, maker):
    with reverts("NotConnected"):
        create_vault(usdc, connected=False).withdraw(1, False, sender=maker)


def test_ownership_moves_in_two_steps(vault, owner, maker):
    vault.transferOwnership(maker, sender=owner)
    assert vault.owner() == owner
    vault.acceptOwnership(sender=maker)
    assert vault.owner() == maker


def test_initialises_once(project, vault, owner, maker, usdc):
    with reverts("InvalidInitialization"):
        vault.initialize(maker, sender=maker)
    implementation = owner.deploy(project.Vault, usdc)
    with reverts("InvalidInitialization"):
        implementation.initialize(maker, sender=maker)


def test_asset_and_owner_must_exist(project, owner, usdc):
    assert_creation_reverts(owner, project.Vault, [ZERO], "ZeroAddress()")
    implementation = owner.deploy(project.Vault, usdc)
    nobody = implementation.initialize.encode_input(ZERO)
    assert_creation_reverts(
        owner, project.UpgradeableProxy, [implementation, nobody], "OwnableInvalidOwner(address)", ZERO
    )


def test_proxy_refuses_to_stay_uninitialised(project, owner, usdc):
    implementation = owner.deploy(project.Vault, usdc)
    assert_creation_reverts(owner, project.UpgradeableProxy, [implementation, b""], "ERC1967ProxyUninitialized()")


def test_only_the_owner_upgrades(project, vault, usdc, deposit, owner, maker):
    deposit(vault, usdc, maker, 10)
    implementation = owner.deploy(project.Vault, usdc)
    with reverts("OwnableUnauthorizedAccount", account=maker.address):
        vault.upgradeToAndCall(implementation, b"", sender=maker)
    vault.upgradeToAndCall(implementation, b"", sender=owner)
    assert vault.sharesOf(maker) == 10


def test_account_slot_layout(chain, vault, usdc, deposit, maker):
    """shares u128 | epoch u32 | epochBumpAt u40 | feesPaid u56, from the most significant bit, in the namespace."""
    deposit(vault, usdc, maker, 0x1234)
    namespace = int.from_bytes(keccak(text="crosspoint.storage.Vault"), "big") - 1
    root = int.from_bytes(keccak(namespace.to_bytes(32, "big")), "big") & ~0xFF
    slot = int.from_bytes(
        keccak(bytes.fromhex(maker.address[2:]).rjust(32, b"\0") + (root + 3).to_bytes(32, "big")), "big"
    )

    def read(address, position):
        return int.from_bytes(chain.provider.get_storage(address, position), "big")

    assert read(vault.address, slot) == 0x1234 << 128
    assert read(vault.address, root + 2) == 0x1234
    word = (0x99 << 128) + (7 << 96) + (0x55 << 56) + 0x66
    chain.provider.make_request("anvil_setStorageAt", [vault.address, hex(slot), f"0x{word:064x}"])
    assert (vault.sharesOf(maker), vault.epochOf(maker)) == (0x99, 7)
    assert (vault.epochBumpAt(maker), vault.feesPaidOf(maker)) == (0x55, 0x66)


@pytest.mark.parametrize("epoch", [0, 8])
def test_settlement_keeps_the_epoch(chain, vault, settle, maker, taker, epoch):
    root = int.from_bytes(
        keccak((int.from_bytes(keccak(text="crosspoint.storage.Vault"), "big") - 1).to_bytes(32, "big")), "big"
    )
    table = (root & ~0xFF) + 3
    slot = keccak(bytes.fromhex(maker.address[2:]).rjust(32, b"\0") + table.to_bytes(32, "big")).hex()
    word = (50 << 128) + (7 << 96) + (123 << 56) + 9
    chain.provider.make_request("anvil_setStorageAt", [vault.address, f"0x{slot}", f"0x{word:064x}"])
    with reverts("StaleEpoch", index=0):
        settle((maker, epoch, -20), (taker, 0, 20))
    settle((maker, 7, -20), (taker, 0, 20))
    assert int.from_bytes(chain.provider.get_storage(vault.address, int(slot, 16)), "big") == word - (20 << 128)
