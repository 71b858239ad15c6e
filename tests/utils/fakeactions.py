"""What OrderControl, the withdrawal queue and the owner's functions do on the chain in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eth_abi import decode as abi_decode

from offchain.chain import eip712
from offchain.chain.calldata import FUNCTIONS
from offchain.domain.commands import (
    CancelApplied,
    ChainLog,
    DelegateSet,
    EpochBumped,
    MarketStatusChanged,
    WithdrawalNonceUsed,
    WithdrawalRequested,
    WithdrawalSettled,
)
from offchain.domain.ledger import KeyState
from offchain.domain.order import Address, Order
from offchain.ports import Failure

if TYPE_CHECKING:
    from tests.utils.fakechain import FakeChain

WINDOW = 3_600

_KINDS = {
    eip712.keccak(f"{function}({','.join(types)})".encode())[:4]: (kind, types)
    for kind, (_, function, types) in FUNCTIONS.items()
}


class Reverted(Exception):
    def __init__(self, error: str, *arguments: int | str) -> None:
        super().__init__(error)
        self.failure = Failure(error, arguments, error == "NotOperator")


def try_action(
    chain: FakeChain, data: bytes, tx_hash: bytes, *, is_kept: bool
) -> tuple[Failure | None, list[ChainLog]]:
    """The effect of a call that the relay makes, checked as the contracts do."""
    kind, types = _KINDS[data[:4]]
    values = abi_decode(types, data[4:])
    try:
        logs, change = _HANDLERS[kind](chain, values, tx_hash)
    except Reverted as error:
        return error.failure, []
    if is_kept:
        change()
    return None, logs


def _address(text: str) -> Address:
    return bytes.fromhex(text[2:])


def _signer(chain: FakeChain, digest: bytes, values: tuple[Any, ...]) -> Address | None:
    return eip712.recover(digest, values[-2] + values[-1])


def _may_cancel(chain: FakeChain, account: Address, signer: Address | None) -> None:
    if not chain.is_operator:
        raise Reverted("NotOperator", "0x" + "00" * 20)
    until = chain.ledger.delegates.get((account, signer or b""), -1)
    if signer is None or (signer != account and until < chain.now):
        raise Reverted("InvalidSignature")


def _withdraw(chain: FakeChain, values: tuple[Any, ...], tx_hash: bytes) -> Any:
    text, kind, asset, amount, nonce, expiry, _, _ = values
    account = _address(text)
    expected = chain.world.withdrawal_nonces.get(account, 0)
    if chain.now > expiry:
        raise Reverted("SignatureExpired", expiry)
    if nonce != expected:
        raise Reverted("WrongNonce", expected, nonce)
    digest = eip712.withdraw_digest(chain.domain, account, kind, asset, amount, nonce, expiry)
    if _signer(chain, digest, values) != account:
        raise Reverted("InvalidSignature")

    def change() -> None:
        chain.world.withdrawal_nonces[account] = nonce + 1
        chain.world.requests[account, kind, asset] = amount
        chain.world.requested_at[account, kind, asset] = chain.now

    request = WithdrawalRequested(account, kind, asset, amount, chain.now, tx_hash, 1)
    return [WithdrawalNonceUsed(account, nonce), request], change


def _cancel(chain: FakeChain, values: tuple[Any, ...], tx_hash: bytes) -> Any:
    account, *terms = values[0]
    order = Order(_address(account), *terms)
    digest = eip712.cancel_digest(chain.domain, order.account, eip712.order_hash(order))
    _may_cancel(chain, order.account, _signer(chain, digest, values))
    instrument = chain.ledger.markets[order.market].instrument
    name = (order.account, instrument, order.key)

    def change() -> None:
        if chain.ledger.keys.get(name, KeyState()).sequence <= order.sequence:
            chain.ledger.keys[name] = KeyState(order.sequence + 1, 0)

    return [CancelApplied(order.account, instrument, order.key, order.sequence)], change


def _cancel_all(chain: FakeChain, values: tuple[Any, ...], tx_hash: bytes) -> Any:
    account, epoch = _address(values[0]), values[1]
    digest = eip712.cancel_all_digest(chain.domain, account, epoch)
    _may_cancel(chain, account, _signer(chain, digest, values))
    stored = chain.ledger.epochs.get(account, 0)
    if stored != epoch:
        raise Reverted("WrongEpoch", stored, epoch)

    def change() -> None:
        chain.ledger.epochs[account] = epoch + 1

    return [EpochBumped(account, epoch + 1)], change


def _delegate(chain: FakeChain, values: tuple[Any, ...], tx_hash: bytes) -> Any:
    account, delegate, valid_until, nonce = _address(values[0]), _address(values[1]), values[2], values[3]
    expected = chain.world.delegate_nonces.get(account, 0)
    if nonce != expected:
        raise Reverted("WrongNonce", expected, nonce)
    digest = eip712.delegate_digest(chain.domain, account, delegate, valid_until, nonce)
    if _signer(chain, digest, values) != account:
        raise Reverted("InvalidSignature")
    old = chain.ledger.delegates.get((account, delegate), 0)
    until = max(valid_until, min(old, chain.now + WINDOW))

    def change() -> None:
        chain.world.delegate_nonces[account] = nonce + 1
        chain.ledger.delegates[account, delegate] = until

    return [DelegateSet(account, delegate, until)], change


def _settle(chain: FakeChain, values: tuple[Any, ...], tx_hash: bytes) -> Any:
    account, kind, asset = _address(values[0]), values[1], values[2]
    requested = chain.world.requests.get((account, kind, asset))
    if requested is None:
        raise Reverted("NoRequest", values[0], kind, asset)
    ready = chain.world.requested_at[account, kind, asset] + WINDOW
    if chain.now < ready:
        raise Reverted("WindowOpen", ready)
    paid = min(requested, chain.ledger.usdc.get(account, 0))

    def change() -> None:
        del chain.world.requests[account, kind, asset]
        chain.ledger.usdc[account] -= paid

    return [WithdrawalSettled(account, kind, asset, requested, paid, False, tx_hash, 0)], change


def _set_status(chain: FakeChain, values: tuple[Any, ...], tx_hash: bytes) -> Any:
    if not chain.is_owner:
        raise Reverted("OwnableUnauthorizedAccount", "0x" + "00" * 20)
    market, status = values
    return [MarketStatusChanged(market, status, chain.now)], lambda: None


_HANDLERS = {
    "withdrawal": _withdraw,
    "cancel": _cancel,
    "cancelAll": _cancel_all,
    "delegate": _delegate,
    "settleWithdrawal": _settle,
    "setMarketStatus": _set_status,
}
