"""Where requests for transactions on chain come together, and how they are shown."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from offchain.actionintake import AS_CXPT, ActionIntake
from offchain.api.breaker import Breaker
from offchain.api.present import Presenter, hex_of, hex_or_none
from offchain.api.problems import ApiCode, ProblemError
from offchain.api.schemas import actions
from offchain.api.state import ApiState
from offchain.catalogue import Catalogue
from offchain.domain.actions import (
    SettleWithdrawal,
    SignedCancel,
    SignedCancelAll,
    SignedDelegate,
    SignedWithdrawal,
    kind_of,
)
from offchain.domain.commands import RequestAction
from offchain.domain.errors import Rejection
from offchain.domain.events import ActionUpdate
from offchain.domain.results import ActionResult
from offchain.ports import ActionRow, Unavailable


class ActionDesk:
    """Reads requests, lets the core decide, and turns its answers into ours."""

    def __init__(self, state: ApiState, breaker: Breaker, catalogue: Catalogue) -> None:
        self._state = state
        self._breaker = breaker
        self.intake = ActionIntake(catalogue)

    def read(self, decode: Callable[[int], RequestAction]) -> RequestAction:
        """What `decode` makes of a request that was received now. Raises IntakeError."""
        started = perf_counter()
        command = decode(self._state.clock.now_ms())
        self._state.metrics.action_intake.observe(perf_counter() - started)
        return command

    async def request(self, command: RequestAction) -> actions.ActionState:
        """Let the core take the action, or tell how it stands. Raises ProblemError, Overloaded, Unavailable."""
        # The core forgets what has ended long ago, the views do not: nothing is paid for twice.
        row = await self._state.views.action(command.id)
        if row is not None and row.status == "settled":
            return state_of(row)
        is_cancel = isinstance(command.action, SignedCancel | SignedCancelAll)
        wait = 0 if is_cancel else self._breaker.enter()
        if wait:
            detail = f"the core does not answer; nothing was taken, send it again in {wait} s"
            raise ProblemError(ApiCode.CIRCUIT_OPEN, detail, retry_after=wait)
        try:
            result = await self._state.ingress.submit(command, self._state.settings.submit_timeout_ms)
        except Unavailable:
            self._breaker.failed()
            raise
        self._breaker.succeeded()
        if isinstance(result, Rejection):
            raise ProblemError(result.code, result.detail, result.param)
        if not isinstance(result, ActionResult):
            raise TypeError(f"an action was answered with {type(result).__name__}")
        return actions.ActionState(
            action_id=hex_of(result.id),
            status=result.status.value,
            reason=result.reason,
            tx_hash=hex_or_none(result.tx_hash),
        )


def state_of(row: ActionRow) -> actions.ActionState:
    return actions.ActionState(
        action_id=hex_of(row.id), status=row.status, reason=row.reason, tx_hash=hex_or_none(row.tx_hash)
    )


def change_of(event: ActionUpdate) -> actions.ActionChange:
    return actions.ActionChange(
        action_id=hex_of(event.id),
        kind=event.kind,
        status=event.status.value,
        reason=event.reason,
        tx_hash=hex_or_none(event.tx_hash),
    )


def info_of(present: Presenter, row: ActionRow) -> actions.ActionInfo:
    """A trader's action with what was signed."""
    action = row.action
    withdrawal = action if isinstance(action, SignedWithdrawal) else None
    paid = action if isinstance(action, SignedWithdrawal | SettleWithdrawal) else None
    delegate = action if isinstance(action, SignedDelegate) else None
    numbered = withdrawal or delegate
    return actions.ActionInfo(
        action_id=hex_of(row.id),
        account=hex_of(row.account),
        kind=kind_of(action),
        status=row.status,
        reason=row.reason,
        tx_hash=hex_or_none(row.tx_hash),
        asset=present.asset_symbol(paid.asset) if paid else None,
        as_cxpt=paid.kind == AS_CXPT if paid else None,
        amount=present.amount(withdrawal.asset, withdrawal.amount) if withdrawal else None,
        order_id=hex_of(action.order_hash) if isinstance(action, SignedCancel) else None,
        epoch=action.epoch if isinstance(action, SignedCancelAll) else None,
        delegate=hex_of(delegate.delegate) if delegate else None,
        valid_until=delegate.valid_until if delegate else None,
        nonce=str(numbered.nonce) if numbered else None,
        created_at=row.created_ms,
        updated_at=row.updated_ms,
    )
