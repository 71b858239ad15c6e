"""Nonce keys: each open order has one of its own; a key whose order has ended is used again with a higher sequence.

Used keys are cheap on chain, fresh ones are not. A key belongs to one market, so every market has a range of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from offchain.domain.order import LAST_SEQUENCE

KEYS_PER_MARKET = 1 << 16


class NonceKeysExhausted(Exception):
    """The account has an order open under every key of the market."""


class NonceKeys:
    """Gives out nonces for one account.

    Sequences start at the time in seconds, so that an instance that knows nothing of earlier ones stays above them.
    """

    def __init__(self, now_seconds: Callable[[], int]) -> None:
        self._now_seconds = now_seconds
        self._sequences: dict[int, int] = {}
        self._free: dict[int, list[int]] = {}
        """by market, the key used last at the end"""
        self._fresh: dict[int, int] = {}
        """by market, the first key that was never used"""
        self._open: dict[str, tuple[int, int]] = {}
        """market and key by order id"""
        self._holders: dict[tuple[int, int], list[str]] = {}
        """order ids by market and key: the open one, and those that are to replace it"""

    def take(self, market: int) -> int:
        """The nonce of a new order; `bind` it or `give_back` its key. Raises NonceKeysExhausted."""
        free = self._free.setdefault(market, [])
        if free:
            return self._advance(free.pop())
        first = market * KEYS_PER_MARKET
        key = self._fresh.get(market, first)
        if key >= min(first + KEYS_PER_MARKET, 1 << 32):
            raise NonceKeysExhausted(f"market {market} has no free nonce key")
        self._fresh[market] = key + 1
        return self._advance(key)

    def follow(self, order_id: str) -> int:
        """The nonce of an order that replaces an open one. Raises ValueError if that is not known to be open."""
        place = self._open.get(order_id)
        if place is None:
            raise ValueError(f"no order {order_id} of this client is open")
        return self._advance(place[1])

    @property
    def open(self) -> list[str]:
        """Orders that are not known to have ended."""
        return list(self._open)

    def is_open(self, order_id: str) -> bool:
        """As far as is known here."""
        return order_id in self._open

    def attend(self, order_id: str, market: int, nonce: int) -> None:
        """The order under `nonce` is under way: its key is taken, also if the one that it is to replace ends first."""
        if order_id not in self._open:
            place = self._open[order_id] = market, nonce >> 32
            self._holders.setdefault(place, []).append(order_id)

    def bind(self, order_id: str, market: int, nonce: int) -> None:
        """The order under `nonce` is open; whatever was open under the same key is not."""
        place = market, nonce >> 32
        for other in self._holders.get(place, ()):
            del self._open[other]
        self._open[order_id] = place
        self._holders[place] = [order_id]

    def give_back(self, market: int, nonce: int) -> None:
        """The order under `nonce` never opened or has ended at once."""
        self._give_back(market, nonce >> 32)

    def ended(self, order_id: str) -> None:
        """An order has ended; unknown ones are passed over."""
        place = self._open.pop(order_id, None)
        if place is None:
            return
        holders = self._holders[place]
        holders.remove(order_id)
        if not holders:
            del self._holders[place]
            self._give_back(*place)

    def ended_all(self) -> None:
        """All orders have ended."""
        for order_id in list(self._open):
            self.ended(order_id)

    def adopt(self, order_id: str, market: int, nonce: int) -> None:
        """Whoever placed the open order, it may be replaced here."""
        if order_id not in self._open:
            self.learn(market, nonce, order_id)
        if order_id not in self._open:
            key, sequence = nonce >> 32, nonce & 0xFFFF_FFFF
            self._sequences[key] = max(sequence, self._sequences.get(key, 0))
            self.attend(order_id, market, nonce)

    def _give_back(self, market: int, key: int) -> None:
        """Keys of other clients, whose orders were adopted, are left to them."""
        first = market * KEYS_PER_MARKET
        if first <= key < first + KEYS_PER_MARKET:
            self._free.setdefault(market, []).append(key)

    def learn(self, market: int, nonce: int, order_id: str | None) -> None:
        """An earlier order used `nonce`; `order_id` if it is open. Other clients' keys are left to them."""
        key, sequence = nonce >> 32, nonce & 0xFFFF_FFFF
        first = market * KEYS_PER_MARKET
        if not first <= key < first + KEYS_PER_MARKET:
            return
        self._sequences[key] = max(sequence, self._sequences.get(key, 0))
        fresh = self._fresh.get(market, first)
        if key >= fresh:
            self._free.setdefault(market, []).extend(range(fresh, key))
            self._fresh[market] = key + 1
        if order_id is not None:
            free = self._free.setdefault(market, [])
            if key in free:
                free.remove(key)
            self.attend(order_id, market, nonce)
        elif key >= fresh:
            self._free.setdefault(market, []).append(key)

    def _advance(self, key: int) -> int:
        sequence = max(self._sequences.get(key, 0) + 1, self._now_seconds())
        if sequence >= LAST_SEQUENCE:
            raise NonceKeysExhausted(f"nonce key {key} has no sequence left")
        self._sequences[key] = sequence
        return key << 32 | sequence
