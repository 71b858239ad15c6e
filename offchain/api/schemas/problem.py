"""Errors as clients see them (RFC 9457)."""

from __future__ import annotations

import msgspec


class Problem(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The document; field order is the wire's."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    param: str | None
    """the field or parameter at fault"""
    request_id: str
    retryable: bool
    order_id: str | None = None
    """the order, where its sequence was consumed: the same bytes get the same answer again"""
