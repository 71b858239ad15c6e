"""The service's EIP-712 hashes equal the Engine's own."""

from __future__ import annotations

import msgspec
import pytest
from ape.api import AccountAPI
from ape.managers import ChainManager
from ape.managers.project import ProjectManager
from eth_abi import encode as abi_encode
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from offchain.chain import eip712
from offchain.domain.order import Order
from tests.strategies import PROFILE
from tests.utils.deployed import Exchange, deploy_exchange

TYPES = [kind for _, kind in eip712.ORDER_FIELDS]
FUNCTIONS = {name: eip712.keccak(f"{name}(({','.join(TYPES)}))".encode())[:4] for name in ("hashOrder", "orderDigest")}


def uints(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


ORDERS = st.builds(
    Order,
    account=st.binary(min_size=20, max_size=20),
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
ZERO = Order(bytes(20), 0, 0, 0, False, 0, 0, 0, 0, 0, 0, 0)
FULL = Order(b"\xff" * 20, 2**32 - 1, 255, 255, True, *[2**64 - 1] * 3, 2**32 - 1, 2**64 - 1, 2**16 - 1, 2**64 - 1)


@pytest.fixture(scope="module")
def exchange(
    chain: ChainManager, project: ProjectManager, owner: AccountAPI, operator: AccountAPI, guardian: AccountAPI
) -> Exchange:
    return deploy_exchange(chain, project, owner, operator, guardian)


def ask(exchange: Exchange, function: str, order: Order) -> bytes:
    values = ["0x" + order.account.hex(), *msgspec.structs.astuple(order)[1:]]
    data = FUNCTIONS[function] + abi_encode([f"({','.join(TYPES)})"], [values])
    return exchange.call(exchange.owner, exchange.engine, data, exchange.chain.pending_timestamp)


@settings(PROFILE, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=ORDERS)
@example(order=ZERO)
@example(order=FULL)
def test_hashes_and_digests_equal_the_engines(exchange: Exchange, order: Order) -> None:
    order_hash = eip712.order_hash(order)
    assert ask(exchange, "hashOrder", order) == order_hash
    assert ask(exchange, "orderDigest", order) == eip712.order_digest(exchange.domain, order_hash)
