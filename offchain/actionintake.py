"""From the bytes of a request to an action that the service may send to the chain for a trader.

Form, numbers and the signature are looked at here; nonces, epochs and balances are the core's. An action's id is the
EIP-712 digest of what was signed.
"""

from __future__ import annotations

import msgspec

from offchain.chain import eip712
from offchain.domain.actions import Action, SignedCancel, SignedCancelAll, SignedDelegate, SignedWithdrawal
from offchain.domain.commands import RequestAction
from offchain.domain.errors import Code
from offchain.domain.market import USDC, USDC_DECIMALS
from offchain.domain.order import Address, Order
from offchain.domain.relay import INSTRUMENT, MAX_AMOUNT
from offchain.domain.units import format_units
from offchain.intake import (
    Body,
    CancelBody,
    Intake,
    IntakeCode,
    IntakeError,
    bounded,
    decode_body,
    parse_address,
    parse_nonce,
    parse_number,
    shown,
)

USDC_SYMBOL = "USDC"

MAX_U32, MAX_U64 = 2**32 - 1, 2**64 - 1

AS_USDC, AS_CXPT = 0, 1
"""The other kinds of withdrawals, as in `IWithdrawalQueue.Kind`."""


class WithdrawalBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A withdrawal request, signed by the account as `Withdraw`."""

    account: str
    asset: str
    """`USDC`, or the symbol of another asset"""
    amount: str
    """whole units; what there is less is paid if there is less when it is settled"""
    nonce: str
    """`withdrawalNonce` of `GET /v1/account`"""
    expiry: int
    """Unix seconds, as signed: the last second of a block that takes it"""
    signature: str
    as_cxpt: bool = False
    """pay USDC as CXPT, one for one"""


class DelegateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A delegate, signed by the account as `Delegate`."""

    account: str
    delegate: str
    valid_until: int
    """Unix seconds, as signed; one that has passed ends the delegate's time, one settlement window from now"""
    nonce: str
    """`delegateNonce` of `GET /v1/account`"""
    signature: str


class CancelAllBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A cancel of all orders of an epoch, signed by the account or a delegate as `CancelAll`."""

    account: str
    epoch: int
    """the account's present one"""
    signature: str


class ActionIntake(Intake):
    """Makes actions of requests. The costly check, the signature, comes last."""

    __slots__ = ()

    def withdrawal(self, raw: Body, received_ms: int) -> RequestAction:
        """A request to withdraw; IntakeError if there is none."""
        domain = self._domain()
        body = decode_body(raw, WithdrawalBody)
        account = parse_address(body.account)
        kind, asset, decimals = self._asset(body)
        amount = parse_number(body.amount, decimals, "amount")
        if not 0 < amount <= MAX_AMOUNT:
            detail = f"amount must be positive and at most {format_units(MAX_AMOUNT, decimals)}"
            raise IntakeError(IntakeCode.INVALID_NUMBER, "amount", detail)
        nonce = parse_nonce(body.nonce)
        expiry = bounded(body.expiry, MAX_U64, "expiry")
        if expiry * 1000 <= received_ms:
            detail = f"the signature expired at {expiry}, now is {received_ms} ms"
            raise IntakeError(Code.ACTION_EXPIRED, "expiry", detail)
        digest = eip712.withdraw_digest(domain, account, kind, asset, amount, nonce, expiry)
        signature = self._own(domain, digest, body.signature, account)
        action = SignedWithdrawal(kind, asset, amount, nonce, expiry, signature)
        return RequestAction(digest, account, action, received_ms)

    def delegate(self, raw: Body, received_ms: int) -> RequestAction:
        """A request to set a delegate; IntakeError if there is none."""
        domain = self._domain()
        body = decode_body(raw, DelegateBody)
        account, delegate = parse_address(body.account), parse_address(body.delegate, "delegate")
        if not any(delegate):
            raise IntakeError(IntakeCode.INVALID_ADDRESS, "delegate", "delegate must not be the zero address")
        valid_until = bounded(body.valid_until, MAX_U64, "validUntil")
        nonce = parse_nonce(body.nonce)
        digest = eip712.delegate_digest(domain, account, delegate, valid_until, nonce)
        signature = self._own(domain, digest, body.signature, account)
        return RequestAction(digest, account, SignedDelegate(delegate, valid_until, nonce, signature), received_ms)

    def cancel_all(self, raw: Body, received_ms: int) -> RequestAction:
        """A request to end an epoch; IntakeError if there is none."""
        domain = self._domain()
        body = decode_body(raw, CancelAllBody)
        account = parse_address(body.account)
        epoch = bounded(body.epoch, MAX_U32, "epoch")
        digest = eip712.cancel_all_digest(domain, account, epoch)
        signature, delegate = self._verified(domain, digest, body.signature, account)
        return RequestAction(digest, account, SignedCancelAll(epoch, signature, delegate), received_ms)

    def cancel_on_chain(self, raw: Body, order: Order, received_ms: int) -> RequestAction:
        """A request to end `order` on chain, by the signature that also cancels it here; else IntakeError."""
        domain = self._domain()
        body = decode_body(raw, CancelBody)
        account = parse_address(body.account)
        order_hash = eip712.order_hash(order)
        digest = eip712.cancel_digest(domain, account, order_hash)
        signature, delegate = self._verified(domain, digest, body.signature, account)
        action: Action = SignedCancel(order, order_hash, signature, delegate)
        return RequestAction(digest, account, action, received_ms)

    def _asset(self, body: WithdrawalBody) -> tuple[int, int, int]:
        """Kind, asset and its decimals."""
        if body.asset == USDC_SYMBOL:
            return AS_CXPT if body.as_cxpt else AS_USDC, USDC, USDC_DECIMALS
        if body.as_cxpt:
            raise IntakeError(IntakeCode.INVALID_VALUE, "asCxpt", "only USDC is paid as CXPT")
        known = [asset for asset in self._catalogue.assets if asset.symbol == body.asset]
        if len(known) != 1:
            count = "no" if not known else "more than one"
            detail = f"there is {count} asset {shown(body.asset)!r}; GET /v1/markets lists them"
            raise IntakeError(Code.UNKNOWN_ASSET, "asset", detail)
        return INSTRUMENT, known[0].id, known[0].decimals

    def _own(self, domain: eip712.Domain, digest: bytes, text: str, account: Address) -> bytes:
        """The account's own signature: no delegate withdraws, nor names another one."""
        signature, delegate = self._verified(domain, digest, text, account)
        if delegate is not None:
            detail = f"0x{delegate.hex()} is a delegate; only the account itself signs this"
            raise IntakeError(IntakeCode.SIGNER_MISMATCH, "signature", detail)
        return signature


def parse_action_id(text: str) -> bytes:
    """Raises IntakeError."""
    try:
        digest = bytes.fromhex(text.removeprefix("0x")) if text.startswith("0x") and text.isascii() else b""
    except ValueError:
        digest = b""
    if len(digest) != 32 or len(text) != 66:
        raise IntakeError(IntakeCode.INVALID_ACTION_ID, "id", "an action's id is 0x and 64 hexadecimal digits")
    return digest
