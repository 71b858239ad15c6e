"""Order hashes and signatures, compared with eth_account's implementation of EIP-712."""

from dataclasses import replace

import pytest
from eth_account import Account

from tests.utils.batches import BUY, GTD, IOC, NEVER, NOTHING_SIGNED, SELL, Group, compact, nonce

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

VARIANTS = [
    {},
    {"side": SELL},
    {"time_in_force": IOC, "expiry": 2**40 - 1},
    {"reduce_only": True, "conversion_limit": 2**64 - 1},
    {"price": 2**64 - 1, "quantity": 2**64 - 1, "nonce": 2**64 - 1, "expiry": NEVER, "max_fee_bps": 2**16 - 1},
    {"market": 2**32 - 1, "epoch": NOTHING_SIGNED, "price": 0, "quantity": 0, "nonce": 0, "expiry": 0},
]


@pytest.mark.parametrize("changes", VARIANTS)
def test_hash_and_digest_equal_eth_account(exchange, taker, changes):
    order = exchange.order(taker, **changes)
    assert exchange.engine.hashOrder(order.fields()) == order.hash(exchange.domain)
    assert exchange.engine.orderDigest(order.fields()) == order.digest(exchange.domain)


@pytest.fixture
def create_batch(exchange, maker, taker):
    """A batch of one fill in which the taker's order says one thing and its signature is over another."""

    def create(signed, domain=None, **changes):
        honest = exchange.order(taker, BUY, **changes)
        batch = exchange.batch([(exchange.order(maker, SELL, price=1), honest, 1)])
        group = batch.fills[0][1]
        group = batch.orders[group].group
        batch.groups[group] = Group(*signed(honest).sign(domain or exchange.domain))
        return batch, group

    return create


@pytest.mark.parametrize(
    "changes",
    [
        {"market": 1},
        {"side": SELL},
        {"time_in_force": GTD},
        {"reduce_only": True},
        {"price": 600_001},
        {"quantity": 101},
        {"nonce": nonce(0, 2)},
        {"nonce": nonce(1, 1)},
        {"epoch": 1},
        {"expiry": NEVER - 1},
        {"max_fee_bps": 51},
        {"conversion_limit": 1},
    ],
)
def test_signature_covers_every_field(exchange, create_batch, changes):
    batch, group = create_batch(lambda order: replace(order, **changes))
    exchange.refuse(batch, "InvalidSignature", group)


def test_signature_of_somebody_else_is_refused(exchange, create_batch, third, taker):
    batch, group = create_batch(lambda order: order)
    order = exchange.order(taker, BUY)
    signature = Account.sign_message(order.message(exchange.domain), third.key)
    batch.groups[group] = Group(*compact(signature.r, signature.s, signature.v))
    exchange.refuse(batch, "InvalidSignature", group)


@pytest.mark.parametrize("other", ["chain", "contract"])
def test_signature_for_another_exchange_is_refused(exchange, create_batch, taker, other):
    domain = exchange.domain
    domains = {
        "chain": replace(domain, chain_id=domain.chain_id + 1),
        "contract": replace(domain, engine=taker.address),
    }
    batch, group = create_batch(lambda order: order, domains[other])
    exchange.refuse(batch, "InvalidSignature", group)


def test_other_half_of_a_malleable_signature_is_refused(exchange, create_batch, taker):
    batch, group = create_batch(lambda order: order)
    signature = Account.sign_message(exchange.order(taker, BUY).message(exchange.domain), taker.key)
    twin = compact(signature.r, CURVE_ORDER - signature.s, 55 - signature.v)
    batch.groups[group] = Group(*twin)
    exchange.refuse(batch, "InvalidSignature", group)
    flipped = compact(signature.r, signature.s, 55 - signature.v)
    batch.groups[group] = Group(*flipped)
    exchange.refuse(batch, "InvalidSignature", group)


@pytest.mark.parametrize(
    ("r", "s"),
    [(0, 0), (0, 1), (1, 0), (CURVE_ORDER, 1), (1, CURVE_ORDER // 2 + 1), (1, 2**255 - 1), (2**256 - 1, 2**255 - 1)],
)
@pytest.mark.parametrize("v", [27, 28])
def test_malformed_signature_is_refused(exchange, create_batch, r, s, v):
    batch, group = create_batch(lambda order: order)
    batch.groups[group] = Group(*compact(r, s, v))
    exchange.refuse(batch, "InvalidSignature", group)


def test_epoch_must_be_the_accounts(exchange, maker, taker):
    batch = exchange.batch([(exchange.order(maker, SELL), exchange.order(taker, BUY, epoch=1), 1)])
    exchange.refuse(batch, "StaleEpoch", [account for account, _ in batch.accounts].index(taker.address))


def test_order_cannot_sign_that_nothing_is_signed(exchange, maker, taker):
    """Else an order could escape every later bump of its account's epoch."""
    batch = exchange.batch([(exchange.order(maker, SELL), exchange.order(taker, BUY, epoch=NOTHING_SIGNED), 1)])
    exchange.refuse(batch, "EpochExhausted", batch.fills[0][1])
