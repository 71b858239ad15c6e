"""EIP-712 hashes and signatures against eth_account, an independent implementation."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys import keys
from hypothesis import given
from hypothesis import strategies as st

from offchain.chain import eip712
from offchain.domain.order import NO_EXPIRY, Order

GROUP_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141

addresses = st.binary(min_size=20, max_size=20)
private_keys = st.integers(1, GROUP_ORDER - 1).map(lambda key: key.to_bytes(32, "big"))


def uints(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


orders = st.builds(
    Order,
    account=addresses,
    market=uints(32),
    side=uints(8),
    time_in_force=uints(8),
    reduce_only=st.booleans(),
    price=uints(64),
    quantity=uints(64),
    nonce=uints(64),
    epoch=uints(32),
    expiry=uints(64),
    max_fee_bps=uints(16),
    conversion_limit=uints(64),
)
domains = st.builds(eip712.Domain, chain_id=uints(256), engine=addresses)


@pytest.fixture
def domain() -> eip712.Domain:
    return eip712.Domain(31337, bytes.fromhex("11" * 20))


@pytest.fixture
def order() -> Order:
    return Order(b"\x22" * 20, 1, 0, 0, False, 1_000_000, 5, 1 << 32 | 7, 0, NO_EXPIRY, 50)


def signed_digest(message: dict[str, object]) -> bytes:
    signable = encode_typed_data(full_message=message)
    return eip712.keccak(b"\x19" + signable.version + signable.header + signable.body)


@given(orders, domains)
def test_order_digest_equals_eth_account(order: Order, domain: eip712.Domain) -> None:
    signable = encode_typed_data(full_message=eip712.typed_data(order, domain))
    assert eip712.order_hash(order) == signable.body
    assert domain.separator == signable.header
    assert eip712.order_digest(domain, eip712.order_hash(order)) == signed_digest(eip712.typed_data(order, domain))


@given(addresses, st.binary(min_size=32, max_size=32), domains)
def test_cancel_digest_equals_eth_account(account: bytes, order_hash: bytes, domain: eip712.Domain) -> None:
    expected = signed_digest(eip712.typed_cancel(account, order_hash, domain))
    assert eip712.cancel_digest(domain, account, order_hash) == expected


@given(st.lists(orders, min_size=1, max_size=10), domains)
def test_array_digest_equals_eth_account(together: list[Order], domain: eip712.Domain) -> None:
    array_hash = eip712.array_hash([eip712.order_hash(order) for order in together])
    signable = encode_typed_data(full_message=eip712.typed_array(together, domain))
    assert array_hash == signable.body
    assert eip712.order_digest(domain, array_hash) == signed_digest(eip712.typed_array(together, domain))


@given(addresses, uints(32), domains)
def test_cancel_all_digest_equals_eth_account(account: bytes, epoch: int, domain: eip712.Domain) -> None:
    expected = signed_digest(eip712.typed_cancel_all(account, epoch, domain))
    assert eip712.cancel_all_digest(domain, account, epoch) == expected


@given(st.tuples(addresses, uints(8), uints(32), uints(256), uints(64), uints(64)), domains)
def test_withdraw_digest_equals_eth_account(
    request: tuple[bytes, int, int, int, int, int], domain: eip712.Domain
) -> None:
    expected = signed_digest(eip712.typed_withdraw(*request, domain))
    assert eip712.withdraw_digest(domain, *request) == expected


@given(st.tuples(addresses, addresses, uints(64), uints(64)), domains)
def test_delegate_digest_equals_eth_account(terms: tuple[bytes, bytes, int, int], domain: eip712.Domain) -> None:
    expected = signed_digest(eip712.typed_delegate(*terms, domain))
    assert eip712.delegate_digest(domain, *terms) == expected


def test_an_array_of_one_order_is_not_the_order(order: Order) -> None:
    order_hash = eip712.order_hash(order)
    assert eip712.array_hash([order_hash]) != order_hash


@pytest.mark.parametrize(
    "digest",
    [
        lambda domain: eip712.cancel_all_digest(domain, b"\1" * 19, 0),
        lambda domain: eip712.cancel_all_digest(domain, b"\1" * 20, 2**32),
        lambda domain: eip712.withdraw_digest(domain, b"\1" * 20, 0, 0, 2**256, 0, 0),
        lambda domain: eip712.withdraw_digest(domain, b"\1" * 20, 256, 0, 1, 0, 0),
        lambda domain: eip712.delegate_digest(domain, b"\1" * 20, b"\1" * 21, 0, 0),
        lambda domain: eip712.delegate_digest(domain, b"\1" * 20, b"\1" * 20, 2**64, 0),
    ],
)
def test_what_does_not_fit_its_type_is_not_hashed(
    domain: eip712.Domain, digest: Callable[[eip712.Domain], bytes]
) -> None:
    with pytest.raises(ValueError, match=r"address has 20 bytes|signed type|256-bit"):
        digest(domain)


@given(orders, domains, private_keys)
def test_signatures_interoperate(order: Order, domain: eip712.Domain, private_key: bytes) -> None:
    digest = eip712.order_digest(domain, eip712.order_hash(order))
    account = bytes.fromhex(Account.from_key(private_key).address[2:])
    foreign = Account.sign_typed_data(private_key, full_message=eip712.typed_data(order, domain)).signature
    assert eip712.address_of(private_key) == account
    assert eip712.recover(digest, bytes(foreign)) == account
    assert eip712.recover(digest, eip712.compact(bytes(foreign))) == account
    assert eip712.compact(bytes(foreign)) == eip712.sign(digest, private_key)


def test_every_field_changes_the_hash(order: Order) -> None:
    changes = {
        "account": b"\x23" * 20,
        "market": 2,
        "side": 1,
        "time_in_force": 1,
        "reduce_only": True,
        "price": 1,
        "quantity": 6,
        "nonce": 7,
        "epoch": 1,
        "expiry": 1,
        "max_fee_bps": 49,
        "conversion_limit": 1,
    }
    assert set(changes) == set(Order.__struct_fields__)
    hashes = {eip712.order_hash(msgspec.structs.replace(order, **{name: value})) for name, value in changes.items()}
    assert len(hashes | {eip712.order_hash(order)}) == len(changes) + 1


@pytest.mark.parametrize(
    ("field", "value"),
    [("price", 2**64), ("price", -1), ("market", 2**32), ("side", 256), ("max_fee_bps", 2**16), ("account", b"\1")],
)
def test_a_field_beyond_its_type_is_refused(order: Order, field: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"order: a field|account: an address"):
        eip712.order_hash(msgspec.structs.replace(order, **{field: value}))


@pytest.mark.parametrize(("chain_id", "engine"), [(1, b"\1" * 19), (-1, b"\1" * 20), (1 << 256, b"\1" * 20)])
def test_an_impossible_domain_is_refused(chain_id: int, engine: bytes) -> None:
    with pytest.raises(ValueError, match=r"engine|chain_id"):
        eip712.Domain(chain_id, engine)


# ---------------------------------------------------------------------------------------------------------------------
# Forms of signatures
# ---------------------------------------------------------------------------------------------------------------------

DIGEST = eip712.keccak(b"digest")
PRIVATE_KEY = b"\x07" * 32


@pytest.fixture
def wallet_signature() -> bytes:
    """65 bytes with v 0 or 1."""
    return keys.PrivateKey(PRIVATE_KEY).sign_msg_hash(DIGEST).to_bytes()


def test_v_may_be_0_1_27_28(wallet_signature: bytes) -> None:
    signer = eip712.address_of(PRIVATE_KEY)
    for offset in (0, 27):
        signature = wallet_signature[:64] + bytes((wallet_signature[64] + offset,))
        assert eip712.recover(DIGEST, signature) == signer
        assert eip712.recover(DIGEST, eip712.compact(signature)) == signer


@pytest.mark.parametrize("v", [2, 26, 29, 255])
def test_another_v_is_refused(wallet_signature: bytes, v: int) -> None:
    assert eip712.recover(DIGEST, wallet_signature[:64] + bytes((v,))) is None
    with pytest.raises(ValueError, match="signature"):
        eip712.compact(wallet_signature[:64] + bytes((v,)))


@pytest.mark.parametrize("length", [0, 1, 63, 66, 130])
def test_another_length_is_refused(length: int) -> None:
    assert eip712.recover(DIGEST, b"\1" * length) is None
    with pytest.raises(ValueError, match="signature"):
        eip712.compact(b"\1" * length)


def test_the_malleable_twin_is_refused(wallet_signature: bytes) -> None:
    s = GROUP_ORDER - int.from_bytes(wallet_signature[32:64], "big")
    twin = wallet_signature[:32] + s.to_bytes(32, "big") + bytes((1 - wallet_signature[64],))
    assert keys.Signature(twin).recover_public_key_from_msg_hash(DIGEST).to_canonical_address() == (
        eip712.address_of(PRIVATE_KEY)
    )
    assert eip712.recover(DIGEST, twin) is None


@pytest.mark.parametrize(("r", "s"), [(0, 1), (1, 0), (0, 0), (GROUP_ORDER, 1), (2**256 - 1, 1)])
def test_a_signature_without_a_point_is_refused(r: int, s: int) -> None:
    assert eip712.recover(DIGEST, r.to_bytes(32, "big") + s.to_bytes(32, "big")) is None


def test_another_digest_gives_another_signer(wallet_signature: bytes) -> None:
    assert eip712.recover(eip712.keccak(b"other"), wallet_signature) != eip712.address_of(PRIVATE_KEY)


@pytest.mark.parametrize("private_key", [b"", b"\0" * 32, b"\xff" * 32, b"\1" * 33])
def test_an_impossible_private_key_is_refused(private_key: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the library's words
        eip712.sign(DIGEST, private_key)
