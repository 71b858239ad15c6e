"""Operations of administrators."""

from __future__ import annotations

import msgspec

from offchain.api.admin.settings import Role
from offchain.api.schemas import admin
from offchain.api.spec.operation import ADMIN, Operation
from offchain.api.spec.parameters import (
    ADMIN_ACTION,
    ASKED,
    CURSOR,
    LETTER,
    LIMIT,
    REQUIRED_KEY,
    SYMBOL,
    WHO,
    Parameter,
)


def _admin_read(
    path: str, summary: str, body: type[msgspec.Struct], parameters: tuple[Parameter, ...] = ()
) -> Operation:
    return Operation("GET", path, "administration", summary, {200: body}, parameters, scope=Role.VIEWER, scheme=ADMIN)


def _admin_write(
    path: str,
    summary: str,
    body: type[msgspec.Struct],
    parameters: tuple[Parameter, ...] = (),
    *,
    role: Role = Role.MANAGER,
    is_on_chain: bool = False,
) -> Operation:
    return Operation(
        "POST",
        path,
        "administration",
        summary,
        {202: admin.Requested} if is_on_chain else {200: admin.Acted},
        (*parameters, REQUIRED_KEY),
        body=body,
        description="On record in the audit log, also if it is refused.",
        scope=role,
        scheme=ADMIN,
    )


_HALTS = Role.OPERATOR

ADMINISTRATION = (
    _admin_read("/v1/admin/settings", "Limits of orders, from the core itself", admin.Settings),
    _admin_write("/v1/admin/settings", "Change limits of orders", admin.SettingsBody),
    _admin_write("/v1/admin/halt", "Halt all markets; cancels work", admin.HaltBody, role=_HALTS),
    _admin_write(
        "/v1/admin/resume",
        "Let all markets trade that are not halted by themselves",
        admin.ResumeBody,
        role=Role.OPERATOR,
    ),
    _admin_write(
        "/v1/admin/markets/{symbol}/halt", "Halt a market; cancels work", admin.HaltBody, (SYMBOL,), role=Role.OPERATOR
    ),
    _admin_write(
        "/v1/admin/markets/{symbol}/resume", "Let a market trade again", admin.ResumeBody, (SYMBOL,), role=Role.OPERATOR
    ),
    _admin_write("/v1/admin/markets/{symbol}/limit", "Bound the quantity of orders", admin.LimitBody, (SYMBOL,)),
    _admin_write("/v1/admin/markets/{symbol}/leverage", "Bound the leverage", admin.LeverageBody, (SYMBOL,)),
    _admin_write("/v1/admin/markets", "Create a market on chain", admin.CreateMarketBody, is_on_chain=True),
    _admin_write(
        "/v1/admin/markets/{symbol}/status",
        "Pause, activate or close a market on chain",
        admin.StatusBody,
        (SYMBOL,),
        is_on_chain=True,
    ),
    _admin_write("/v1/admin/fee", "Schedule a fee on chain", admin.FeeBody, is_on_chain=True),
    _admin_read("/v1/admin/actions", "Transactions asked for, newest first", admin.AdminActionPage, (CURSOR, LIMIT)),
    _admin_read("/v1/admin/actions/{id}", "How one of them goes on", admin.AdminActionInfo, (ASKED,)),
    _admin_read("/v1/admin/dead-letters", "Batches that the contracts refuse", admin.DeadLetterPage, (CURSOR, LIMIT)),
    _admin_read("/v1/admin/dead-letters/{id}", "One with its fills and their orders", admin.DeadLetterInfo, (LETTER,)),
    _admin_write(
        "/v1/admin/dead-letters/{id}/retry", "Try a parked batch again", admin.RetryBody, (LETTER,), role=Role.OPERATOR
    ),
    _admin_write(
        "/v1/admin/dead-letters/{id}/bust", "Drop fills for good", admin.BustBody, (LETTER,), role=Role.OPERATOR
    ),
    _admin_read(
        "/v1/admin/audit", "What administrators did, newest first", admin.AuditPage, (WHO, ADMIN_ACTION, CURSOR, LIMIT)
    ),
)
