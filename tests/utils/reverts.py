"""Assert that a call reverts with one custom error and exactly its arguments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from ape.api import AccountAPI
from ape.contracts import ContractContainer
from ape.exceptions import ContractLogicError, CustomError
from eth_abi import encode
from eth_utils import keccak
from web3.exceptions import ContractCustomError


@contextmanager
def reverts(error: str, **arguments: Any) -> Iterator[None]:
    """Expect the custom error named `error` with these arguments, all of them.

    Ape's own `reverts` accepts an error that it could not decode; this one does not.
    """
    with pytest.raises(ContractLogicError) as caught:
        yield
    failure = caught.value
    assert isinstance(failure, CustomError), f"expected {error}, reverted with {failure.revert_message!r}"
    assert (failure.abi.name, dict(failure.inputs)) == (error, arguments)


def assert_creation_reverts(
    sender: AccountAPI, contract: ContractContainer, arguments: Any, error: str, *values: Any
) -> None:
    """Check that `contract(*arguments)` cannot be created, for the error of this signature with these values.

    Ape cannot decode the errors of a constructor, so this looks at the bytes.
    """
    init_code = contract.constructor.serialize_transaction(*arguments).data
    with pytest.raises(ContractCustomError) as caught:
        sender.provider.web3.eth.call({"from": sender.address, "data": init_code})
    types = [name for name in error[error.index("(") + 1 : -1].split(",") if name]
    assert caught.value.data == "0x" + (keccak(text=error)[:4] + encode(types, values)).hex()
