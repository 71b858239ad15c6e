"""From what a trader wants to a signed body."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from offchain.api.schemas.actions import CancelAllBody, DelegateBody, WithdrawalBody
from offchain.api.schemas.http import ArrayBody, AssetInfo, CancelBody, MarketInfo, Markets, OrderBody, OrderTerms
from offchain.chain import eip712
from offchain.domain.market import CROSS_PRICE_DECIMALS, USDC, USDC_DECIMALS, Kind, Market
from offchain.domain.order import NO_EXPIRY, Address, Order, OrderHash, Side, TimeInForce
from offchain.domain.units import parse_units

SIDES = {side.name.lower(): side for side in Side}
TIMES_IN_FORCE = {time_in_force.name: time_in_force for time_in_force in TimeInForce}

WITHDRAWAL_OF_ASSET = 2
"""`IWithdrawalQueue.Kind.INSTRUMENT`; USDC is 0, as CXPT 1"""

Number = Decimal | str | int
"""A price or a quantity in whole units; floats are not exact and not taken."""


def decimal_text(value: Number) -> str:
    """As the wire wants it. Raises TypeError for other types, ValueError for NaN and infinities."""
    if isinstance(value, bool) or not isinstance(value, Decimal | str | int):
        raise TypeError(f"a price or quantity is a Decimal, a string or an int, not {type(value).__name__}")
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is not a number that can be traded")
        return format(value, "f")
    return str(value)


class Signer:
    """Signs for one account, its own or one whose delegate it is, and one exchange. Nothing here rounds: what does not
    fit the market is an error."""

    def __init__(self, private_key: bytes, markets: Markets, account: Address | None = None) -> None:
        """`account` is that of the key unless it is given."""
        self._key = private_key
        self.account: Address = account or eip712.address_of(private_key)
        signing = markets.domain
        if (signing.name, signing.version) != (eip712.NAME, eip712.VERSION):
            raise ValueError(f"the exchange signs for {signing.name} {signing.version}, this client for {eip712.NAME}")
        self.domain = eip712.Domain(signing.chain_id, bytes.fromhex(signing.verifying_contract[2:]))
        assets = {asset.symbol: asset.id for asset in markets.assets}
        self._markets = {market.symbol: _market(market, assets) for market in markets.markets}

    def market(self, symbol: str) -> Market:
        """Raises ValueError for an unknown market."""
        market = self._markets.get(symbol)
        if market is None:
            raise ValueError(f"there is no market {symbol!r}; there are {', '.join(self._markets)}")
        return market

    def terms(
        self,
        symbol: str,
        side: str,
        order_type: str,
        time_in_force: str,
        price: Number,
        quantity: Number,
        nonce: int,
        *,
        max_fee_bps: int,
        expiry: int | None,
        epoch: int = 0,
        conversion_limit: Number | None = None,
        reduce_only: bool = False,
        **unsigned: Any,
    ) -> tuple[OrderHash, OrderTerms]:
        """The order's hash and all that it says; `unsigned` are the body's fields that are not signed.

        `conversion_limit`, in USDC per whole quote unit, is for markets that are not quoted in USDC. Raises ValueError
        where price or quantity do not fit the market's tick and lot, or the limit does not belong there.
        """
        if side not in SIDES or time_in_force not in TIMES_IN_FORCE:
            raise ValueError(f"side is one of {', '.join(SIDES)}, time in force one of {', '.join(TIMES_IN_FORCE)}")
        market = self.market(symbol)
        price_text, quantity_text = decimal_text(price), decimal_text(quantity)
        limit_text = None if conversion_limit is None else decimal_text(conversion_limit)
        order = Order(
            account=self.account,
            market=market.id,
            side=SIDES[side],
            time_in_force=TIMES_IN_FORCE[time_in_force],
            reduce_only=reduce_only,
            price=_price(price_text, market),
            quantity=_lots(quantity_text, market),
            nonce=nonce,
            epoch=epoch,
            expiry=NO_EXPIRY if expiry is None else expiry,
            max_fee_bps=max_fee_bps,
            conversion_limit=_conversion_limit(limit_text, market),
        )
        terms = OrderTerms(
            account="0x" + self.account.hex(),
            market=symbol,
            side=side,
            type=order_type,
            time_in_force=time_in_force,
            price=price_text,
            quantity=quantity_text,
            nonce=str(nonce),
            max_fee_bps=max_fee_bps,
            epoch=epoch,
            expiry=expiry,
            conversion_limit=limit_text,
            reduce_only=reduce_only,
            **unsigned,
        )
        return eip712.order_hash(order), terms

    def order(self, *arguments: Any, **named: Any) -> tuple[OrderHash, OrderBody]:
        """The hash and the signed body of one order. Arguments and errors are those of `terms`."""
        order_hash, terms = self.terms(*arguments, **named)
        return order_hash, self.signed(order_hash, terms)

    def signed(self, order_hash: OrderHash, terms: OrderTerms) -> OrderBody:
        signature = self._sign(eip712.order_digest(self.domain, order_hash))
        return OrderBody(signature=signature, **msgspec.structs.asdict(terms))

    def array(self, orders: Sequence[tuple[OrderHash, OrderTerms]]) -> ArrayBody:
        """Orders under one signature."""
        digest = self.domain.digest(eip712.array_hash([order_hash for order_hash, _ in orders]))
        return ArrayBody(orders=[terms for _, terms in orders], signature=self._sign(digest))

    def cancel(self, order_hash: OrderHash) -> CancelBody:
        digest = eip712.cancel_digest(self.domain, self.account, order_hash)
        return CancelBody(account="0x" + self.account.hex(), signature=self._sign(digest))

    def withdrawal(self, asset: AssetInfo, amount: Number, *, as_cxpt: bool, nonce: int, expiry: int) -> WithdrawalBody:
        """A signed request. Raises ValueError for more decimals than the asset has, and for another asset as CXPT."""
        if as_cxpt and asset.id != USDC:
            raise ValueError("only USDC can be withdrawn as CXPT")
        text = decimal_text(amount)
        try:
            quanta = parse_units(text, asset.decimals)
        except ValueError as error:
            raise ValueError(f"amount {text} {error}") from None
        kind = WITHDRAWAL_OF_ASSET if asset.id != USDC else int(as_cxpt)
        digest = eip712.withdraw_digest(self.domain, self.account, kind, asset.id, quanta, nonce, expiry)
        return WithdrawalBody(
            account="0x" + self.account.hex(),
            asset=asset.symbol,
            amount=text,
            nonce=str(nonce),
            expiry=expiry,
            signature=self._sign(digest),
            as_cxpt=as_cxpt,
        )

    def delegate(self, delegate: str, valid_until: int, nonce: int) -> DelegateBody:
        """Raises ValueError for what is no address."""
        address = bytes.fromhex(delegate.removeprefix("0x"))
        digest = eip712.delegate_digest(self.domain, self.account, address, valid_until, nonce)
        return DelegateBody(
            account="0x" + self.account.hex(),
            delegate="0x" + address.hex(),
            valid_until=valid_until,
            nonce=str(nonce),
            signature=self._sign(digest),
        )

    def cancel_all(self, epoch: int) -> CancelAllBody:
        digest = eip712.cancel_all_digest(self.domain, self.account, epoch)
        return CancelAllBody(account="0x" + self.account.hex(), epoch=epoch, signature=self._sign(digest))

    def _sign(self, digest: bytes) -> str:
        return "0x" + eip712.sign(digest, self._key).hex()


def _market(info: MarketInfo, assets: dict[str, int]) -> Market:
    lot_size = parse_units(info.lot_size, info.decimals)
    price_decimals = USDC_DECIMALS if assets[info.quote] == USDC else CROSS_PRICE_DECIMALS
    return Market(
        id=info.id,
        symbol=info.symbol,
        kind=Kind[info.kind.upper()],
        instrument=info.instrument,
        base=assets[info.base],
        quote=assets[info.quote],
        decimals=info.decimals,
        tick_size=parse_units(info.tick_size, price_decimals),
        lot_size=lot_size,
        max_price=parse_units(info.max_price, price_decimals),
        max_quantity=parse_units(info.max_quantity, info.decimals) // lot_size,
    )


def _conversion_limit(text: str | None, market: Market) -> int:
    """micro-USDC per whole quote unit; 0 where the market is quoted in USDC."""
    if (text is not None) != market.is_cross_quoted:
        needs = (
            "needs a conversion limit" if market.is_cross_quoted else "is quoted in USDC and has no conversion limit"
        )
        raise ValueError(f"{market.symbol} {needs}")
    if text is None:
        return 0
    try:
        return parse_units(text, USDC_DECIMALS)
    except ValueError as error:
        raise ValueError(f"conversion limit {text} {error}") from None


def _price(text: str, market: Market) -> int:
    """As signed: micro-USDC, or 10^-12 whole quote units, per lot."""
    try:
        price = parse_units(text, market.price_decimals)
    except ValueError as error:
        raise ValueError(f"price {text} {error}") from None
    if price % market.tick_size:
        raise ValueError(f"price {text} is not a multiple of the tick of {market.symbol}")
    return market.price_per_lot(price)


def _lots(text: str, market: Market) -> int:
    try:
        quanta = parse_units(text, market.decimals)
    except ValueError as error:
        raise ValueError(f"quantity {text} {error}") from None
    lots, rest = divmod(quanta, market.lot_size)
    if rest:
        raise ValueError(f"quantity {text} is not a multiple of the lot of {market.symbol}")
    return lots
