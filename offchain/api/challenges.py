"""Sign-in messages that wait for their signature: each is good once and for a short time."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from offchain.domain.order import Address


@dataclass(frozen=True, slots=True)
class Challenge:
    """For whom a message was made."""

    account: Address
    signer: Address
    """the account or a delegate of it"""
    expires_ms: int
    client: str
    """address of the client that asked for it"""


class Challenges:
    """By message text, the oldest first: what comes back must be what was sent out, so nothing is parsed.

    Where there is no room, the oldest of the client's address goes, or the oldest of all.
    """

    def __init__(self, most: int, most_per_client: int) -> None:
        self._most = most
        self._most_per_client = most_per_client
        self._waiting: OrderedDict[str, Challenge] = OrderedDict()
        self._of_client: dict[str, dict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def keep(self, message: str, challenge: Challenge, now_ms: int) -> None:
        """Wait for the signature of a message, which holds a nonce and so is unique."""
        while self._waiting and next(iter(self._waiting.values())).expires_ms <= now_ms:
            self._drop(next(iter(self._waiting)))
        own = self._of_client.get(challenge.client, {})
        if len(own) >= self._most_per_client:
            self._drop(next(iter(own)))
        elif len(self._waiting) >= self._most:
            self._drop(next(iter(self._waiting)))
        self._waiting[message] = challenge
        self._of_client.setdefault(challenge.client, {})[message] = None

    def take(self, message: str, now_ms: int) -> Challenge | None:
        """The challenge with this text, which is used up by it; None if there is none, or its time is over."""
        challenge = self._waiting.get(message)
        if challenge is None:
            return None
        self._drop(message)
        return challenge if challenge.expires_ms > now_ms else None

    def _drop(self, message: str) -> None:
        challenge = self._waiting.pop(message)
        own = self._of_client[challenge.client]
        del own[message]
        if not own:
            del self._of_client[challenge.client]
