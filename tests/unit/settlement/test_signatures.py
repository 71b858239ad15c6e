"""Arrays and delegates: whose signature covers which orders."""

from __future__ import annotations

from dataclasses import replace

import pytest

from offchain.domain.batch import Batch, GroupEntry
from offchain.domain.ledger import LedgerState
from tests.utils.products import BTC_PERP, DOMAIN, NOW
from tests.utils.signing import create_array_rows

from .cases import BUY, DELEGATE, MAKER, SELL, TAKER, assert_refused, batch_of, edit, order, row, settled


def test_one_signature_covers_an_array(state: LedgerState) -> None:
    first, _, third = create_array_rows(MAKER, [order(MAKER, SELL, 9, key=key) for key in (3, 4, 5)], DOMAIN)
    taker = order(TAKER, BUY, 9)
    batch = batch_of((first, taker, 2), (third, taker, 3))
    assert len(batch.absent) == 1
    state = settled(state, batch)
    assert state.positions[MAKER.address, BTC_PERP].size == -5


def _array_batch() -> tuple[Batch, int]:
    """An array of three leaves, of which one is absent, and the group's index."""
    rows = create_array_rows(MAKER, [order(MAKER, SELL, 9, key=key) for key in (3, 4, 5)], DOMAIN)
    taker = order(TAKER, BUY, 9)
    batch = batch_of((rows[0], taker, 2), (rows[2], taker, 3))
    return batch, next(index for index, group in enumerate(batch.groups) if group.leaf_count == 3)


@pytest.mark.parametrize("mask", [0b111, 0b1000, 0b1010, 2**16 - 1])
def test_a_mask_names_some_of_the_leaves(state: LedgerState, mask: int) -> None:
    batch, group = _array_batch()
    assert_refused(state, edit(batch, "groups", group, absent_mask=mask), "InvalidAbsentMask", group)


def test_the_absent_hashes_are_all_there_and_all_used(state: LedgerState) -> None:
    batch, group = _array_batch()
    assert_refused(state, replace(batch, absent=()), "IndexOutOfRange", 1, group)
    assert_refused(state, replace(batch, absent=(*batch.absent, bytes(32))), "AbsentNotUsed", 1)
    assert_refused(state, replace(batch, absent=(bytes(32),)), "InvalidSignature", group)


def test_leaves_are_set_once(state: LedgerState) -> None:
    batch, group = _array_batch()
    members = [index for index, entry in enumerate(batch.orders) if entry.group == group]
    assert_refused(state, edit(batch, "orders", members[1], leaf=0), "LeafSetTwice", members[1])
    assert_refused(state, edit(batch, "orders", members[1], leaf=1), "LeafSetTwice", members[1])
    assert_refused(state, edit(batch, "groups", group, leaf_count=4), "LeafNotSet", group)


def test_an_array_is_of_one_account(state: LedgerState) -> None:
    batch, group = _array_batch()
    taker = next(index for index, entry in enumerate(batch.orders) if entry.group != group)
    moved = edit(edit(batch, "orders", taker, group=group, leaf=1), "groups", group, absent_mask=0)
    later = max(taker, min(index for index, entry in enumerate(batch.orders) if entry.group == group))
    assert_refused(state, replace(moved, absent=()), "GroupAccountMismatch", later)


def test_a_delegate_signs_until_its_time(state: LedgerState) -> None:
    maker = row(order(MAKER, SELL, 5), DELEGATE)
    batch = batch_of((maker, order(TAKER, BUY, 5), 5))
    group = next(index for index, each in enumerate(batch.groups) if each == GroupEntry(maker.signature, 1))
    assert_refused(state, batch, "InvalidSignature", group)
    state.delegates = {(TAKER.address, DELEGATE.address): NOW + 1, (MAKER.address, DELEGATE.address): NOW - 1}
    assert_refused(state, batch, "InvalidSignature", group)
    state.delegates[MAKER.address, DELEGATE.address] = NOW
    settled(state, batch)
