"""The command line against the real application, in a thread of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from offchain.cli.main import main
from tests.unit.api.conftest import Api, api, create_api, create_exchange, exchange, provider  # noqa: F401
from tests.unit.api.exchange import Trader

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(api: Api) -> Run:  # noqa: F811
    """Run a command as this trader; without one, without a key."""

    async def invoke(*arguments: str, trader: Trader | None = None, api_key: str = "") -> Result:
        environment = {"CROSSPOINT_URL": str(api.server.make_url("")), "CROSSPOINT_KEY": "", "COLUMNS": "200"}
        environment["CROSSPOINT_API_KEY"] = api_key
        if trader is not None:
            environment["CROSSPOINT_KEY"] = trader.key.hex()
        # The runner captures what is printed in other threads as well: the service's log lines.
        with capture_logs():
            return await asyncio.to_thread(CliRunner().invoke, main, list(arguments), env=environment)

    return invoke


@pytest.fixture
def ask(run: Run) -> Callable[..., Awaitable[Any]]:
    """The same with `--json`; its answer."""

    async def invoke(*arguments: str, **who: Any) -> Any:
        result = await run("--json", *arguments, **who)
        assert result.exit_code == 0, result.output
        return json.loads(result.output)

    return invoke
