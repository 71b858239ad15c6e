"""Which request is being worked on, for log lines of every stage in the same task."""

from __future__ import annotations

from contextvars import ContextVar

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""id of the HTTP request, as in `X-Request-Id`; "" outside of one"""
