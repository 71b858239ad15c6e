"""What can happen only if something else is broken, and a check that no error of the Engine is without a test."""

from pathlib import Path

from eth_utils import keccak

from tests.utils.batches import BUY, SELL

POSITIONS = 0x9F1B5E2CA104415BFDC6E210BB3398404BF08BCD8AFB5FB88A80699712E07B00 + 4

EMPTY_ARRAY = "0x6020600052604060" + "00f3"
"""Code that answers every call with an empty array."""


def test_registry_that_answers_too_little(exchange, maker, taker):
    batch = exchange.batch([(exchange.order(maker, SELL), exchange.order(taker, BUY), 1)])
    exchange.accept(batch)
    code = exchange.provider.web3.eth.get_code(exchange.registry.address)
    exchange.provider.make_request("anvil_setCode", [exchange.registry.address, EMPTY_ARRAY])
    try:
        exchange.refuse(batch, "RegistryMismatch")
    finally:
        exchange.provider.make_request("anvil_setCode", [exchange.registry.address, "0x" + bytes(code).hex()])


def test_balance_beyond_128_bits(exchange, maker, taker):
    """More than 2^128 quanta of one asset cannot be deposited, so the balance is written to storage."""
    batch = exchange.batch([(exchange.order(maker, SELL), exchange.order(taker, BUY), 1)])
    position = [account for account, _ in batch.accounts].index(taker.address)
    key = int(taker.address, 16) << 96 | exchange.btc << 64
    location = keccak(key.to_bytes(32, "big") + POSITIONS.to_bytes(32, "big"))

    def write(balance):
        value = (balance << 128).to_bytes(32, "big")
        arguments = [exchange.engine.address, "0x" + location.hex(), "0x" + value.hex()]
        exchange.provider.make_request("anvil_setStorageAt", arguments)

    write(2**128 - 1_000)
    exchange.refuse(batch, "BalanceOverflow", position)
    write(2**128 - 1_001)
    exchange.accept(batch)


def test_every_error_has_a_test(project):
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    untested = [error.name for error in project.IEngine.contract_type.errors if f'"{error.name}"' not in tests]
    assert untested == []
