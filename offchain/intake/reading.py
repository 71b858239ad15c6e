"""Bodies as commands, with their signatures verified."""

from __future__ import annotations

from typing import Any

import msgspec

from offchain.catalogue import Catalogue
from offchain.chain import eip712
from offchain.domain.batch import MAX_LEAVES
from offchain.domain.commands import CancelOrder, PlaceArray, PlaceOrder
from offchain.domain.errors import Code
from offchain.domain.order import Address, Order
from offchain.domain.units import parse_integer
from offchain.intake.bodies import (
    Body,
    CancelBody,
    IntakeCode,
    IntakeError,
    OrderBody,
    OrderTerms,
    decode_body,
    decode_object,
    shown,
)
from offchain.intake.fields import (
    CLIENT_ORDER_ID,
    MAX_EPOCH,
    MAX_FEE_BPS,
    SELF_TRADES,
    SIDES,
    TIMES_IN_FORCE,
    bounded,
    check_market_order,
    lots_of,
    no_choice,
    parse_address,
    parse_conversion_limit,
    parse_expiry,
    parse_order_id,
    parse_price,
    parse_signature,
    parse_trigger,
)


class Intake:
    """Makes commands of requests. The costly check, the signature, comes last."""

    __slots__ = ("_catalogue",)

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def place(self, raw: Body, received_ms: int) -> PlaceOrder:
        """The command for a posted order; IntakeError if there is none."""
        domain = self._domain()
        body = decode_body(raw, OrderBody)
        command = self._read_terms(body, received_ms)
        digest = eip712.order_digest(domain, command.order_hash)
        signature, delegate = self._verified(domain, digest, body.signature, command.order.account)
        return _signed(command, signature, delegate)

    def place_array(self, raw: Body, received_ms: int) -> PlaceArray:
        """The command for orders that are signed together; IntakeError, with the place in the array, if there is none.

        One signature covers all of them, so that one which cannot be read refuses all.
        """
        domain = self._domain()
        orders, text = _array_of(raw)
        commands: list[PlaceOrder] = []
        for index, fields in enumerate(orders):
            try:
                commands.append(self._read_terms(decode_body(fields, OrderTerms), received_ms))
            except IntakeError as error:
                raise error.within(f"orders[{index}]") from None
        hashes = [command.order_hash for command in commands]
        account = commands[0].order.account
        for index, command in enumerate(commands):
            if command.order.account != account:
                detail = "all orders of an array are of the account that signs it"
                raise IntakeError(IntakeCode.INVALID_VALUE, f"orders[{index}].account", detail)
            if command.order_hash in hashes[:index]:
                detail = f"this order is already number {hashes.index(command.order_hash)} of the array"
                raise IntakeError(IntakeCode.INVALID_VALUE, f"orders[{index}]", detail)
        digest = domain.digest(eip712.array_hash(hashes))
        signature, delegate = self._verified(domain, digest, text, account)
        return PlaceArray([_signed(command, signature, delegate) for command in commands])

    def _read_terms(self, body: OrderTerms, received_ms: int) -> PlaceOrder:
        """The command without its signature. Raises IntakeError."""
        account = parse_address(body.account)
        market = self._catalogue.find(body.market)
        if market is None:
            detail = f"there is no market {shown(body.market)!r}; GET /v1/markets lists them"
            raise IntakeError(Code.UNKNOWN_MARKET, "market", detail)
        time_in_force = TIMES_IN_FORCE.get(body.time_in_force)
        if time_in_force is None:
            raise no_choice(TIMES_IN_FORCE, "timeInForce", Code.INVALID_TIME_IN_FORCE)
        if body.type != "limit":
            check_market_order(body.type, time_in_force)
        side, self_trade = SIDES.get(body.side), SELF_TRADES.get(body.self_trade_prevention)
        if side is None:
            raise no_choice(SIDES, "side", Code.INVALID_SIDE)
        order = Order(
            account=account,
            market=market.id,
            side=side,
            time_in_force=time_in_force,
            reduce_only=body.reduce_only,
            price=parse_price(body.price, market),
            quantity=lots_of(body.quantity, market, "quantity", 1),
            nonce=parse_nonce(body.nonce),
            epoch=bounded(body.epoch, MAX_EPOCH, "epoch"),
            expiry=parse_expiry(body, time_in_force, received_ms),
            max_fee_bps=bounded(body.max_fee_bps, MAX_FEE_BPS, "maxFeeBps"),
            conversion_limit=parse_conversion_limit(body.conversion_limit, market),
        )
        expected = None if body.expect_filled is None else lots_of(body.expect_filled, market, "expectFilled", 0)
        if self_trade is None:
            raise no_choice(SELF_TRADES, "selfTradePrevention", IntakeCode.INVALID_VALUE)
        if body.client_order_id is not None and CLIENT_ORDER_ID.fullmatch(body.client_order_id) is None:
            detail = "clientOrderId must be 1 to 64 letters, digits, dots, hyphens or underscores"
            raise IntakeError(IntakeCode.INVALID_VALUE, "clientOrderId", detail)
        return PlaceOrder(
            order=order,
            order_hash=eip712.order_hash(order),
            signature=b"",
            received_ms=received_ms,
            order_type=body.type,
            post_only=body.post_only,
            self_trade=self_trade,
            client_order_id=body.client_order_id,
            expect_filled=expected,
            replaces=None if body.replaces is None else parse_order_id(body.replaces, "replaces"),
            trigger=parse_trigger(body, market),
        )

    def cancel(self, raw: Body, order_id: str, received_ms: int) -> CancelOrder:
        """The command for a signed cancel of `order_id`; IntakeError if there is none."""
        domain = self._domain()
        order_hash = parse_order_id(order_id)
        body = decode_body(raw, CancelBody)
        account = parse_address(body.account)
        digest = eip712.cancel_digest(domain, account, order_hash)
        signature, delegate = self._verified(domain, digest, body.signature, account)
        return CancelOrder(account, order_hash, signature, received_ms, delegate)

    def _verified(
        self, domain: eip712.Domain, digest: bytes, text: str, account: Address
    ) -> tuple[bytes, Address | None]:
        """The signature of `digest` in its 64-byte form, and the delegate of the account who made it, if it was one."""
        signature = parse_signature(text)
        signer = eip712.recover(digest, signature)
        if signer is None:
            detail = "signature is no valid signature; its s must be low and its v 0, 1, 27 or 28"
            raise IntakeError(IntakeCode.INVALID_SIGNATURE, "signature", detail)
        if signer == account:
            return signature if len(signature) == 64 else eip712.compact(signature), None
        if self._catalogue.is_delegate(account, signer):
            return eip712.compact(signature), signer
        detail = (
            f"for chain id {domain.chain_id} and contract 0x{domain.engine.hex()} the signer is 0x{signer.hex()}, "
            f"not account 0x{account.hex()} nor a delegate of it; a signature for another chain, contract or content "
            f"looks like this"
        )
        raise IntakeError(IntakeCode.SIGNER_MISMATCH, "signature", detail)

    def _domain(self) -> eip712.Domain:
        domain = self._catalogue.domain
        if domain is None:
            raise IntakeError(Code.NOT_CONFIGURED, "", "the exchange is starting; it takes no orders yet")
        return domain


def _array_of(raw: Body) -> tuple[list[dict[str, Any]], str]:
    """The orders and the signature of an array. Raises IntakeError."""
    fields = decode_object(raw) if isinstance(raw, bytes) else raw
    for name in fields:
        if name not in ("orders", "signature"):
            raise IntakeError(IntakeCode.UNKNOWN_FIELD, shown(name), f"{shown(name)} is not a field of this body")
    for name, wanted, kind in (("orders", list, "an array"), ("signature", str, "a string")):
        if name not in fields:
            raise IntakeError(IntakeCode.MISSING_FIELD, name, f"{name} is missing")
        if not isinstance(fields[name], wanted):
            raise IntakeError(IntakeCode.INVALID_TYPE, name, f"{name} must be {kind}")
    orders = fields["orders"]
    if not 2 <= len(orders) <= MAX_LEAVES:
        detail = f"an array has 2 to {MAX_LEAVES} orders, not {len(orders)}"
        raise IntakeError(IntakeCode.INVALID_VALUE, "orders", detail)
    for index, order in enumerate(orders):
        if not isinstance(order, dict):
            raise IntakeError(IntakeCode.INVALID_TYPE, f"orders[{index}]", f"orders[{index}] must be an object")
    return orders, fields["signature"]


def _signed(command: PlaceOrder, signature: bytes, delegate: Address | None) -> PlaceOrder:
    return msgspec.structs.replace(command, signature=signature, delegate=delegate)


def parse_nonce(text: str) -> int:
    """A u64 in decimal digits; IntakeError for anything else."""
    try:
        nonce = parse_integer(text)
    except ValueError as error:
        raise IntakeError(IntakeCode.INVALID_NUMBER, "nonce", f"nonce {error}") from None
    return bounded(nonce, 2**64 - 1, "nonce")
