"""Where orders and cancels come together, whichever way they arrive: one by one, in batches, over a socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from offchain.api.breaker import Breaker
from offchain.api.life import Life
from offchain.api.limits import Limits, Use, exhausted
from offchain.api.present import Presenter, hex_of
from offchain.api.problems import ApiCode, ProblemError, problem
from offchain.api.schemas import http
from offchain.api.state import ApiState
from offchain.catalogue import Catalogue
from offchain.domain.commands import CancelOrder, Command, PlaceArray, PlaceOrder
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import ArrayResult, CancelResult, PlaceResult, Result
from offchain.domain.order import Address
from offchain.intake import Body, Intake, IntakeError
from offchain.ports import Overloaded, Unavailable

REFUSALS = (IntakeError, ProblemError, Overloaded, Unavailable)
"""What an order or a cancel may end with."""


def rejection_of(error: Exception) -> Rejection:
    """Why, for one of REFUSALS."""
    match error:
        case IntakeError() | ProblemError():
            return error.rejection
        case Overloaded():
            return Rejection(ApiCode.OVERLOADED, "", f"{error}; nothing was taken, send it again later")
        case Unavailable():
            return Rejection(ApiCode.UNAVAILABLE, "", f"{error}; send the same again")
    raise error


class Desk:
    """Lets in what may come in now, charges budgets, and turns the core's answers into ours."""

    def __init__(
        self,
        state: ApiState,
        life: Life,
        breaker: Breaker,
        limits: Limits,
        catalogue: Catalogue,
        intake: Intake,
        present: Presenter,
    ) -> None:
        self._state = state
        self._life = life
        self._breaker = breaker
        self._limits = limits
        self._catalogue = catalogue
        self._intake = intake
        self._present = present

    # -----------------------------------------------------------------------------------------------------------------
    # Admission
    # -----------------------------------------------------------------------------------------------------------------

    @contextmanager
    def placing(self, count: int = 1) -> Iterator[None]:
        """A bounded number of orders at a time, and none while the service starts, stops, or waits for the core in
        vain."""
        life = self._life
        if not self._state.is_open():
            raise ProblemError(ApiCode.STARTING, "the service is catching up with the chain; send it again in a moment")
        if life.draining:
            raise ProblemError(ApiCode.SHUTTING_DOWN, "the service is shutting down; send it again later")
        self._refuse_while_open(self._breaker.wait())
        if life.orders + count > self._state.settings.max_inflight:
            raise ProblemError(ApiCode.OVERLOADED, f"{life.orders} orders are under way; send it again later")
        life.orders += count
        try:
            yield
        finally:
            life.orders -= count

    @contextmanager
    def canceling(self) -> Iterator[None]:
        """As many cancels at a time as orders, counted apart: whatever happens to orders, one can get out."""
        life, limit = self._life, self._state.settings.max_inflight
        if life.cancels >= limit:
            raise ProblemError(ApiCode.OVERLOADED, f"{limit} cancels are under way; send it again later")
        life.cancels += 1
        try:
            yield
        finally:
            life.cancels -= 1

    def charge(self, budget: str, account: Address, cost: int = 1) -> Use | None:
        """Charge an account whose signature was verified; None if there is no limit."""
        return self._limits.use_account(budget, account, self._state.monotonic(), cost)

    def check(self, use: Use | None, whose: str) -> None:
        """Raises ProblemError if a budget is used up."""
        if use is not None and not use.is_allowed:
            self._state.metrics.rate_limited.labels(use.policy.name).inc()
            raise ProblemError(ApiCode.RATE_LIMITED, exhausted(use, whose), retry_after=use.retry_after)

    def _refuse_while_open(self, wait: int) -> None:
        if wait:
            detail = (
                f"the core has not answered {self._breaker.failures} times in a row; nothing was taken, send it again "
                f"in {wait} s"
            )
            raise ProblemError(ApiCode.CIRCUIT_OPEN, detail, retry_after=wait)

    # -----------------------------------------------------------------------------------------------------------------
    # Orders
    # -----------------------------------------------------------------------------------------------------------------

    def read_order(self, raw: Body) -> PlaceOrder:
        """Decode an order and verify its signature. Raises IntakeError."""
        started = perf_counter()
        command = self._intake.place(raw, self._state.clock.now_ms())
        self._state.metrics.order_intake.observe(perf_counter() - started)
        return command

    async def place(self, command: PlaceOrder) -> tuple[http.PlacedOrder, bool]:
        """Let the core decide; the answer, and whether it is that of an earlier time. Raises REFUSALS."""
        self._refuse_while_open(self._breaker.enter())
        result = await self._submit(command)
        if isinstance(result, Rejection):
            raise ProblemError(result.code, result.detail, result.param)
        if not isinstance(result, PlaceResult):
            raise TypeError(f"an order was answered with {type(result).__name__}")
        return self._placed(command, result), result.repeated

    def _placed(self, command: PlaceOrder, result: PlaceResult) -> http.PlacedOrder:
        """Raises ProblemError for an order that was rejected."""
        rejection = result.rejection
        if rejection is not None:
            raise ProblemError(rejection.code, rejection.detail, rejection.param, order_id=hex_of(command.order_hash))
        market = self._catalogue.market(command.order.market)
        return self._present.placed(market, result, command.client_order_id)

    def read_array(self, raw: Body) -> PlaceArray:
        """Decode orders that are signed together and verify the signature. Raises IntakeError."""
        started = perf_counter()
        command = self._intake.place_array(raw, self._state.clock.now_ms())
        self._state.metrics.order_intake.observe(perf_counter() - started)
        return command

    async def place_array(self, command: PlaceArray, request_id: str) -> http.BatchResult:
        """Let the core decide on each order. Raises REFUSALS for the whole array."""
        self._refuse_while_open(self._breaker.enter())
        result = await self._submit(command)
        if isinstance(result, Rejection):
            raise ProblemError(result.code, result.detail, result.param)
        if not isinstance(result, ArrayResult):
            raise TypeError(f"an array was answered with {type(result).__name__}")
        entries = []
        for one, decided in zip(command.orders, result.results, strict=True):
            try:
                entries.append(http.BatchEntry(order=self._placed(one, decided), problem=None))
            except ProblemError as refusal:
                entries.append(self.refused(refusal, request_id))
        return http.BatchResult(results=entries)

    def refused(self, refusal: Exception, request_id: str) -> http.BatchEntry:
        """What a batch's answer has of one that was refused, for one of REFUSALS; it is counted."""
        rejection = rejection_of(refusal)
        self._state.metrics.refusals.labels(rejection.code).inc()
        order_id = refusal.order_id if isinstance(refusal, ProblemError) else None
        return http.BatchEntry(order=None, problem=problem(rejection, request_id, order_id))

    # -----------------------------------------------------------------------------------------------------------------
    # Cancels
    # -----------------------------------------------------------------------------------------------------------------

    def read_cancel(self, raw: Body, order_id: str) -> CancelOrder:
        """Decode a cancel and verify its signature. Raises IntakeError."""
        started = perf_counter()
        command = self._intake.cancel(raw, order_id, self._state.clock.now_ms())
        self._state.metrics.cancel_intake.observe(perf_counter() - started)
        return command

    async def cancel(self, command: CancelOrder) -> http.CanceledOrder:
        """Raises REFUSALS."""
        result = await self._submit(command)
        order_id = hex_of(command.order_hash)
        if isinstance(result, Rejection):
            if result.code == Code.NOT_OWNER:
                # As if it did not exist: nobody learns by asking which orders others have.
                result = Rejection(Code.UNKNOWN_ORDER, "orderId", f"no open order has the id {order_id}")
            raise ProblemError(result.code, result.detail, result.param, order_id=order_id)
        if not isinstance(result, CancelResult):
            raise TypeError(f"a cancel was answered with {type(result).__name__}")
        return self._present.canceled(self._catalogue.market(result.market), result)

    # -----------------------------------------------------------------------------------------------------------------
    # Everything else
    # -----------------------------------------------------------------------------------------------------------------

    async def change(self, command: Command) -> None:
        """Let the core decide on what is done or refused. Raises REFUSALS."""
        result = await self._submit(command)
        if isinstance(result, Rejection):
            raise ProblemError(result.code, result.detail, result.param)

    async def _submit(self, command: Command) -> Result:
        """Let the core execute `command`, and the breaker know whether it answers. Raises Overloaded, Unavailable."""
        try:
            result = await self._state.ingress.submit(command, self._state.settings.submit_timeout_ms)
        except Unavailable:
            self._breaker.failed()
            raise
        self._breaker.succeeded()
        return result
