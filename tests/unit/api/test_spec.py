"""The served documents describe everything, and the service does what they say."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from offchain.api.routes import ROUTES, documented
from offchain.api.spec.asyncapi import CHANNELS, asyncapi
from offchain.api.spec.operation import ADMIN, Operation
from offchain.api.spec.operations import OPERATIONS
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import BTC_USDC, MAKER, NOW_MS, TAKER, bearer, create_body, create_order
from tests.unit.api.sockets import Connect
from tests.utils.identity import MANAGERS, OPERATORS, Provider

READS = [each for each in OPERATIONS if each.method == "GET" and each.path.startswith("/v1/") and each.tag != "stream"]
DESCRIBED = [each for each in READS if each.tag != "documents"]


async def document(api: Api, path: str) -> dict[str, Any]:
    response = await api.get(path)
    assert (response.status, response.content_type) == (200, "application/json")
    body: dict[str, Any] = await response.json()
    return body


def administrator(provider: Provider) -> dict[str, str]:
    """Of somebody who may do everything."""
    token = provider.token(NOW_MS // 1000, OPERATORS, MANAGERS, exp=NOW_MS // 1000 + 3_600)
    return {"Authorization": f"Bearer {token}"}


# ---------------------------------------------------------------------------------------------------------------------
# HTTP
# ---------------------------------------------------------------------------------------------------------------------


def test_every_route_is_described_and_no_other() -> None:
    assert {(each.method, each.path) for each in OPERATIONS} == set(map(documented, ROUTES))


@pytest.mark.parametrize("operation", DESCRIBED, ids=lambda each: each.id)
async def test_handlers_take_the_parameters_that_are_described(
    api: Api, operation: Operation, provider: Provider
) -> None:
    path = operation.path.replace("{symbol}", BTC_USDC.symbol).replace("{id}", "0x" + "11" * 32)
    headers = administrator(provider) if operation.scheme == ADMIN else None
    response = await api.get(path, params={"unheardOf": "1"}, headers=headers)
    problem = await response.json()
    assert (response.status, problem["code"]) == (400, "unknownParameter")
    found = re.search(r"there are: (.*)$", problem["detail"])
    assert found is not None
    expected = [each.name for each in operation.parameters if each.place == "query"]
    assert found.group(1) == (", ".join(expected) or "none")


async def test_fields_are_described_where_the_code_does(api: Api) -> None:
    schemas = (await document(api, "/v1/openapi.json"))["components"]["schemas"]
    assert schemas["MarketInfo"]["properties"]["tickSize"]["description"] == (
        "smallest step of the price, quote units per whole base unit"
    )
    assert schemas["PublicTradeRow"]["properties"]["side"] == {
        "type": "string",
        "enum": ["buy", "sell"],
        "description": "the taker's",
    }


async def test_references_lead_somewhere(api: Api) -> None:
    for path in ("/v1/openapi.json", "/v1/asyncapi.json"):
        whole = await document(api, path)
        for reference in re.findall(r"'\$ref': '#/([^']*)'", str(whole)):
            place: Any = whole
            for key in reference.split("/"):
                place = place[key]


async def test_page_names_every_route_and_message(api: Api) -> None:
    response = await api.get("/docs")
    assert (response.status, response.content_type) == (200, "text/html")
    text = await response.text()
    for operation in OPERATIONS:
        assert f'id="{operation.id}"' in text
    for name in asyncapi()["components"]["messages"]:
        assert f'id="{name}"' in text
    links = set(re.findall(r'href="#([^"]*)"', text))
    assert links <= set(re.findall(r'id="([^"]*)"', text))


CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,unsupported_method,ignored_auth"
)


@pytest.mark.parametrize("is_administrator", [False, True], ids=["trader", "administrator"])
async def test_schemathesis_finds_nothing(api: Api, tmp_path: Path, provider: Provider, is_administrator: bool) -> None:
    """The service is driven by the document alone, with what it allows and with what it does not.

    Whether a signed body is accepted depends on its signature, so that what is allowed may be refused. The token is a
    session's; signing out would end it.
    """
    order_id = ""
    for trader, side in ((MAKER, 1), (TAKER, 0)):
        response = await api.post("/v1/orders", json=create_body(trader, create_order(trader, side=side)))
        assert response.status == 201, await response.text()
        order_id = (await response.json())["orderId"]
    known = {"symbol": BTC_USDC.symbol, "account": MAKER.account, "id": order_id}
    config = tmp_path / "schemathesis.toml"
    config.write_text("[parameters]\n" + "".join(f'{name} = "{value}"\n' for name, value in known.items()))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
    command += [str(api.server.make_url("/v1/openapi.json")), "--checks", CHECKS, "--max-examples", "15"]
    command += ["--seed", "1", "--generation-database", "none", "--no-color"]
    command += ["--exclude-path", "/v1/ws", "--exclude-path", "/v1/auth/sessions/current"]
    command += ["--include-path-regex" if is_administrator else "--exclude-path-regex", "^/v1/admin"]
    headers = administrator(provider) if is_administrator else bearer(api, MAKER)
    command += ["--header", f"Authorization: {headers['Authorization']}"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


# ---------------------------------------------------------------------------------------------------------------------
# Stream
# ---------------------------------------------------------------------------------------------------------------------


async def test_operations_are_described_with_their_fields(connect: Connect) -> None:
    socket = await connect()
    for operation in CHANNELS["control"].received:
        fields = dict.fromkeys(operation.__struct_encode_fields__)
        op = operation.__struct_config__.tag
        await socket.raw.send_json({"op": op, **fields, "unheardOf": 1})
        refusal = await socket.raw.receive_json()
        assert (refusal["code"], refusal["param"]) == ("unknownField", "unheardOf")
    await socket.raw.send_json({"op": "unheardOf"})
    described = {str(operation.__struct_config__.tag) for operation in CHANNELS["control"].received}
    detail = (await socket.raw.receive_json())["detail"]
    assert all(op in detail for op in described)


async def test_every_message_is_in_a_channel(api: Api) -> None:
    whole = await document(api, "/v1/asyncapi.json")
    sent = {name for channel in whole["channels"].values() for name in channel["messages"]}
    assert sent == set(whole["components"]["messages"])
