"""Construction, initialisation, upgrades, wiring and storage layout."""

import pytest
from ape import reverts as ape_reverts
from eth_utils import keccak

from tests.utils.batches import BUY, SELL
from tests.utils.contracts import deploy_behind_proxy
from tests.utils.reverts import reverts

ZERO = "0x" + "00" * 20
STORAGE = 0x9F1B5E2CA104415BFDC6E210BB3398404BF08BCD8AFB5FB88A80699712E07B00
IMPLEMENTATION = int.from_bytes(keccak(text="eip1967.proxy.implementation"), "big") - 1


def test_storage_is_where_erc_7201_says():
    seed = int.from_bytes(keccak(text="crosspoint.storage.Engine"), "big") - 1
    assert int.from_bytes(keccak(seed.to_bytes(32, "big")), "big") & ~0xFF == STORAGE


def test_constants_and_wiring(exchange, owner, operator, guardian):
    engine = exchange.engine
    assert (engine.WINDOW(), engine.MAX_FEE_BPS(), engine.MAX_HALT(), engine.HALT_PAUSE()) == (
        3600,
        50,
        86_400,
        259_200,
    )
    assert (engine.vault(), engine.registry(), engine.packer()) == (
        exchange.vault.address,
        exchange.registry.address,
        exchange.packer.address,
    )
    assert (engine.queue(), engine.orderControl(), engine.clearinghouse()) == (
        exchange.queue.address,
        exchange.control.address,
        exchange.clearinghouse.address,
    )
    assert (engine.owner(), engine.operator(), engine.guardian(), engine.feeBps()) == (owner, operator, guardian, 50)
    assert engine.lastBatch() == (0, 0)
    assert engine.lastHalt() == (0, 0)


def test_configuration_has_the_documented_layout(exchange, guardian, operator, maker, taker):
    batch = exchange.batch([(exchange.order(maker, SELL), exchange.order(taker, BUY), 1)])
    exchange.settle(batch)
    exchange.engine.halt(sender=guardian)
    start = exchange.now
    stored = [exchange.provider.get_storage(exchange.engine.address, STORAGE + i) for i in range(4)]
    words = [int.from_bytes(word, "big") for word in stored]
    assert words[0] == 1 << 248 | batch.matched_at << 208 | 1 << 160 | int(operator.address, 16)
    assert words[1] == 50 << 120 | (start + 86_400) << 40 | start
    assert words[2] == int(guardian.address, 16)
    assert words[3] == int(exchange.queue.address, 16)


def test_proxy_is_initialised_once(exchange, owner, stranger):
    call = exchange.engine.initialize.encode_input(stranger, stranger, stranger, 0)
    exchange.expect(bytes(call), "InvalidInitialization", sender=stranger)


def test_implementation_cannot_be_initialised(exchange, project, owner, stranger):
    implementation = owner.deploy(project.Engine, exchange.vault, exchange.registry, exchange.packer)
    with reverts("InvalidInitialization"):
        implementation.initialize(stranger, stranger, stranger, 0, sender=stranger)


@pytest.mark.parametrize(
    ("index", "value", "error", "arguments"),
    [
        (0, ZERO, "OwnableInvalidOwner", {"owner": ZERO}),
        (1, ZERO, "ZeroAddress", {}),
        (2, ZERO, "ZeroAddress", {}),
        (3, 51, "FeeTooHigh", {"feeBps": 51, "highest": 50}),
    ],
)
def test_bad_initial_values_are_refused(exchange, project, owner, operator, guardian, index, value, error, arguments):
    implementation = owner.deploy(project.Engine, exchange.vault, exchange.registry, exchange.packer)
    values = [owner.address, operator.address, guardian.address, 50]
    values[index] = value
    code = project.UpgradeableProxy.constructor.serialize_transaction(
        implementation.address, implementation.initialize.encode_input(*values)
    ).data
    answer = exchange.provider.web3.provider.make_request(
        "eth_call", [{"from": owner.address, "data": "0x" + bytes(code).hex()}, "latest"]
    )
    assert answer["error"]["data"] == "0x" + exchange.refusal(error, *arguments.values()).data.hex()


def test_highest_and_lowest_fee_are_accepted(exchange, project, owner, operator, guardian):
    for fee in (0, 50):
        arguments = (exchange.vault.address, exchange.registry.address, exchange.packer.address)
        roles = (owner.address, operator.address, guardian.address, fee)
        engine = deploy_behind_proxy(owner, project.Engine, project.UpgradeableProxy, arguments, roles)
        assert engine.feeBps() == fee


def test_constructor_refuses_zero_addresses(exchange, project, owner):
    parts = (exchange.vault, exchange.registry, exchange.packer)
    for index in range(3):
        arguments = [ZERO if i == index else part for i, part in enumerate(parts)]
        with ape_reverts():
            owner.deploy(project.Engine, *arguments)


def test_engine_is_connected_once_by_the_owner(exchange, project, owner, operator, guardian, stranger):
    arguments = (exchange.vault.address, exchange.registry.address, exchange.packer.address)
    roles = (owner.address, operator.address, guardian.address, 0)
    engine = deploy_behind_proxy(owner, project.Engine, project.UpgradeableProxy, arguments, roles)
    peers = (exchange.queue.address, exchange.control.address, exchange.clearinghouse.address)
    with reverts("OwnableUnauthorizedAccount", account=stranger.address):
        engine.connect(*peers, sender=stranger)
    for index in range(3):
        with reverts("ZeroAddress"):
            engine.connect(*peers[:index], ZERO, *peers[index + 1 :], sender=owner)
    receipt = engine.connect(*peers, sender=owner)
    assert [(e.queue, e.orderControl, e.clearinghouse) for e in receipt.decode_logs(engine.Connected)] == [peers]
    with reverts("AlreadyConnected"):
        engine.connect(*peers, sender=owner)


def test_roles_are_announced_at_initialisation(exchange, operator, guardian):
    logs = [
        log
        for log in exchange.provider.web3.eth.get_logs({"address": exchange.engine.address, "fromBlock": 0})
        if bytes(log["topics"][0]) in (keccak(text="OperatorChanged(address)"), keccak(text="GuardianChanged(address)"))
    ]
    assert [bytes(log["topics"][1])[12:].hex() for log in logs] == [
        operator.address[2:].lower(),
        guardian.address[2:].lower(),
    ]


def test_only_the_owner_upgrades(exchange, project, owner, operator, guardian, maker, taker):
    exchange.settle_fills((exchange.order(maker, SELL), exchange.order(taker, BUY), 3))
    implementation = owner.deploy(project.Engine, exchange.vault, exchange.registry, exchange.packer)
    upgrade = bytes(exchange.engine.upgradeToAndCall.encode_input(implementation, b""))
    for caller in (operator, guardian):
        exchange.expect(upgrade, "OwnableUnauthorizedAccount", caller.address, sender=caller)
    balance = exchange.base_of(maker)
    exchange.engine.upgradeToAndCall(implementation, b"", sender=owner)
    stored = exchange.provider.get_storage(exchange.engine.address, IMPLEMENTATION)
    assert bytes(stored)[12:].hex() == implementation.address[2:].lower()
    assert exchange.engine.lastBatch()[0] == 1
    assert exchange.base_of(maker) == balance
    exchange.settle_fills((exchange.order(maker, SELL), exchange.order(taker, BUY), 3))
    assert exchange.state_of(exchange.order(maker, SELL)) == (1, 6)


def test_upgrade_to_what_is_no_implementation_is_refused(exchange, owner):
    upgrade = bytes(exchange.engine.upgradeToAndCall.encode_input(exchange.registry, b""))
    exchange.expect(upgrade, "ERC1967InvalidImplementation", exchange.registry.address, sender=owner)


def test_ownership_moves_in_two_steps(exchange, owner, stranger):
    exchange.engine.transferOwnership(stranger, sender=owner)
    assert exchange.engine.owner() == owner
    exchange.engine.acceptOwnership(sender=stranger)
    assert exchange.engine.owner() == stranger
