"""Views that revert: Ape garbles the custom error of a call on Anvil, so the wrapper here asks the node itself."""

from __future__ import annotations

from typing import Any

from ape.contracts import ContractInstance
from ape.exceptions import CustomError
from eth_utils.crypto import keccak
from web3.exceptions import ContractCustomError


class ViewCall:
    """One view of a contract. Everything but the call itself is Ape's."""

    def __init__(self, contract: ContractInstance, name: str) -> None:
        self._contract = contract
        self._handler = getattr(contract, name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        provider = self._contract.provider
        call = {"to": self._contract.address, "data": bytes(self._handler.encode_input(*arguments))}
        try:
            provider.web3.eth.call(call)
        except ContractCustomError as error:
            raise self._decode(bytes.fromhex(str(error.data)[2:])) from error
        return self._handler(*arguments, **options)

    def _decode(self, data: bytes) -> CustomError:
        ecosystem = self._contract.provider.network.ecosystem
        for abi in self._contract.contract_type.errors:
            if keccak(text=abi.selector)[:4] == data[:4]:
                return CustomError(abi, ecosystem.decode_calldata(abi, data[4:]))
        raise AssertionError(f"an error that the contract does not declare: 0x{data.hex()}")


class Views:
    """A contract whose views raise their custom errors decoded, for tests.utils.reverts."""

    def __init__(self, contract: ContractInstance) -> None:
        self._contract = contract
        self._names = {method.name for method in contract.contract_type.view_methods}

    def __getattr__(self, name: str) -> Any:
        if name in self._names:
            return ViewCall(self._contract, name)
        return getattr(self._contract, name)
