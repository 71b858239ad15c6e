"""Nonce keys are used again, never twice at a time, and always with a higher sequence."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offchain.client.nonces import KEYS_PER_MARKET, NonceKeys, NonceKeysExhausted
from offchain.domain.order import LAST_SEQUENCE

NOW = 1_800_000_000


def create_keys(now: int = NOW) -> NonceKeys:
    return NonceKeys(lambda: now)


def test_every_market_has_keys_of_its_own() -> None:
    keys = create_keys()
    assert [keys.take(market) >> 32 for market in (2, 4, 2)] == [
        2 * KEYS_PER_MARKET,
        4 * KEYS_PER_MARKET,
        2 * KEYS_PER_MARKET + 1,
    ]


def test_sequences_start_at_the_time_and_never_fall() -> None:
    keys = create_keys()
    nonce = keys.take(1)
    assert nonce & 0xFFFF_FFFF == NOW
    keys.give_back(1, nonce)
    assert keys.take(1) == nonce + 1


def test_what_earlier_orders_used_is_passed_over() -> None:
    keys = create_keys()
    first = KEYS_PER_MARKET << 32
    keys.learn(1, first + (3 << 32) + NOW + 500, "open")
    keys.learn(1, first + (1 << 32) + NOW + 700, None)
    taken = {keys.take(1) for _ in range(4)}
    assert {nonce >> 32 for nonce in taken} == {KEYS_PER_MARKET + index for index in (0, 1, 2, 4)}
    assert first + (1 << 32) + NOW + 701 in taken


def test_other_clients_keys_are_left_alone() -> None:
    keys = create_keys()
    keys.learn(1, 5 << 32, "foreign")
    with pytest.raises(ValueError, match="no order foreign"):
        keys.follow("foreign")


def test_keys_and_sequences_end() -> None:
    with pytest.raises(NonceKeysExhausted, match="no free nonce key"):
        create_keys().take(1 << 16)
    with pytest.raises(NonceKeysExhausted, match="no sequence left"):
        create_keys(LAST_SEQUENCE).take(1)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["place", "reject", "end", "replace"]), st.integers(0, 9)), max_size=60))
def test_open_orders_never_share_a_key(steps: list[tuple[str, int]]) -> None:
    keys, open_orders, used, count = create_keys(), {}, set(), 0
    for action, pick in steps:
        if action in ("place", "reject"):
            nonce = keys.take(1)
            assert nonce not in used
            assert nonce >> 32 not in {other >> 32 for other in open_orders.values()}
            used.add(nonce)
            if action == "reject":
                keys.give_back(1, nonce)
            else:
                count += 1
                keys.bind(f"o{count}", 1, nonce)
                open_orders[f"o{count}"] = nonce
        elif open_orders:
            name = sorted(open_orders)[pick % len(open_orders)]
            if action == "end":
                keys.ended(name)
                del open_orders[name]
            else:
                nonce = keys.follow(name)
                assert nonce > open_orders.pop(name)
                used.add(nonce)
                count += 1
                keys.bind(f"o{count}", 1, nonce)
                open_orders[f"o{count}"] = nonce
    assert len({nonce >> 32 for nonce in open_orders.values()}) == len(open_orders)
