"""What the client raises."""

from __future__ import annotations


class ApiError(Exception):
    """The exchange refused a request, or did not answer it; `docs/API.md` lists the codes with cause and cure."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        param: str | None = None,
        request_id: str = "",
        retryable: bool = False,
        order_id: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(f"{code}{f' ({param})' if param else ''}: {detail}")
        self.status = status
        """HTTP status; 0 if there was no answer"""
        self.code = code
        self.detail = detail
        self.param = param
        """the field or parameter at fault"""
        self.request_id = request_id
        self.retryable = retryable
        self.order_id = order_id
        self.retry_after = retry_after
        """seconds after which it makes sense to try again, where the exchange said so"""


class MissingKey(ValueError):
    """The client was given no key for what it is asked to do: a private key to sign, that or an API key to read."""


class BookDiverged(Exception):
    """A book does not follow from the messages any more: one is missing, or the checksum differs."""
