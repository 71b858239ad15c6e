"""Construction, wiring, and a check that no error is without a test."""

from pathlib import Path

from ape import reverts

ZERO = "0x" + "00" * 20


def test_wiring(exchange):
    assert exchange.control.engine() == exchange.engine.address
    assert exchange.control.vault() == exchange.vault.address
    assert exchange.control.WINDOW() == exchange.engine.WINDOW() == 3_600


def test_constructor_refuses_zero_addresses(exchange, project, owner):
    for arguments in ((ZERO, exchange.vault), (exchange.engine, ZERO)):
        with reverts():
            owner.deploy(project.OrderControl, *arguments)


def test_only_order_control_bumps_epochs(exchange, operator, stranger):
    call = bytes(exchange.vault.bumpEpoch.encode_input(stranger, 0))
    for caller in (operator, stranger):
        refusal = exchange.call(call, caller, exchange.vault)
        assert refusal == exchange.refusal("NotOrderControl", caller.address)


def test_every_error_has_a_test(project):
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    untested = [error.name for error in project.IOrderControl.contract_type.errors if f'"{error.name}"' not in tests]
    assert untested == []
