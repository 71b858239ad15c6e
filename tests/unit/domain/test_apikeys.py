"""API keys in the core: bounded, ended by revocation or time, and the same after a restart."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from offchain.domain.apikeys import MAX_KEYS, MAX_LABEL
from offchain.domain.commands import CreateApiKey, RevokeApiKey, Tick
from offchain.domain.core import Core
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import ApiKeyUpdate
from offchain.domain.results import Done
from tests.utils.exchange import MAKER, START_MS, TAKER, Exchange

NOW = START_MS // 1000
STRANGER = b"\xd2" * 20


def create(key_id: str = "k1", account: bytes = MAKER, **changes: Any) -> CreateApiKey:
    fields: dict[str, Any] = {
        "account": account,
        "id": key_id,
        "secret_hash": b"\x01" * 32,
        "label": "bot",
        "scopes": ["read"],
        "expiry": 0,
    }
    return CreateApiKey(**fields | changes)


def code_of(result: object) -> str:
    assert isinstance(result, Rejection), result
    return result.code


def statuses(exchange: Exchange) -> list[tuple[str, str]]:
    """What the last command told."""
    return [(update.id, update.status) for update in exchange.of(ApiKeyUpdate)]


def test_a_key_is_made_and_revoked(exchange: Exchange) -> None:
    assert exchange.run(create(scopes=["read", "cancel"])) == Done()
    (key,) = exchange.core.api_keys(MAKER)
    assert key == ApiKeyUpdate(MAKER, "k1", b"\x01" * 32, "bot", ["read", "cancel"], 0, exchange.now_ms, "active")
    assert exchange.core.all_api_keys() == [key]
    assert exchange.run(RevokeApiKey(MAKER, "k1")) == Done()
    assert exchange.core.api_keys(MAKER) == []
    assert statuses(exchange) == [("k1", "revoked")]
    assert code_of(exchange.run(RevokeApiKey(MAKER, "k1"))) == Code.UNKNOWN_API_KEY


def test_a_repeated_id_changes_nothing(exchange: Exchange) -> None:
    exchange.run(create())
    snapshot = exchange.core.snapshot()
    assert code_of(exchange.run(create(secret_hash=b"\x02" * 32))) == Code.DUPLICATE_API_KEY
    assert exchange.core.snapshot() == snapshot


def test_ids_and_keys_are_the_accounts_own(exchange: Exchange) -> None:
    exchange.run(create())
    assert exchange.run(create(account=TAKER)) == Done()
    assert code_of(exchange.run(RevokeApiKey(STRANGER, "k1"))) == Code.UNKNOWN_API_KEY
    exchange.run(RevokeApiKey(TAKER, "k1"))
    assert [key.id for key in exchange.core.api_keys(MAKER)] == ["k1"]


def test_an_account_has_so_many_keys(exchange: Exchange) -> None:
    for index in range(MAX_KEYS):
        assert exchange.run(create(f"k{index}")) == Done()
    assert code_of(exchange.run(create("more"))) == Code.TOO_MANY_API_KEYS
    exchange.run(RevokeApiKey(MAKER, "k3"))
    assert exchange.run(create("more")) == Done()


def test_a_key_is_dead_from_its_expiry_on(exchange: Exchange) -> None:
    exchange.run(create("late", expiry=NOW + 20))
    exchange.run(create("soon", expiry=NOW + 10))
    exchange.run(create("never"))
    assert exchange.core.next_due_ms == (NOW + 10) * 1000
    exchange.now_ms = (NOW + 10) * 1000 - 1
    exchange.run(Tick())
    assert len(exchange.core.api_keys(MAKER)) == 3
    exchange.now_ms += 1
    exchange.run(Tick())
    assert [key.id for key in exchange.core.api_keys(MAKER)] == ["late", "never"]
    assert statuses(exchange)[-1] == ("soon", "expired")
    assert exchange.core.next_due_ms == (NOW + 20) * 1000


def test_a_revoked_key_does_not_expire(exchange: Exchange) -> None:
    exchange.run(create(expiry=NOW + 10))
    exchange.run(RevokeApiKey(MAKER, "k1"))
    assert exchange.core.next_due_ms is None
    exchange.now_ms = (NOW + 11) * 1000
    exchange.run(Tick())
    assert statuses(exchange) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"scopes": []}, Code.INVALID_API_KEY),
        ({"scopes": ["keys"]}, Code.INVALID_API_KEY),
        ({"scopes": ["cancel", "read"]}, Code.INVALID_API_KEY),
        ({"scopes": ["read", "read"]}, Code.INVALID_API_KEY),
        ({"label": ""}, Code.INVALID_API_KEY),
        ({"label": "a" * (MAX_LABEL + 1)}, Code.INVALID_API_KEY),
        ({"secret_hash": b""}, Code.INVALID_API_KEY),
        ({"account": b""}, Code.INVALID_API_KEY),
        ({"expiry": NOW}, Code.INVALID_EXPIRY),
        ({"expiry": -1}, Code.INVALID_EXPIRY),
        ({"expiry": 2**40}, Code.INVALID_EXPIRY),
    ],
)
def test_impossible_keys_change_nothing(exchange: Exchange, changes: dict[str, Any], code: Code) -> None:
    snapshot = exchange.core.snapshot()
    assert code_of(exchange.run(create(**changes))) == code
    assert exchange.core.snapshot() == snapshot


def test_a_restored_core_has_the_keys_and_their_ends(exchange: Exchange) -> None:
    exchange.run(create("k1", expiry=NOW + 10))
    exchange.run(create("k2"))
    restored = Core.restore(exchange.core.snapshot())
    assert restored.snapshot() == exchange.core.snapshot()
    assert restored.all_api_keys() == exchange.core.all_api_keys()
    _, events = restored.execute(Tick(), (NOW + 10) * 1000)
    (ended,) = [event for event in events if isinstance(event, ApiKeyUpdate)]
    assert (ended.id, ended.status) == ("k1", "expired")
    assert msgspec.structs.replace(ended, status="active") == exchange.core.api_keys(MAKER)[0]
