"""The price band: how far an order may reach through the book. It protects whoever mistypes a price."""

from __future__ import annotations

from offchain.domain.errors import Code, Rejection
from offchain.domain.order import Order, Side

_WHOLE_BPS = 10_000


def outside_band(price: int, what: str, order: Order, band_bps: int) -> Rejection | None:
    """Why `order` is refused for reaching too far beyond `price`, which `what` names; `band_bps` 0: no band.

    Only what would take is measured: a price on the other side of the market hurts nobody, and measuring it too could
    lock a market whose last prices are out of date.
    """
    if not band_bps:
        return None
    if order.side == Side.BUY:
        is_outside = order.price * _WHOLE_BPS > price * (_WHOLE_BPS + band_bps)
        bound, kind = price * (_WHOLE_BPS + band_bps) // _WHOLE_BPS, "highest"
    else:
        is_outside = order.price * _WHOLE_BPS < price * (_WHOLE_BPS - band_bps)
        bound, kind = -(-price * (_WHOLE_BPS - band_bps) // _WHOLE_BPS), "lowest"
    if not is_outside:
        return None
    detail = (
        f"{order.price} reaches too far beyond {what} {price}: within {band_bps} basis points the {kind} is {bound}"
    )
    return Rejection(Code.PRICE_OUTSIDE_BAND, "price", detail)
