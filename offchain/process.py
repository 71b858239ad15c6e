"""What every process of the service does: lock its role, log, hear signals, end with a meaningful status."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import structlog

from offchain.config import LogFormat, LogLevel
from offchain.tracing import REQUEST_ID

EXIT_FATAL = 70
"""The process may not go on (an append failed, a bug in the core); starting it again recovers."""

EXIT_REFUSED = 78
"""The process cannot run as it is configured, or with this data; starting it again would not help."""


EXIT_UNSETTLED = 75
"""The process stopped as asked, with fills or releases that are not on chain; they stay in the journal."""


class Unsettled(Exception):
    """The process stopped as asked, with fills or releases that are not on chain; they stay in the journal."""


class StartRefused(Exception):
    """The process cannot run as it is configured, or with this data; the message says why."""


class SystemClock:
    """Implements `Clock`."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


@contextlib.contextmanager
def lock(folder: Path, role: str) -> Iterator[None]:
    """Hold a role in a data folder; the system lets go of it however the process ends.

    Raises StartRefused, naming the process that holds it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / f"{role}.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise StartRefused(f"data_dir: {folder} is in use by another {role}, process {holder}") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


class Life:
    """When the process has to drain, and when to end: SIGTERM or SIGINT, and the supervisor's pipe.

    Alone, the first signal means both. Under a supervisor it means to drain; to end is said by closing standard input,
    which happens too if the supervisor is killed.
    """

    def __init__(self, *, supervised: bool) -> None:
        self.draining = asyncio.Event()
        self.ending = asyncio.Event()
        self.supervised = supervised

    def listen(self) -> None:
        """Begin to hear signals; needs a running event loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        if self.supervised:
            os.set_blocking(sys.stdin.fileno(), False)
            loop.add_reader(sys.stdin.fileno(), self._on_input)

    def end(self) -> None:
        self.draining.set()
        self.ending.set()

    def _on_signal(self) -> None:
        if self.supervised:
            self.draining.set()
        else:
            self.end()

    def _on_input(self) -> None:
        with contextlib.suppress(BlockingIOError):
            if not os.read(sys.stdin.fileno(), 4096):
                asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
                self.end()


def _add_request_id(logger: object, method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Name the HTTP request in whose course a line is logged."""
    request_id = REQUEST_ID.get()
    if request_id:
        event.setdefault("request_id", request_id)
    return event


def configure_logs(role: str, level: LogLevel, form: LogFormat) -> None:
    """Structured logs on standard error, for this program and the libraries that it uses."""
    before: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_request_id,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[structlog.types.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if form is LogFormat.JSON:
        last += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        last.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))
    handler = logging.StreamHandler()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=last))
    logging.getLogger("web3").setLevel(logging.WARNING)
    logging.basicConfig(level=level.value.upper(), handlers=[handler], force=True)
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        # What is not logged at this level costs nothing.
        wrapper_class=structlog.make_filtering_bound_logger(level.value),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)


def die(error: BaseException) -> None:
    """End this process at once: memory is ahead of the journal and must not answer anybody."""
    structlog.get_logger(__name__).critical("the core ends", error=repr(error), exc_info=error)
    logging.shutdown()
    os._exit(EXIT_FATAL)
