"""Ends orders of a batch, on chain and in the model, before it settles."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from eth_account import Account
from eth_account.signers.local import LocalAccount

from offchain.domain.batch import Batch, OrderEntry
from offchain.domain.ledger import KeyState, LedgerState
from tests.utils.batches import Domain, Order
from tests.utils.controls import sign_cancel, sign_cancel_all
from tests.utils.deployed import Exchange
from tests.utils.signing import Trader


def end_orders(
    exchange: Exchange, state: LedgerState, batch: Batch, traders: Iterable[Trader], random: Random, now: int
) -> None:
    """Cancel one of the batch's orders, or all of an account, by signature in a block at `now`."""
    entry = random.choice([each for each in batch.orders if not each.forced] or [None])
    if entry is None:
        return
    position = batch.positions[entry.position]
    account = batch.accounts[position.account]
    keys = {trader.address: trader.private_key for trader in traders}
    signer: LocalAccount = Account.from_key(keys[account.account])
    domain = Domain(exchange.domain.chain_id, str(exchange.engine.address))
    if random.random() < 0.5:
        signature = sign_cancel_all(domain, signer.address, account.epoch, signer)
        call = (exchange.control.cancelAllBySig, signer.address, account.epoch)
        state.epochs[account.account] = account.epoch + 1
    else:
        order = _signed(batch, entry, signer, position.instrument, account.epoch)
        signature = sign_cancel(domain, order, signer)
        call = (exchange.control.cancelBySig, order.fields())
        ended = (account.account, position.instrument, entry.key)
        state.keys[ended] = KeyState(entry.sequence + 1, 0)
    exchange.transact(exchange.operator, *call, *signature, time=now)


def _signed(batch: Batch, entry: OrderEntry, signer: LocalAccount, instrument: int, epoch: int) -> Order:
    return Order(
        signer=signer,
        market=batch.markets[entry.market].id,
        instrument=instrument,
        side=entry.side,
        price=entry.price,
        quantity=entry.quantity,
        nonce=entry.nonce,
        time_in_force=entry.time_in_force,
        reduce_only=entry.reduce_only,
        epoch=epoch,
        expiry=entry.expiry,
        max_fee_bps=entry.max_fee_bps,
        conversion_limit=entry.conversion_limit or 0,
    )
