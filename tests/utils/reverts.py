"""Assert that a call reverts with one custom error and exactly its arguments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from ape import networks, project
from ape.api import AccountAPI
from ape.contracts import ContractContainer
from ape.exceptions import ContractLogicError, CustomError
from eth_abi import encode
from eth_utils import keccak
from ethpm_types.abi import ErrorABI
from hexbytes import HexBytes
from web3.exceptions import ContractCustomError


@contextmanager
def reverts(error: str, **arguments: Any) -> Iterator[None]:
    """Expect the custom error named `error` with these arguments, all of them.

    Ape's own `reverts` accepts an error that it could not decode; this one does not.
    """
    with pytest.raises(ContractLogicError) as caught:
        yield
    assert decoded(caught.value) == (error, arguments)


def decoded(failure: ContractLogicError) -> tuple[str, dict[str, Any]]:
    """Name and arguments of a custom error; of anything else what it said, and no arguments.

    Ape looks for the error in the ABI of the contract that was called last, which is not always the one that reverted.
    """
    if isinstance(failure, CustomError):
        return failure.abi.name, dict(failure.inputs)
    message = failure.revert_message
    abi = _errors().get(message[:10]) if message.startswith("0x") else None
    if abi is None:
        return f"no error of the project's: {message}", {}
    return abi.name, networks.ethereum.decode_calldata(abi, HexBytes(message[10:]))


@cache
def _errors() -> dict[str, ErrorABI]:
    """All errors that the project's contracts declare, by selector."""
    types = [container.contract_type for container in project.contracts.values()]
    return {"0x" + keccak(text=abi.selector)[:4].hex(): abi for kind in types for abi in kind.errors}


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
