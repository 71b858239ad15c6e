"""Python client of the exchange: signs, places, cancels, reads, subscribes."""

from offchain.client.blocking import BlockingClient
from offchain.client.book import OrderBook
from offchain.client.client import Client
from offchain.client.errors import ApiError, BookDiverged, MissingKey
from offchain.client.nonces import NonceKeysExhausted
from offchain.client.orders import NewOrder
from offchain.client.ordersocket import OrderSocket
from offchain.client.quotes import QuoteSheet
from offchain.client.stream import Stream

__all__ = [
    "ApiError",
    "BlockingClient",
    "BookDiverged",
    "Client",
    "MissingKey",
    "NewOrder",
    "NonceKeysExhausted",
    "OrderBook",
    "OrderSocket",
    "QuoteSheet",
    "Stream",
]
