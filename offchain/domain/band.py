"""The price band: how far an order may reach through the book. It protects whoever mistypes a price."""

from __future__ import annotations

from offchain.domain.book import Book
from offchain.domain.errors import Code, Rejection
from offchain.domain.order import Order, Side

_WHOLE_BPS = 10_000


def outside_band(book: Book, order: Order, band_bps: int) -> Rejection | None:
    """Why `order` is refused for its price; `band_bps` 0: no band.

    Only what would take is measured, at the best price that others offer: a price on the other side of the market hurts
    nobody, and measuring it too could lock a market whose last prices are out of date.
    """
    price = book.sides[1 - order.side].best if band_bps else None
    if price is None:
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
        f"{order.price} reaches too far through the book, whose best price is {price}: within {band_bps} basis points "
        f"the {kind} is {bound}"
    )
    return Rejection(Code.PRICE_OUTSIDE_BAND, "price", detail)
