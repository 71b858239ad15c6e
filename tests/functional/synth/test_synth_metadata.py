"""What a synth says about itself, and where it is."""

import pytest
from ape import reverts as ape_reverts
from eth_abi import encode as abi_encode
from eth_account.messages import encode_typed_data
from eth_utils import keccak

from scripts._lib.addresses import CREATE2_DEPLOYER, SALT, create2_address
from tests.utils.contracts import contract_at, create2_init_code, deploy_create2
from tests.utils.reverts import assert_creation_reverts

DOMAIN = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"


@pytest.mark.parametrize("decimals", [0, 6, 8, 18])
def test_decimals_name_and_symbol_come_from_the_underlying(create_token, create_synth, decimals):
    token = create_token(decimals=decimals)
    synth = create_synth(token)
    assert synth.underlying() == token.address
    assert synth.decimals() == decimals
    assert (synth.name(), synth.symbol()) == ("Crosspoint Token", "xTKN")


def test_bytes32_name_and_symbol_of_early_tokens_are_read(create_token, create_synth):
    synth = create_synth(create_token("MockSilentToken"))
    assert (synth.name(), synth.symbol()) == ("Crosspoint Silent Token", "xSILENT")


def test_address_does_not_depend_on_who_deploys(project, create_token, maker, taker):
    code = create2_init_code(project.SynthERC20, create_token().address)
    maker.transfer(CREATE2_DEPLOYER, 0, data=SALT + code)
    synth = contract_at(project.SynthERC20, create2_address(code))
    assert synth.totalSupply() == 0
    with ape_reverts():  # the same code cannot be deployed twice
        taker.transfer(CREATE2_DEPLOYER, 0, data=SALT + code)


def test_underlying_must_be_a_token(project, owner, maker):
    assert_creation_reverts(owner, project.SynthERC20, [maker], "NotAToken(address)", maker.address)


def early_token(name: bytes, symbol: bytes) -> str:
    """Code that answers 6 to `decimals()` and 32 bytes to `name()` and to all else."""
    dispatch = "5f3560e01c" + "8063313ce56714603f57" + "6306fdde0314604857"
    answers = [f"7f{text.ljust(32, bytes(1)).hex()}5f5260205ff3" for text in (symbol, name)]
    return "0x" + dispatch + answers[0] + "5b60065f5260205ff3" + "5b" + answers[1]


def test_a_bytes32_symbol_may_fill_all_its_bytes(project, chain, owner):
    token, letters = "0x" + "51" * 20, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF"
    chain.provider.make_request("anvil_setCode", [token, early_token(b"Letters", letters.encode())])
    synth = deploy_create2(owner, project.SynthERC20, token)
    assert (synth.decimals(), synth.name(), synth.symbol()) == (6, "Crosspoint Letters", "x" + letters)


@pytest.mark.parametrize(
    ("name", "signed"),
    [
        ("Of twenty characters", "Crosspoint Of twenty characters"),
        ("Twenty-one characters", "Crosspoint Twenty-one character"),
        ("Nineteen letters ooé", "Crosspoint Nineteen letters oo"),  # the last character has two bytes
        ("Eighteen letters o日", "Crosspoint Eighteen letters o"),
        ("Wrapped liquid staked Ether 2.0", "Crosspoint Wrapped liquid stake"),
    ],
)
def test_permits_are_signed_for_31_bytes_of_the_name(project, chain, owner, name, signed):
    """The name itself is whole, and a character that does not fit is left out as a whole."""
    token = "0x" + "51" * 20
    chain.provider.make_request("anvil_setCode", [token, early_token(name.encode(), b"TOC")])
    synth = deploy_create2(owner, project.SynthERC20, token)
    assert synth.name() == f"Crosspoint {name}"
    assert synth.eip712Domain().name == signed
    words = [keccak(text=DOMAIN), keccak(text=signed), keccak(text="1"), chain.chain_id, synth.address]
    types = ["bytes32", "bytes32", "bytes32", "uint256", "address"]
    assert synth.DOMAIN_SEPARATOR() == keccak(abi_encode(types, words))


def test_a_contract_without_a_name_is_no_token(project, owner):
    contract = owner.deploy(project.MockOracle)
    assert_creation_reverts(owner, project.SynthERC20, [contract], "NotAToken(address)", contract.address)


def test_permit_sets_the_allowance(chain, synth, maker, taker):
    deadline = chain.pending_timestamp + 3600
    message = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Permit": [
                {"name": "owner", "type": "address"},
                {"name": "spender", "type": "address"},
                {"name": "value", "type": "uint256"},
                {"name": "nonce", "type": "uint256"},
                {"name": "deadline", "type": "uint256"},
            ],
        },
        "primaryType": "Permit",
        "domain": {
            "name": "Crosspoint Token",
            "version": "1",
            "chainId": chain.chain_id,
            "verifyingContract": synth.address,
        },
        "message": {
            "owner": maker.address,
            "spender": taker.address,
            "value": 77,
            "nonce": 0,
            "deadline": deadline,
        },
    }
    signature = maker.sign_message(encode_typed_data(full_message=message))
    synth.permit(maker, taker, 77, deadline, signature.v, signature.r, signature.s, sender=taker)
    assert synth.allowance(maker, taker) == 77
