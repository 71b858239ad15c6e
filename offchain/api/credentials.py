"""Who is behind a bearer token: sessions, which live in this process's memory, and API keys, which the core knows.

Of a token only its SHA-256 is kept: it has 256 random bits, so its hash is as good as unique and tells nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from offchain.domain.events import ApiKeyUpdate, DelegateUpdate, Event
from offchain.domain.order import Address

SESSION_PREFIX, KEY_PREFIX = "cps_", "cpk_"
"""So that a token that has leaked is found and recognised."""

_RANDOM_BYTES = 32


class Scope(StrEnum):
    """What a token lets one do. None of them places an order or withdraws: that takes a signature each time."""

    READ = "read"
    CANCEL = "cancel"
    KEYS = "keys"
    """managing API keys: sessions that the account itself has signed in to"""


@dataclass(frozen=True, slots=True)
class Identity:
    """For whom a token speaks, and what it may do."""

    account: Address
    signer: Address
    """who signed in: the account or a delegate; of an API key the account"""
    scopes: frozenset[str]
    expires_ms: int | None
    """Unix milliseconds; None: an API key without an end"""
    token_hash: bytes
    """SHA-256"""
    key_id: str | None = None
    """of an API key; None: a session"""

    def is_over(self, now_ms: int) -> bool:
        return self.expires_ms is not None and self.expires_ms <= now_ms


def new_token(prefix: str) -> str:
    """256 random bits."""
    return prefix + secrets.token_urlsafe(_RANDOM_BYTES)


def hash_of(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Credentials:
    """All tokens that are good now. Follows events; one event loop."""

    def __init__(self, max_sessions: int, max_sessions_per_account: int) -> None:
        self._max_sessions = max_sessions
        self._max_per_account = max_sessions_per_account
        self._sessions: OrderedDict[bytes, Identity] = OrderedDict()
        """by hash; all live equally long, so the first one opened ends first"""
        self._sessions_of: dict[Address, dict[bytes, None]] = {}
        self._keys: dict[bytes, Identity] = {}
        self._hash_of_key: dict[tuple[Address, str], bytes] = {}
        self._watchers: dict[bytes, dict[Callable[[], None], None]] = {}

    # -----------------------------------------------------------------------------------------------------------------
    # Asking
    # -----------------------------------------------------------------------------------------------------------------

    @property
    def sessions(self) -> int:
        """Open sessions, among them perhaps some that have just ended."""
        return len(self._sessions)

    @property
    def keys(self) -> int:
        """Active API keys."""
        return len(self._keys)

    def find(self, token: str, now_ms: int) -> Identity | None:
        """None for a token that is unknown, or good no more."""
        token_hash = hash_of(token)
        identity = self._sessions.get(token_hash) or self._keys.get(token_hash)
        return None if identity is None or identity.is_over(now_ms) else identity

    def is_good(self, identity: Identity, now_ms: int) -> bool:
        """Whether the token behind an identity still is."""
        known = self._sessions.get(identity.token_hash) or self._keys.get(identity.token_hash)
        return known is not None and not known.is_over(now_ms)

    def watch(self, identity: Identity, ended: Callable[[], None]) -> None:
        """Have `ended` called once, soon after the token is good no more."""
        self._watchers.setdefault(identity.token_hash, {})[ended] = None

    def unwatch(self, identity: Identity, ended: Callable[[], None]) -> None:
        watchers = self._watchers.get(identity.token_hash)
        if watchers is not None:
            watchers.pop(ended, None)
            if not watchers:
                del self._watchers[identity.token_hash]

    # -----------------------------------------------------------------------------------------------------------------
    # Sessions
    # -----------------------------------------------------------------------------------------------------------------

    def open_session(self, account: Address, signer: Address, expires_ms: int) -> tuple[str, Identity]:
        """A new session's token. Where there is no room, the session that ends first, of the account or of all, goes.

        `signer` is the account or a delegate of it.
        """
        scopes = {Scope.READ, Scope.CANCEL, *([Scope.KEYS] if signer == account else [])}
        token = new_token(SESSION_PREFIX)
        identity = Identity(account, signer, frozenset(scopes), expires_ms, hash_of(token))
        own = self._sessions_of.setdefault(account, {})
        if len(own) >= self._max_per_account:
            self._end_session(next(iter(own)))
        elif len(self._sessions) >= self._max_sessions:
            self._end_session(next(iter(self._sessions)))
        self._sessions[identity.token_hash] = identity
        self._sessions_of.setdefault(account, {})[identity.token_hash] = None
        return token, identity

    def end_session(self, identity: Identity) -> None:
        """Sign out; nothing if the session has ended."""
        if identity.token_hash in self._sessions:
            self._end_session(identity.token_hash)

    def sweep(self, now_ms: int) -> None:
        """Forget what has ended by time. API keys end by an event of the core, which may be a moment late."""
        while self._sessions and next(iter(self._sessions.values())).is_over(now_ms):
            self._end_session(next(iter(self._sessions)))
        for token_hash in [each for each in self._watchers if each in self._keys and self._keys[each].is_over(now_ms)]:
            self._tell(token_hash)

    def _end_session(self, token_hash: bytes) -> None:
        identity = self._sessions.pop(token_hash)
        own = self._sessions_of[identity.account]
        del own[token_hash]
        if not own:
            del self._sessions_of[identity.account]
        self._tell(token_hash)

    def _tell(self, token_hash: bytes) -> None:
        for ended in list(self._watchers.pop(token_hash, ())):
            ended()

    # -----------------------------------------------------------------------------------------------------------------
    # What the core says
    # -----------------------------------------------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Learn of keys that are made and end, and end the sessions of a delegate who signs no more."""
        match event:
            case ApiKeyUpdate():
                self._set_key(event)
            case DelegateUpdate(valid_until=0):
                self._end_delegate(event.account, lambda signer: signer == event.delegate)

    def learn(self, keys: Iterable[ApiKeyUpdate], delegates: Iterable[DelegateUpdate]) -> None:
        """Start from the core's state of now: its keys, and the delegates who sign; everything else has ended."""
        known = list(keys)
        current = {(key.account, key.id) for key in known}
        for name in [name for name in self._hash_of_key if name not in current]:
            self._drop_key(name)
        for key in known:
            self._set_key(key)
        signing = {(one.account, one.delegate) for one in delegates}
        for account in list(self._sessions_of):
            self._end_delegate(account, lambda signer, of=account: (of, signer) not in signing)  # type: ignore[misc]

    def _set_key(self, update: ApiKeyUpdate) -> None:
        name = (update.account, update.id)
        if not update.is_active:
            self._drop_key(name)
            return
        expires_ms = update.expiry * 1000 or None
        scopes = frozenset(update.scopes)
        identity = Identity(update.account, update.account, scopes, expires_ms, update.secret_hash, update.id)
        self._keys[update.secret_hash] = identity
        self._hash_of_key[name] = update.secret_hash

    def _drop_key(self, name: tuple[Address, str]) -> None:
        token_hash = self._hash_of_key.pop(name, None)
        if token_hash is not None:
            del self._keys[token_hash]
            self._tell(token_hash)

    def _end_delegate(self, account: Address, is_over: Callable[[Address], bool]) -> None:
        for token_hash in list(self._sessions_of.get(account, ())):
            signer = self._sessions[token_hash].signer
            if signer != account and is_over(signer):
                self._end_session(token_hash)
