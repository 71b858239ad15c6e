"""Administrators as clients: requests with a token, each with a key of its own."""

from __future__ import annotations

import itertools
from typing import Any

from aiohttp import ClientResponse

from tests.unit.api.conftest import Api
from tests.unit.api.exchange import NOW_MS
from tests.utils.identity import Provider

_keys = itertools.count()


class Administrator:
    """Somebody in some groups."""

    def __init__(self, api: Api, provider: Provider, *groups: str, subject: str = "alice") -> None:
        self._api = api
        self.token = provider.token(NOW_MS // 1000, *groups, subject=subject)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def post(self, path: str, key: str | None = None, **body: Any) -> ClientResponse:
        headers = self.headers | {"Idempotency-Key": key or f"key-{next(_keys)}"}
        return await self._api.post(f"/v1/admin{path}", json=body, headers=headers)

    async def done(self, path: str, **body: Any) -> dict[str, Any]:
        """The answer to what must succeed."""
        response = await self.post(path, **body)
        assert response.status == 200, await response.text()
        answer: dict[str, Any] = await response.json()
        return answer

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        response = await self._api.get(f"/v1/admin{path}", params=query, headers=self.headers)
        assert response.status == 200, await response.text()
        answer: dict[str, Any] = await response.json()
        return answer


async def problem_of(response: ClientResponse) -> tuple[int, str, str | None]:
    """Status, code and param of a refusal."""
    body = await response.json()
    return response.status, body["code"], body["param"]
