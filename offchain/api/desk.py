"""Where orders and cancels come together, whichever way they arrive: one by one, in batches, over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import msgspec
import structlog

from offchain.api.breaker import Breaker
from offchain.api.life import Life
from offchain.api.limits import Limits, Use, exhausted
from offchain.api.present import Presenter, hex_of
from offchain.api.problems import ApiCode, ProblemError, problem
from offchain.api.schemas import http
from offchain.api.state import ApiState
from offchain.catalogue import Catalogue
from offchain.domain.commands import (
    CancelOrder,
    CancelOrders,
    Command,
    ConnectionLost,
    PlaceArray,
    PlaceOrder,
    SetDeadline,
    WatchConnection,
)
from offchain.domain.errors import Code, Rejection
from offchain.domain.guards import MAX_DEADLINE_MS
from offchain.domain.order import Address, OrderHash
from offchain.domain.results import ArrayResult, CancelResult, OrdersCanceled, PlaceResult, Result
from offchain.intake import Body, Intake, IntakeCode, IntakeError, shown
from offchain.ports import Overloaded, Unavailable

LOST_PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0)
"""seconds between the attempts to tell the core of a lost connection"""

log = structlog.get_logger(__name__)

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


def seconds_of(value: object) -> int:
    """For `cancel-after`. Raises IntakeError."""
    longest = MAX_DEADLINE_MS // 1000
    if type(value) is not int or not 0 <= value <= longest:
        raise IntakeError(Code.INVALID_DEADLINE, "seconds", f"seconds must be an integer from 0 to {longest}")
    return value


class _UnderWay:
    """So many orders are under way."""

    __slots__ = ("_count", "_life")

    def __init__(self, life: Life, count: int) -> None:
        self._life = life
        self._count = count

    def __enter__(self) -> None:
        self._life.orders += self._count

    def __exit__(self, *failure: object) -> None:
        self._life.orders -= self._count


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

    def placing(self, count: int = 1) -> _UnderWay:
        """For `with`: a bounded number of orders at a time, and none while the service starts, stops, or waits for the
        core in vain. Raises ProblemError."""
        life = self._life
        if not self._state.is_open():
            raise ProblemError(ApiCode.STARTING, "the service is catching up with the chain; send it again in a moment")
        if life.draining:
            raise ProblemError(ApiCode.SHUTTING_DOWN, "the service is shutting down; send it again later")
        self._refuse_while_open(self._breaker.wait())
        if life.orders + count > self._state.settings.max_inflight:
            raise ProblemError(ApiCode.OVERLOADED, f"{life.orders} orders are under way; send it again later")
        return _UnderWay(life, count)

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

    async def replace(self, command: PlaceOrder, order_hash: OrderHash) -> tuple[http.PlacedOrder, bool]:
        """As `place`, if that order is open under the same nonce key; else nothing is placed. Raises REFUSALS."""
        if command.replaces not in (None, order_hash):
            detail = f"the order at this address is {hex_of(order_hash)}"
            raise ProblemError(IntakeCode.INVALID_VALUE, detail, "replaces")
        return await self.place(msgspec.structs.replace(command, replaces=order_hash))

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

    def read_filter(self, account: Address, symbol: str | None, side: str | None) -> CancelOrders:
        """Which orders to cancel; None: all. Raises IntakeError."""
        market = None
        if symbol is not None:
            market = self._catalogue.find(symbol)
            if market is None:
                detail = f"there is no market {shown(symbol)!r}; GET /v1/markets lists them"
                raise IntakeError(Code.UNKNOWN_MARKET, "market", detail)
        if side not in (None, "buy", "sell"):
            raise IntakeError(Code.INVALID_SIDE, "side", "side must be one of buy, sell")
        now_ms = self._state.clock.now_ms()
        wanted = None if side is None else int(side == "sell")
        return CancelOrders(account, now_ms, market.id if market is not None else None, wanted)

    async def cancel_many(self, command: CancelOrders) -> http.CanceledOrders:
        """Raises REFUSALS."""
        result = await self._submit(command)
        if not isinstance(result, OrdersCanceled):
            raise TypeError(f"a cancel of many orders was answered with {type(result).__name__}")
        return http.CanceledOrders(
            account=hex_of(command.account),
            order_ids=[hex_of(order_hash) for order_hash in result.order_hashes],
            remaining=result.remaining,
        )

    async def set_deadline(self, account: Address, seconds: int) -> http.CancelAfter:
        """Cancel all orders of the account in so many seconds, unless it is put off before; 0: not. Raises REFUSALS."""
        at_ms = self._state.clock.now_ms() + 1000 * seconds if seconds else 0
        await self.change(SetDeadline(account, at_ms))
        return http.CancelAfter(account=hex_of(account), cancels_at=at_ms or None)

    async def watch(self, account: Address, connection: bytes, watched: bool) -> None:
        """Whether all orders of the account are canceled when the connection is lost. Raises REFUSALS."""
        result = await self._submit(WatchConnection(account, connection, watched))
        if isinstance(result, Rejection) and result.code != Code.REPEATED:
            raise ProblemError(result.code, result.detail, result.param)

    async def lose(self, connection: bytes) -> None:
        """A watched connection is gone. What the core cannot be told now it is told when it starts again."""
        for pause in LOST_PAUSES:
            try:
                await self._submit(ConnectionLost(connection))
                return
            except (Overloaded, Unavailable) as error:
                log.warning("lost connection is told again", reason=str(error), again_in=pause)
                await asyncio.sleep(pause)
        log.error("orders of a lost connection stay open", connection=connection.hex())

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
