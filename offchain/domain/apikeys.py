"""API keys: by them programs read an account, and cancel its orders, without a signature for each request.

The core holds them so that they survive restarts and every process agrees on them; it never sees a secret, only its
hash. Who may ask for one is decided by the interface: the account itself, signed in.
"""

from __future__ import annotations

import msgspec

from offchain.domain.account import Account
from offchain.domain.commands import CreateApiKey, RevokeApiKey
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import ApiKeyUpdate
from offchain.domain.order import MAX_TIMED_EXPIRY
from offchain.domain.results import Done
from offchain.domain.state import State, Turn

SCOPES = ("read", "cancel")
"""What a key may be good for. None places orders or withdraws: that takes a signature."""

MAX_KEYS = 32
"""Active ones per account."""

MAX_LABEL = 64
"""Characters."""

HASH_BYTES = 32


def create(state: State, turn: Turn, command: CreateApiKey) -> Done | Rejection:
    """Make a key; a repeated id is refused, because the secret that belongs to it is known to nobody any more."""
    refusal = _malformed(command, turn.now_ms)
    if refusal is not None:
        return refusal
    known = state.accounts.get(command.account)
    if known is not None and command.id in known.api_keys:
        detail = f"this request has made the key {command.id} before, and its secret is not kept; revoke it, or use it"
        return Rejection(Code.DUPLICATE_API_KEY, "Idempotency-Key", detail)
    if known is not None and len(known.api_keys) >= MAX_KEYS:
        return Rejection(Code.TOO_MANY_API_KEYS, "", f"the account has {MAX_KEYS} API keys; revoke one")
    account = state.account(command.account)
    update = ApiKeyUpdate(
        command.account,
        command.id,
        command.secret_hash,
        command.label,
        command.scopes,
        command.expiry,
        turn.now_ms,
        "active",
    )
    account.api_keys[command.id] = update
    if command.expiry:
        state.api_key_ends.add((command.expiry, command.account, command.id))
    turn.events.append(update)
    return Done()


def revoke(state: State, turn: Turn, command: RevokeApiKey) -> Done | Rejection:
    account = state.accounts.get(command.account)
    key = account.api_keys.get(command.id) if account is not None else None
    if account is None or key is None:
        return Rejection(Code.UNKNOWN_API_KEY, "id", f"the account has no active API key {command.id}")
    if key.expiry:
        state.api_key_ends.remove((key.expiry, command.account, command.id))
    _end(turn, account, key, "revoked")
    return Done()


def expire_first(state: State, turn: Turn) -> None:
    """End the key whose time ends first."""
    _, address, key_id = state.api_key_ends.pop(0)
    account = state.accounts[address]
    _end(turn, account, account.api_keys[key_id], "expired")


def _end(turn: Turn, account: Account, key: ApiKeyUpdate, status: str) -> None:
    del account.api_keys[key.id]
    turn.events.append(msgspec.structs.replace(key, status=status))


def _malformed(command: CreateApiKey, now_ms: int) -> Rejection | None:
    """Why a key cannot be as asked for; the interface has looked before."""
    if not command.scopes or [each for each in SCOPES if each in command.scopes] != command.scopes:
        return Rejection(Code.INVALID_API_KEY, "scopes", f"scopes are one or more of {', '.join(SCOPES)}, each once")
    if not 1 <= len(command.label) <= MAX_LABEL:
        return Rejection(Code.INVALID_API_KEY, "label", f"label has 1 to {MAX_LABEL} characters")
    if len(command.account) != 20 or len(command.secret_hash) != HASH_BYTES:
        return Rejection(Code.INVALID_API_KEY, "", "an account has 20 bytes, the hash of a secret 32")
    if not 0 <= command.expiry <= MAX_TIMED_EXPIRY or 0 < command.expiry * 1000 <= now_ms:
        detail = f"expiry must be a Unix second after now, {now_ms} ms, and at most {MAX_TIMED_EXPIRY}"
        return Rejection(Code.INVALID_EXPIRY, "expiry", detail)
    return None
