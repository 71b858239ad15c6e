"""Every implementation of `Views` passes the tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from offchain.ports import Views
from offchain.views.sqlite import SqliteViews
from tests.utils.records import Exchange
from tests.utils.scenario import create_opening

CreateViews = Callable[..., Views]


@pytest.fixture(params=["sqlite"])
async def create_views(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CreateViews]:
    """Opens the same stored views, each time as another process would."""
    opened: list[Views] = []

    def create(name: str = "views.db", *, read_only: bool = False) -> Views:
        views: Views = SqliteViews(tmp_path / name, read_only=read_only)
        opened.append(views)
        return views

    yield create
    for views in opened:
        await views.close()


@pytest.fixture
def exchange() -> Exchange:
    """An exchange with one market and a funded maker and taker."""
    exchange = Exchange()
    exchange.run(*create_opening())
    return exchange


@pytest.fixture
async def views(create_views: CreateViews) -> Views:
    return create_views()
