"""The system of the Engine's tests, and a delegate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import keccak

from tests.functional.engine.conftest import (  # noqa: F401
    create_trader,
    exchange,
    fund,
    maker,
    pass_time,
    taker,
    third,
)
from tests.functional.engine.exchange import Exchange

DAY = 86_400


@pytest.fixture(scope="module")
def delegate() -> LocalAccount:
    """A key without an account in the exchange."""
    key: LocalAccount = Account.from_key(keccak(text="delegate"))
    return key


@pytest.fixture
def refuse(exchange: Exchange) -> Callable[..., None]:  # noqa: F811
    """Expect that a call of OrderControl reverts with exactly this error."""

    def run(sender: Any, method: str, arguments: tuple[Any, ...], name: str, *values: Any) -> None:
        data = bytes(getattr(exchange.control, method).encode_input(*arguments))
        refusal = exchange.call(data, sender, exchange.control)
        assert refusal is not None, f"expected {name}{values}, but it was accepted"
        expected = exchange.refusal(name, *values, first=exchange.control)
        assert refusal == expected, f"expected {name}{values}, got {refusal}"

    return run
