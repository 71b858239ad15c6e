"""Deploy single contracts in tests."""

from __future__ import annotations

from typing import Any

from ape.api import AccountAPI
from ape.contracts import ContractContainer, ContractInstance

from scripts._lib.addresses import CREATE2_DEPLOYER, SALT, create2_address


def contract_at(contract: ContractContainer, address: str) -> ContractInstance:
    """Return `contract` at an address.

    `contract.at` prefers what Ape remembers of the address, also from before the chain was reverted. Ape is told,
    because it decodes errors by what it remembers.
    """
    remembered = contract.chain_manager.contracts
    del remembered[address]
    remembered[address] = contract.contract_type
    return ContractInstance(address, contract.contract_type)


def deploy_behind_proxy(
    sender: AccountAPI,
    contract: ContractContainer,
    proxy: ContractContainer,
    arguments: tuple[Any, ...],
    initial: tuple[Any, ...],
) -> ContractInstance:
    """Deploy `contract(*arguments)` and a proxy that initialises it with `initial`; return the proxy as it."""
    implementation = sender.deploy(contract, *arguments)
    instance = sender.deploy(proxy, implementation, implementation.initialize.encode_input(*initial))
    return contract_at(contract, instance.address)


def create2_init_code(contract: ContractContainer, *arguments: Any) -> bytes:
    """Return the creation code of `contract` followed by its encoded arguments."""
    return bytes(contract.constructor.serialize_transaction(*arguments).data)


def deploy_create2(sender: AccountAPI, contract: ContractContainer, *arguments: Any) -> ContractInstance:
    """Deploy through the canonical CREATE2 deployer, which answers with the predicted address."""
    init_code = create2_init_code(contract, *arguments)
    sender.transfer(CREATE2_DEPLOYER, 0, data=SALT + init_code)
    return contract_at(contract, create2_address(init_code))
