"""A client that listens, and what it knows from messages alone."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
from aiohttp import ClientWebSocketResponse, WSMsgType
from aiohttp.test_utils import TestClient

from offchain.api.schemas.stream import DepthSnapshot, DepthUpdate
from offchain.client.book import OrderBook

OPEN = ("open", "partiallyFilled")
DEPTH = msgspec.json.Decoder(DepthSnapshot | DepthUpdate)


class Knowledge:
    """An account's state, made of the messages of its channel, one after the other."""

    def __init__(self) -> None:
        self.orders: dict[str, dict[str, Any]] = {}
        """by id, those that have ended too"""
        self.triggered: set[str] = set()
        self.waiting: set[str] = set()
        self.balances: dict[str, dict[str, Any]] = {}
        self.positions: dict[str, dict[str, Any]] = {}
        self.fills: dict[str, dict[str, Any]] = {}
        self.deposits: dict[tuple[str, str], dict[str, Any]] = {}
        self.withdrawals: dict[tuple[str, bool], dict[str, Any]] = {}
        self.keys: dict[str, dict[str, Any]] = {}
        self.cancels_at: int | None = None

    def apply(self, message: dict[str, Any]) -> None:
        kind, data = message["type"], message["data"]
        match kind:
            case "orderUpdate":
                self.orders[data["orderId"]] = {key: value for key, value in data.items() if key != "waiting"}
                (self.waiting.add if data["waiting"] else self.waiting.discard)(data["orderId"])
            case "orderTriggered":
                self.triggered.add(data["orderId"])
                self.waiting.discard(data["orderId"])
            case "balanceUpdate":
                self.balances[data["asset"]] = data
            case "positionUpdate":
                self.positions[data["market"]] = data
            case "fillUpdate":
                self.fills[data["tradeId"]] = data
            case "fillBusted":
                fill = self.fills[data["tradeId"]]
                self._settle(fill, "busted", fill["settlement"]["batch"], fill["settlement"]["txHash"])
            case "settlementUpdate":
                for fill in self.fills.values():
                    is_meant = data["firstItem"] <= fill["item"] <= data["lastItem"]
                    if is_meant and fill["settlement"]["state"] != "busted":
                        self._settle(fill, data["state"], data["batch"], data["txHash"])
            case "depositUpdate":
                self.deposits[data["txHash"], data["asset"]] = data
            case "withdrawalUpdate":
                self.withdrawals[data["asset"], data["asCxpt"]] = data
            case "apiKeyUpdate":
                self.keys[data["id"]] = data
            case "cancelAfterUpdate":
                self.cancels_at = data["cancelsAt"]
            case _:
                raise AssertionError(f"an unexpected message: {message}")

    def _settle(self, fill: dict[str, Any], state: str, batch: int | None, tx_hash: str | None) -> None:
        settlement = {"state": state, "batch": batch, "txHash": tx_hash}
        self.fills[fill["tradeId"]] = fill | {"settlement": settlement}

    def open_orders(self) -> dict[str, dict[str, Any]]:
        """Those that work or wait, without why they would have ended."""
        return {key: order for key, order in self.orders.items() if order["status"] in OPEN}

    def state(self) -> dict[str, Any]:
        return dict(vars(self))


class Listener:
    """Hears one account's channel, or the books of markets; after a lost connection it goes on where it was."""

    def __init__(self, account: str, knowledge: Knowledge | None = None) -> None:
        self.channel = f"trader.{account}" if account else ""
        self.seq = 0
        self.messages: list[dict[str, Any]] = []
        self.knowledge = knowledge or Knowledge()
        self.books: dict[str, OrderBook] = {}
        self._socket: ClientWebSocketResponse | None = None
        self._numbers = itertools.count()
        self._resumed = True

    async def connect(self, api: TestClient, token: str | None, symbols: list[str]) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        self._socket = await api.ws_connect("/v1/ws", headers=headers)
        if self.channel:
            self._resumed = False
            await self._subscribe(self.channel, self.seq)
        for symbol in symbols:
            book = self.books.setdefault(symbol, OrderBook())
            await self._subscribe(f"market.{symbol}.depth", book.seq or None)

    async def _subscribe(self, channel: str, after: int | None) -> None:
        assert self._socket is not None
        request: dict[str, Any] = {"op": "subscribe", "channels": [channel], "id": "s"}
        if after is not None:
            request["after"] = after
        await self._socket.send_json(request)

    async def disconnect(self) -> None:
        assert self._socket is not None
        await self._socket.close()
        self._socket = None

    async def catch_up(self) -> None:
        """Take in everything that has been sent so far, unless the connection is lost."""
        if self._socket is None:
            return
        number = next(self._numbers)
        await self._socket.send_json({"op": "ping", "id": number})
        while (await self._next()).get("id") != number:
            pass
        await self.until_resumed()

    async def until_resumed(self) -> None:
        while not self._resumed:
            await self._next()

    async def _next(self) -> dict[str, Any]:
        assert self._socket is not None
        received = await self._socket.receive()
        assert received.type is WSMsgType.TEXT, f"the socket was closed: {received}"
        message: dict[str, Any] = msgspec.json.decode(received.data)
        if "op" in message:
            assert message["op"] != "error", message
        elif message["channel"] == self.channel:
            self._take(message)
        elif message["type"] != "resumed":
            self.books[message["channel"].split(".")[1]].apply(DEPTH.decode(received.data))
        return message

    def _take(self, message: dict[str, Any]) -> None:
        """As the manual says: apply if `prevSeq <= have < seq`."""
        if message["type"] == "resumed":
            assert message["seq"] >= self.seq
            self.seq = message["seq"]
            self._resumed = True
            return
        assert message["type"] != "snapshot", "too little was missed for a snapshot"
        assert message["prevSeq"] <= self.seq < message["seq"], (self.seq, message)
        self.seq = message["seq"]
        self.messages.append(message)
        self.knowledge.apply(message)
