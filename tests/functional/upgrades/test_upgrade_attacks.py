"""Attempts to take a contract over through its upgrade mechanism."""

import pytest
from ape.exceptions import ContractLogicError
from eth_utils import to_checksum_address

from tests.functional.upgrades.conftest import IMPLEMENTATION_SLOT
from tests.utils.contracts import contract_at
from tests.utils.reverts import assert_creation_reverts, reverts

NAMES = ("vault", "engine")


@pytest.fixture
def create_implementation(project, system, owner):
    """Deploy another implementation of a proxy by name."""

    def create(name):
        if name == "vault":
            return owner.deploy(project.Vault, system.usdc)
        packer = owner.deploy(project.BatchPacker)
        return owner.deploy(project.Engine, system.vault, system.registry, packer)

    return create


@pytest.fixture
def implementation_of(chain, project, system):
    """The implementation that a proxy uses now."""

    def find(name):
        proxy = getattr(system, name)
        word = chain.provider.get_storage(proxy.address, IMPLEMENTATION_SLOT)
        contract = {"vault": project.Vault, "engine": project.Engine}[name]
        return contract_at(contract, to_checksum_address(bytes(word)[-20:]))

    return find


@pytest.fixture
def initialise(system):
    """Call `initialize` of a contract in the caller's favour."""

    def run(name, contract, caller):
        arguments = (caller,) if name == "vault" else (caller, caller, caller, 50)
        contract.initialize(*arguments, sender=caller)

    return run


@pytest.mark.parametrize("name", NAMES)
def test_uninitialised_implementation(create_implementation, implementation_of, initialise, stranger, name):
    """Neither the implementation in use nor a fresh one can be initialised by anyone."""
    for implementation in (implementation_of(name), create_implementation(name)):
        with reverts("InvalidInitialization"):
            initialise(name, implementation, stranger)
        assert implementation.owner() == "0x" + "00" * 20


@pytest.mark.parametrize("name", NAMES)
def test_reinitialisation(system, create_implementation, initialise, owner, stranger, name):
    proxy = getattr(system, name)
    with reverts("InvalidInitialization"):
        initialise(name, proxy, stranger)
    proxy.upgradeToAndCall(create_implementation(name), b"", sender=owner)
    with reverts("InvalidInitialization"):
        initialise(name, proxy, stranger)
    assert proxy.owner() == owner


@pytest.mark.parametrize("name", NAMES)
def test_upgrade_by_others(system, create_implementation, operator, guardian, stranger, name):
    implementation = create_implementation(name)
    for caller in (operator, guardian, system.clearinghouse, system.order_control, stranger):
        with reverts("OwnableUnauthorizedAccount", account=caller.address):
            getattr(system, name).upgradeToAndCall(implementation, b"", sender=caller)


@pytest.mark.parametrize("name", NAMES)
def test_upgrade_by_the_pending_owner(system, create_implementation, owner, stranger, name):
    proxy = getattr(system, name)
    proxy.transferOwnership(stranger, sender=owner)
    with reverts("OwnableUnauthorizedAccount", account=stranger.address):
        proxy.upgradeToAndCall(create_implementation(name), b"", sender=stranger)


@pytest.mark.parametrize("name", NAMES)
def test_foreign_uuid(project, system, owner, name):
    """A contract that keeps its implementation elsewhere would brick the proxy."""
    uuid = b"\x11" * 32
    foreign = owner.deploy(project.MockForeignUuid, uuid)
    with reverts("UUPSUnsupportedProxiableUUID", slot=uuid):
        getattr(system, name).upgradeToAndCall(foreign, b"", sender=owner)


@pytest.mark.parametrize("name", NAMES)
def test_contract_without_uuid(system, owner, name):
    """A token, a proxy and an account without code are no implementations."""
    proxy = getattr(system, name)
    for target in (system.usdc, proxy):
        with reverts("ERC1967InvalidImplementation", implementation=target.address):
            proxy.upgradeToAndCall(target, b"", sender=owner)
    with pytest.raises(ContractLogicError):
        proxy.upgradeToAndCall(owner, b"", sender=owner)


@pytest.mark.parametrize("name", NAMES)
def test_implementation_called_directly(implementation_of, create_implementation, owner, stranger, name):
    """Upgrading an implementation itself could destroy the proxy's code; it has no owner and refuses."""
    implementation, other = implementation_of(name), create_implementation(name)
    for caller in (owner, stranger):
        with reverts("UUPSUnauthorizedCallContext"):
            implementation.upgradeToAndCall(other, b"", sender=caller)


@pytest.mark.parametrize("name", NAMES)
def test_uuid_is_erc1967s(implementation_of, name):
    assert int.from_bytes(implementation_of(name).proxiableUUID(), "big") == IMPLEMENTATION_SLOT


@pytest.mark.parametrize("name", NAMES)
def test_implementation_moves_no_funds(implementation_of, system, stranger, name):
    """Its own storage is empty: nothing is connected, nobody has a balance."""
    implementation = implementation_of(name)
    if name == "vault":
        with reverts("NotSettler", caller=stranger.address):
            implementation.settle([], [], sender=stranger)
        with reverts("NotQueue", caller=stranger.address):
            implementation.payOut(stranger, 1, sender=stranger)
    else:
        with reverts("NotQueue", caller=stranger.address):
            implementation.payOut(stranger, system.instrument, 1, sender=stranger)
        with reverts("NotOperator", caller=stranger.address):
            implementation.settleBatch(b"", sender=stranger)


@pytest.mark.parametrize("name", NAMES)
def test_proxy_front_run_before_its_initialisation(project, create_implementation, owner, name):
    """There is no moment between a proxy's creation and its initialisation."""
    implementation = create_implementation(name)
    error = "ERC1967ProxyUninitialized()"
    assert_creation_reverts(owner, project.UpgradeableProxy, [implementation, b""], error)


@pytest.mark.parametrize("name", NAMES)
def test_wiring_of_a_live_contract(system, owner, stranger, name):
    """What a contract obeys is named once; not even its owner redirects it without an upgrade."""
    proxy = getattr(system, name)
    others = [stranger] * (4 if name == "vault" else 3)
    with reverts("AlreadyConnected"):
        proxy.connect(*others, sender=owner)
