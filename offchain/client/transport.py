"""Requests over HTTP: encoding, errors, safe repetition."""

from __future__ import annotations

from asyncio import sleep
from collections.abc import Mapping
from typing import TypeVar

import aiohttp
import msgspec

from offchain.client.errors import ApiError

FIRST_PAUSE_SECONDS = 0.1

LONGEST_WAIT_SECONDS = 30
"""for a budget to come back; who would have to wait longer is told so instead"""

TOO_MANY_REQUESTS = 429

T = TypeVar("T")


class _Problem(msgspec.Struct, frozen=True, rename="camel"):
    code: str
    detail: str
    status: int
    param: str | None = None
    request_id: str = ""
    retryable: bool = False
    order_id: str | None = None


class Transport:
    """Sends requests, repeats those that are safe to repeat, and turns refusals into `ApiError`."""

    def __init__(self, url: str, session: aiohttp.ClientSession | None, timeout: float, retries: int) -> None:
        """`timeout` in seconds per attempt. Sessions that are handed in are not closed."""
        self._url = url.rstrip("/")
        self._given = session
        self._own: aiohttp.ClientSession | None = None
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._retries = retries

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._given is not None:
            return self._given
        if self._own is None:
            self._own = aiohttp.ClientSession()
        return self._own

    def address(self, path: str) -> str:
        return self._url + path

    async def close(self) -> None:
        if self._own is not None:
            await self._own.close()
            self._own = None

    async def request(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        body: msgspec.Struct | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """Send, and send the same bytes again while the failure allows it. Raises ApiError.

        Orders are safe to repeat: the same signed order is executed once and answered alike every time. So is what
        carries an `Idempotency-Key` among its `headers`.
        """
        data = None if body is None else msgspec.json.encode(body)
        pause = FIRST_PAUSE_SECONDS
        for attempt in range(self._retries + 1):
            try:
                return await self._attempt(method, path, answer, data, query, headers or {})
            except ApiError as error:
                if not error.retryable or attempt == self._retries:
                    raise
                wait = (error.retry_after or 0) if error.status == TOO_MANY_REQUESTS else 0
                if wait > LONGEST_WAIT_SECONDS:
                    raise
            await sleep(max(pause, wait))
            pause *= 2
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(
        self,
        method: str,
        path: str,
        answer: type[T],
        data: bytes | None,
        query: Mapping[str, str] | None,
        more: Mapping[str, str],
    ) -> T:
        headers = {**more, **({"Content-Type": "application/json"} if data is not None else {})}
        try:
            async with self.session.request(
                method, self.address(path), data=data, params=query, headers=headers, timeout=self._timeout
            ) as response:
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            detail = f"{method} {path}: {type(error).__name__} {error}".rstrip()
            raise ApiError(0, "noAnswer", detail, retryable=True) from error
        if response.status >= 400:
            raise _error(response.status, raw, response.headers.get("Retry-After", ""))
        try:
            return msgspec.json.decode(raw or b"null", type=answer)
        except msgspec.DecodeError as error:
            raise ApiError(response.status, "unexpectedAnswer", f"{method} {path}: {error}") from error


def _error(status: int, raw: bytes, retry_after: str) -> ApiError:
    try:
        problem = msgspec.json.decode(raw, type=_Problem)
    except msgspec.DecodeError:
        # Not the exchange's own words: something between it and us answered.
        shown = raw[:200].decode("utf-8", "replace")
        return ApiError(status, "unexpectedAnswer", shown, retryable=status in (502, 503, 504))
    return ApiError(
        status,
        problem.code,
        problem.detail,
        param=problem.param,
        request_id=problem.request_id,
        retryable=problem.retryable,
        order_id=problem.order_id,
        retry_after=int(retry_after) if retry_after.isdecimal() and retry_after.isascii() else None,
    )


def page_of(cursor: str | None, limit: int | None) -> dict[str, str]:
    """The query of one page of a list."""
    query = {} if cursor is None else {"cursor": cursor}
    if limit is not None:
        query["limit"] = str(limit)
    return query
