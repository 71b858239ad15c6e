"""Run the service as real processes against a chain: for the demo and the end-to-end tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

START_TIMEOUT = 60.0
"""seconds until the service must be ready"""

STOP_TIMEOUT = 120.0
"""seconds for the service to settle what is pending and end"""


class ServiceError(Exception):
    """The service did not become ready, or did not stop."""


class Service:
    """`python -m offchain serve` with its core and worker."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as response:
                ready: bool = response.status == 200
                return ready
        except (urllib.error.URLError, OSError):
            return False

    def wait_ready(self, timeout: float = START_TIMEOUT) -> float:
        """Wait until /readyz says so; the seconds that it took. Raises ServiceError with the log's end."""
        started = time.monotonic()
        while not self.is_ready():
            waited = time.monotonic() - started
            if self.process.poll() is not None:
                raise ServiceError(f"the service ended with status {self.process.returncode}:\n{self.tail()}")
            if waited > timeout:
                raise ServiceError(f"the service is not ready after {timeout:.0f} s: {self.reasons()}\n{self.tail()}")
            time.sleep(0.02)
        return time.monotonic() - started

    def reasons(self) -> str:
        """Why the service says that it is not ready."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as response:
                return str(json.load(response))
        except urllib.error.HTTPError as error:
            return error.read().decode(errors="replace")
        except (urllib.error.URLError, OSError) as error:
            return str(error)

    def child(self, role: str) -> int:
        """Process id of the running `core` or `worker`. Raises ServiceError if there is none."""
        found = self._find(role)
        if found is None:
            raise ServiceError(f"no {role} process runs")
        return found

    def _find(self, role: str) -> int | None:
        listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
        for line in listing.stdout.splitlines():
            pid, parent, args = line.split(None, 2)
            if int(parent) == self.process.pid and f"offchain {role}" in args:
                return int(pid)
        return None

    def kill(self, role: str) -> None:
        """SIGKILL the `core` or the `worker`; the supervisor starts it again."""
        os.kill(self.child(role), signal.SIGKILL)

    def kill_and_wait(self, role: str) -> None:
        """Kill a role and wait until its successor runs and the service is ready. Raises ServiceError."""
        killed = self.child(role)
        os.kill(killed, signal.SIGKILL)
        deadline = time.monotonic() + START_TIMEOUT
        while self._find(role) in (None, killed):
            if time.monotonic() > deadline:
                raise ServiceError(f"no {role} was started again within {START_TIMEOUT:.0f} s:\n{self.tail()}")
            time.sleep(0.02)
        self.wait_ready()

    @contextlib.contextmanager
    def paused(self, role: str) -> Iterator[None]:
        """Keep a role from doing anything (SIGSTOP) until the block ends."""
        process = self.child(role)
        os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process, signal.SIGCONT)

    def stop(self, timeout: float = STOP_TIMEOUT) -> int:
        """Ask the service to settle what is pending and end; its exit status. Raises ServiceError if it does not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise ServiceError(f"the service did not stop within {timeout:.0f} s:\n{self.tail()}") from error

    def tail(self, lines: int = 20) -> str:
        """The end of the service's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def environment(
    *, data_dir: Path, rpc_url: str, deployments_file: Path, operator_key: str, port: int, settings: Mapping[str, str]
) -> dict[str, str]:
    """The environment of the service's commands: this process's own and the configuration.

    `settings` are further variables without their CROSSPOINT_ prefix.
    """
    chosen = {
        "DATA_DIR": str(data_dir),
        "RPC_URL": rpc_url,
        "DEPLOYMENTS_FILE": str(deployments_file),
        "OPERATOR_KEY": operator_key,
        "PORT": str(port),
        "WORKER_METRICS_PORT": "0",  # services of several tests run side by side
        # Everybody comes from one address, and few accounts send as much as they can.
        "LIMIT_ADDRESS_REQUESTS": "0",
        "LIMIT_ADDRESS_CANCELS": "0",
        "LIMIT_ACCOUNT_ORDERS": "0",
        "LIMIT_ACCOUNT_CANCELS": "0",
        "LIMIT_ACCOUNT_ACTIONS": "0",
        "LIMIT_ACTIONS": "0",
        **settings,
    }
    return {**os.environ, **{f"CROSSPOINT_{name}": value for name, value in chosen.items()}}


@contextlib.contextmanager
def service(
    *, data_dir: Path, rpc_url: str, deployments_file: Path, operator_key: str, port: int, settings: Mapping[str, str]
) -> Iterator[Service]:
    """Run the service until the block ends, ready when the block starts; the arguments are those of `environment`.

    The processes get their own session, so that Ctrl-C in the terminal does not reach them before their starter has
    decided what to do.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "service.log"
    chosen = environment(
        data_dir=data_dir,
        rpc_url=rpc_url,
        deployments_file=deployments_file,
        operator_key=operator_key,
        port=port,
        settings=settings,
    )
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "offchain", "serve"],
            env=chosen,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    running = Service(process, f"http://127.0.0.1:{port}", log)
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()
