"""What a synth says about itself, and where it is."""

import pytest
from ape import reverts as ape_reverts
from eth_account.messages import encode_typed_data

from scripts._lib.addresses import CREATE2_DEPLOYER, SALT, create2_address
from tests.utils.contracts import contract_at, create2_init_code
from tests.utils.reverts import assert_creation_reverts


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


def test_a_bytes32_symbol_may_fill_all_its_bytes(chain, create_token, create_synth):
    """The underlying's code answers 6 to `decimals()` and 32 letters to all else."""
    token = create_token()
    code = "5f3560e01c63313ce56714603557" + "7f" + b"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF".hex() + "5f5260205ff3"
    chain.provider.make_request("anvil_setCode", [token.address, "0x" + code + "5b60065f5260205ff3"])
    synth = create_synth(token)
    assert (synth.decimals(), synth.symbol()) == (6, "xABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF")


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
