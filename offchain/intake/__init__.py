"""From the bytes of a request to a command: form, numbers, market, units, signature.

What is refused here never reaches the core and is not remembered. Intake reserves nothing and decides nothing that
depends on the state of accounts; the core checks the order's content again.
"""

from __future__ import annotations

from offchain.intake.bodies import (
    ArrayBody,
    Body,
    CancelBody,
    IntakeCode,
    IntakeError,
    OrderBody,
    OrderTerms,
    decode_body,
    decode_object,
    shown,
)
from offchain.intake.fields import (
    CLIENT_ORDER_ID,
    bounded,
    parse_address,
    parse_lots,
    parse_number,
    parse_order_id,
    parse_signature,
)
from offchain.intake.reading import Intake, parse_nonce

__all__ = [
    "CLIENT_ORDER_ID",
    "ArrayBody",
    "Body",
    "CancelBody",
    "Intake",
    "IntakeCode",
    "IntakeError",
    "OrderBody",
    "OrderTerms",
    "bounded",
    "decode_body",
    "decode_object",
    "parse_address",
    "parse_lots",
    "parse_nonce",
    "parse_number",
    "parse_order_id",
    "parse_signature",
    "shown",
]
