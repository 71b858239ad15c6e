"""docs/API.md is complete, and its examples are true."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from offchain.api.closing import CloseCode
from offchain.api.problems import PROBLEMS, ApiCode
from offchain.api.routes import ROUTES, documented
from offchain.api.schemas.http import checksum
from offchain.chain import eip712
from offchain.client import client
from offchain.config import Config
from offchain.domain.errors import Code
from offchain.domain.market import USDC
from offchain.domain.order import NO_EXPIRY, Order
from offchain.intake import IntakeCode, OrderBody
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import BTC, BTC_UNIT, BTC_USDC, DOMAIN, MAKER, NOW_MS, USDC_UNIT, Exchange, Trader, until

TEXT = (Path(__file__).parents[3] / "docs" / "API.md").read_text()

# The first of Anvil's well-known keys.
KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ACCOUNT = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
NONCE = (131_072 << 32) + 1_800_000_000
ORDER = Order(bytes.fromhex(ACCOUNT[2:]), BTC_USDC.id, 0, 0, False, 950_001, 50_000, NONCE, 0, NO_EXPIRY, 50)


def block(opening: str) -> str:
    """The fenced block that begins with this line."""
    found = re.search(rf"^{re.escape(opening)}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, opening
    return found.group(1)


def curl_body(address: str) -> dict[str, Any]:
    found = re.search(rf"{re.escape(address)}[^{{]*'(\{{.*?\}})'", TEXT, re.DOTALL)
    assert found is not None, address
    body: dict[str, Any] = json.loads(found.group(1))
    return body


# ---------------------------------------------------------------------------------------------------------------------
# Complete
# ---------------------------------------------------------------------------------------------------------------------


def test_every_code_has_a_problem() -> None:
    assert set(PROBLEMS) == {*Code, *IntakeCode, *ApiCode}


def test_every_problem_is_documented() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \| (yes|no) \| .+ \| .+ \|$", TEXT, re.MULTILINE)
    documented = {code: (int(status), retryable == "yes") for code, status, retryable in rows}
    assert documented == {code: (kind.status, kind.retryable) for code, kind in PROBLEMS.items()}
    assert len(rows) == len(documented)


def test_every_code_is_given_somewhere() -> None:
    """A code that nothing answers is not stable, it is dead."""
    folder = Path(__file__).parents[3] / "offchain"
    given = "".join(path.read_text() for path in folder.rglob("*.py") if path.name not in ("problems.py", "errors.py"))
    for kind in (ApiCode, Code, IntakeCode):
        unused = [code for code in kind if f"{kind.__name__}.{code.name}" not in given]
        assert unused == [], kind.__name__


def test_every_close_code_is_documented() -> None:
    rows = re.findall(r"^\| (\d{4}) \| ([a-z ]+) \| .+ \| .+ \|$", TEXT, re.MULTILINE)
    assert {int(code): reason for code, reason in rows} == {code.value: code.reason for code in CloseCode}
    assert len(rows) == len(CloseCode)


def test_every_budget_is_documented_as_shipped() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| .+ \| .+ \| (\d+) \|$", TEXT, re.MULTILINE)
    fields = Config.model_fields
    shipped = {
        "address": "limit_address_requests",
        "address-cancels": "limit_address_cancels",
        "sign-ins": "limit_address_sign_ins",
        "orders": "limit_account_orders",
        "cancels": "limit_account_cancels",
        "messages": "limit_socket_messages",
    }
    assert {name: int(rate) for name, rate in rows} == {name: fields[field].default for name, field in shipped.items()}
    per_hour = re.findall(r"^\| `([a-z-]+)` \| .+ \| .+ \| (\d+) per hour \|$", TEXT, re.MULTILINE)
    hourly = {"actions": "limit_account_actions", "actions-all": "limit_actions"}
    assert {name: int(rate) for name, rate in per_hour} == {n: fields[field].default for n, field in hourly.items()}


def test_every_route_is_documented() -> None:
    found = re.findall(r"^\| `([A-Z]+) (\S+)` \|", TEXT, re.MULTILINE)
    assert sorted(found) == sorted(map(documented, ROUTES))


def test_every_field_of_an_order_is_documented() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [a-z][\w ]* \| (yes|no)\b.* \| .+ \|$", TEXT, re.MULTILINE)
    fields = {field.encode_name: field.required for field in msgspec.structs.fields(OrderBody)}
    assert {name: required == "yes" for name, required in rows} == fields


# ---------------------------------------------------------------------------------------------------------------------
# True
# ---------------------------------------------------------------------------------------------------------------------


def test_the_typed_data_is_what_is_signed() -> None:
    typed = json.loads(block("```json typed-data"))
    signed = Account.sign_message(encode_typed_data(full_message=typed), KEY)
    order_hash = eip712.order_hash(ORDER)
    assert eip712.compact(signed.signature) == eip712.sign(
        eip712.order_digest(DOMAIN, order_hash), bytes.fromhex(KEY[2:])
    )
    assert "0x" + order_hash.hex() in TEXT
    assert "0x" + eip712.order_digest(DOMAIN, order_hash).hex() in TEXT
    ours = eip712.typed_data(ORDER, DOMAIN)
    assert typed["types"] == ours["types"]
    assert typed["domain"] == ours["domain"]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("Cancel", eip712.CANCEL_FIELDS),
        ("CancelAll", eip712.CANCEL_ALL_FIELDS),
        ("Withdraw", eip712.WITHDRAW_FIELDS),
        ("Delegate", eip712.DELEGATE_FIELDS),
    ],
)
def test_the_other_types_are_what_is_signed(name: str, fields: tuple[tuple[str, str], ...]) -> None:
    found = re.search(rf'^\{{"{name}": \[.*\]\}}$', TEXT, re.MULTILINE)
    assert found is not None
    assert json.loads(found.group()) == {name: [{"name": field, "type": kind} for field, kind in fields]}


async def test_the_requests_for_transactions_work(exchange: Exchange, api: Api) -> None:
    await exchange.deposit(Trader(int(KEY, 16)), USDC, 100_000 * USDC_UNIT)
    response = await api.post("/v1/orders", json=curl_body("8080/v1/orders -H"))
    order_id = (await response.json())["orderId"]
    paths = (
        "/v1/vault/withdraw",
        "/v1/account/delegates",
        f"/v1/orders/{order_id}/cancel-on-chain",
        "/v1/account/cancel-all-on-chain",
    )
    for path in paths:
        response = await api.post(path, json=curl_body(f"8080{path}"))
        assert (response.status, (await response.json())["status"]) == (202, "requested"), path
    assert len(exchange.core.due_actions()) == len(paths)


async def test_the_requests_work(exchange: Exchange, api: Api) -> None:
    await exchange.deposit(Trader(int(KEY, 16)), USDC, 100_000 * USDC_UNIT)
    response = await api.post("/v1/orders", json=curl_body("8080/v1/orders -H"))
    assert response.status == 201
    order_id = (await response.json())["orderId"]
    assert order_id == "0x" + eip712.order_hash(ORDER).hex()
    response = await api.delete(f"/v1/orders/{order_id}", json=curl_body(f"8080/v1/orders/{order_id}"))
    assert (response.status, (await response.json())["status"]) == (200, "canceled")


async def test_the_message_to_sign_in_is_the_one_that_is_shown(api: Api) -> None:
    """But for what differs each time: the nonce and where the service listens."""
    shown = block("```\n127.0.0.1:8080 wants you to sign in with your Ethereum account:")
    response = await api.post("/v1/auth/challenge", json={"account": ACCOUNT})
    message = (await response.json())["message"].replace(api.make_url("").authority, "127.0.0.1:8080")
    _, given = message.split("\n", 1)
    nonce = r"Nonce: [0-9a-f]{32}"
    assert re.sub(nonce, "", given) + "\n" == re.sub(nonce, "", shown)


def test_the_checksums_are_right() -> None:
    before = checksum([("95000.1", "0.5")], [("95000.2", "1"), ("95001", "0.25")])
    after = checksum([("95000.1", "0.3")], [("95001", "0.25")])
    assert f"`95000.1:0.5|95000.2:1|95001:0.25` gives {before}" in TEXT
    assert f"`95000.1:0.3|95001:0.25` gives {after}" in TEXT
    assert (TEXT.count(str(before)), TEXT.count(str(after))) == (2, 2)
    assert checksum([], []) == 0


async def test_the_python_example_runs(
    exchange: Exchange, api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.time, "time", lambda: NOW_MS / 1000)
    trader = Trader(int(KEY, 16))
    await exchange.deposit(trader, USDC, 100_000 * USDC_UNIT)
    await exchange.deposit(trader, BTC.id, BTC_UNIT)
    scope: dict[str, Any] = {"__name__": "example"}
    exec(compile(block("```python"), "docs/API.md", "exec"), scope)
    async with asyncio.timeout(20):
        assert await scope["main"](str(api.make_url("")), KEY) == "canceled"
    assert "\ninsufficientBalance quantity " in "\n" + capsys.readouterr().out


async def test_the_example_of_stops_and_quotes_runs(
    exchange: Exchange, api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.time, "time", lambda: NOW_MS / 1000)
    scope: dict[str, Any] = {"__name__": "example"}
    exec(compile(block("```python stops and quotes"), "docs/API.md", "exec"), scope)
    async with asyncio.timeout(20), client.Client(str(api.make_url("")), MAKER.key) as maker:
        stop = await maker.order(await scope["protect"](maker))
        assert (stop.type, stop.quantity, stop.price) == ("market", "0.5", "85000")
        assert stop.trigger is not None
        assert stop.trigger.price == "91000"
        await scope["quote"](maker)
        await until(lambda: not exchange.core.depth(BTC_USDC.id, 0, 1))
        assert (await maker.orders(status=("open",))).orders == []
    assert capsys.readouterr().out.count("['quoted', 'quoted', 'quoted', 'quoted']") == 2
