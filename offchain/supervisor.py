"""Starts the processes of `serve`, starts one again that dies, and stops them in the right order."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence

import structlog

from offchain.process import EXIT_REFUSED

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
MAX_DEATHS = 10
DEATHS_WITHIN = 60.0
"""`MAX_DEATHS` in so many seconds are too many."""

STOP_SECONDS = 15.0
"""For a process to end after it was told to, beside what it may take to settle."""

log = structlog.get_logger(__name__)


class Child:
    """One role. Its standard input is a pipe that we hold: when we are gone, it ends by itself."""

    def __init__(self, role: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.role = role
        self._command = command
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS)

    async def start(self) -> None:
        """Start the process, in a session of its own: Ctrl-C in the terminal reaches only the supervisor."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            env=dict(self._environment),
            start_new_session=True,
        )
        log.info("process started", process=self.role, pid=self._process.pid)

    async def keep_alive(self) -> int:
        """Start the process again whenever it dies; returns its status once that makes no sense any more."""
        while True:
            await self.start()
            assert self._process is not None, "started above"
            status = await self._process.wait()
            if status in (0, EXIT_REFUSED):
                return status
            self._deaths.append(time.monotonic())
            recent = sum(time.monotonic() - death < DEATHS_WITHIN for death in self._deaths)
            if recent == MAX_DEATHS:
                log.error("process died too often", process=self.role, deaths=recent, seconds=DEATHS_WITHIN)
                return status
            pause = min(FIRST_PAUSE * 2 ** (recent - 1), LONGEST_PAUSE)
            log.warning("process died and is started again", process=self.role, status=status, seconds=pause)
            await asyncio.sleep(pause)

    def drain(self) -> None:
        """Tell the process to take nothing new and finish what it has."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)

    def close_pipe(self) -> None:
        """Tell the process to end."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def ended(self, seconds: float) -> bool:
        """Wait for the process, kill it after `seconds`; says whether it ended by itself, with status 0."""
        if self._process is None:
            return True
        try:
            # SIGTERM ends a process that has not come as far as to hear it, which has nothing to finish either.
            return await asyncio.wait_for(self._process.wait(), seconds) in (0, -signal.SIGTERM)
        except TimeoutError:
            log.error("process does not stop and is killed", process=self.role, seconds=seconds)
            self.kill()
            await self._process.wait()
            return False

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


class Supervisor:
    """`core` and `worker` of one data folder."""

    def __init__(
        self,
        arguments: Sequence[str],
        secret_variables: Sequence[str],
        drain_seconds: float,
        program: Sequence[str] = (sys.executable, "-m", "offchain"),
    ) -> None:
        """`arguments` go to both processes, `secret_variables` of the environment to the worker only."""
        without_secrets = {name: value for name, value in os.environ.items() if name not in secret_variables}
        self._core = Child("core", [*program, "core", "--supervised", *arguments], without_secrets)
        self._worker = Child("worker", [*program, "worker", "--supervised", *arguments], os.environ)
        self._drain_seconds = drain_seconds
        self._signals = 0
        self._asked = asyncio.Event()

    async def run(self) -> int:
        """Supervise until SIGTERM or SIGINT, or until a process cannot go on; the exit status of `serve`."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        asked = asyncio.create_task(self._asked.wait())
        keepers = [asyncio.create_task(child.keep_alive()) for child in (self._core, self._worker)]
        done, _ = await asyncio.wait([asked, *keepers], return_when=asyncio.FIRST_COMPLETED)
        statuses = [keeper.result() for keeper in keepers if keeper in done]
        for task in (asked, *keepers):
            task.cancel()
        await asyncio.gather(asked, *keepers, return_exceptions=True)
        is_clean = await self._stop()
        if statuses:
            return next((status for status in statuses if status > 0), 1)
        return 0 if is_clean else 1

    async def _stop(self) -> bool:
        """No new orders, then settle what is pending, then end; says whether both processes ended well."""
        log.info("stopping", drain_seconds=self._drain_seconds)
        self._core.drain()
        self._worker.drain()
        is_worker_clean = await self._worker.ended(self._drain_seconds + STOP_SECONDS)
        self._core.close_pipe()
        is_core_clean = await self._core.ended(STOP_SECONDS)
        log.info("stopped", clean=is_worker_clean and is_core_clean)
        return is_worker_clean and is_core_clean

    def _on_signal(self) -> None:
        self._signals += 1
        self._asked.set()
        if self._signals > 1:
            log.warning("second signal: the processes are killed; what is unsettled stays in the journal")
            self._core.kill()
            self._worker.kill()
