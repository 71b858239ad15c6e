"""Arguments that several commands have."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

import click

ORDER_ID = re.compile("0x[0-9a-fA-F]{64}", re.ASCII)


class Amount(click.ParamType):
    """A positive decimal number, exactly as written."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            number = Decimal(value)
        except (InvalidOperation, TypeError):
            self.fail(f"{value!r} is not a number", param, ctx)
        if not number.is_finite() or number <= 0:
            self.fail(f"{value} is not above zero", param, ctx)
        return number


class OrderId(click.ParamType):
    """An order's hash."""

    name = "order"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if ORDER_ID.fullmatch(str(value)) is None:
            self.fail(f"{value!r} is not an order's id: 0x and 64 hexadecimal digits", param, ctx)
        return str(value)


AMOUNT = Amount()
SYMBOL = click.argument("symbol")
