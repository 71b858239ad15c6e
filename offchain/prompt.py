"""Answers that arrive in the same turn of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, TypeVar

T = TypeVar("T")


class PromptFuture(asyncio.Future[T]):
    """A future that `resolve` can finish so that the task which awaits it goes on at once.

    `set_result` only asks the loop to wake that task: it waits for everything else that the loop has to do first, which
    under load is a whole turn. Whoever calls `resolve` runs a piece of that task instead, up to its next wait.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._waiting: list[tuple[Callable[[Any], object], Context]] = []

    def add_done_callback(self, fn: Callable[[Any], object], *, context: Context | None = None) -> None:
        context = context if context is not None else copy_context()
        super().add_done_callback(fn, context=context)
        self._waiting.append((fn, context))

    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int:
        self._waiting = [each for each in self._waiting if each[0] != fn]
        return super().remove_done_callback(fn)

    def resolve(self, result: T) -> None:
        """Set the result and let those who wait go on before this returns.

        Inside a task, whose place no other can take, they go on in the loop's next turn. Raises InvalidStateError if
        the future is done.
        """
        if self.done() or asyncio.current_task(self.get_loop()) is not None:
            self.set_result(result)
            return
        waiting, self._waiting = self._waiting, []
        for fn, _ in waiting:
            super().remove_done_callback(fn)
        self.set_result(result)
        for fn, context in waiting:
            self._call(fn, context)

    def _call(self, fn: Callable[[Any], object], context: Context) -> None:
        try:
            context.run(fn, self)
        except Exception as error:
            # As the loop does with what it calls itself: whoever resolves has nothing to do with it.
            facts: dict[str, Any] = {"message": f"callback {fn!r} failed", "exception": error, "future": self}
            self.get_loop().call_exception_handler(facts)
