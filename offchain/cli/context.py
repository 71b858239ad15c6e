"""What all commands share: whom they ask, as whom, and how answers are shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
import click
import msgspec
from rich.console import Console
from rich.table import Table

from offchain.client import ApiError, Client

T = TypeVar("T")


@dataclass
class Context:
    """What all commands share."""

    url: str
    key: str | None
    api_key: str | None
    as_json: bool
    console: Console

    def run(self, ask: Callable[[Client], Awaitable[T]]) -> T:
        """Ask the exchange. Refusals end the command with their code and reason."""

        async def call() -> T:
            async with Client(self.url, self.key, api_key=self.api_key) as client:
                answer = await ask(client)
                await client.sign_out()
                return answer

        try:
            return asyncio.run(call())
        except (ApiError, ValueError, TypeError, aiohttp.InvalidURL) as error:
            raise click.ClickException(str(error)) from error

    def show(
        self, rows: Sequence[msgspec.Struct], *columns: str, cells: Mapping[str, Callable[[Any], str]] | None = None
    ) -> None:
        """The given fields of each row, named as on the wire; `cells` writes those that are no plain values."""
        plain = [msgspec.to_builtins(row) for row in rows]
        if self.as_json:
            click.echo(msgspec.json.encode(plain).decode())
            return
        table = Table(box=None, pad_edge=False)
        for column in columns:
            table.add_column(column, no_wrap=True)
        for row in plain:
            table.add_row(*((cells or {}).get(column, _cell)(row[column]) for column in columns))
        self.console.print(table)


def _cell(value: Any) -> str:
    return "-" if value is None or value == "" else str(value)
