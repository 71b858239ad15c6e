"""Start and stop an Anvil of our own: the local chain of the demo and of the end-to-end tests."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

START_TIMEOUT = 30.0
"""seconds until a started Anvil must answer"""


class AnvilError(Exception):
    """Anvil is missing, did not start, or answered a request with an error."""


def free_port() -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def rpc(url: str, method: str, *params: Any) -> Any:
    """One JSON-RPC call. Raises AnvilError with the node's message."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = json.load(response)
    except (urllib.error.URLError, OSError) as error:
        raise AnvilError(f"{method} at {url}: {error}") from error
    if "error" in answer:
        raise AnvilError(f"{method}: {answer['error'].get('message')}")
    return answer["result"]


def find_anvil() -> str:
    """The anvil beside this interpreter, else the one on PATH."""
    beside = Path(sys.executable).parent / "anvil"
    found = str(beside) if beside.exists() else shutil.which("anvil")
    if not found:
        raise AnvilError("anvil is not installed; run `make setup`")
    return found


@contextlib.contextmanager
def anvil(
    *,
    chain_id: int = 31337,
    block_time: int | None = None,
    fork_url: str | None = None,
    fork_block: int | None = None,
    log: Path | None = None,
    port: int | None = None,
) -> Iterator[str]:
    """Run Anvil until the block ends and yield its URL.

    Blocks come every `block_time` seconds, or with each transaction if it is None. A fork of the chain at `fork_url`
    begins after `fork_block`, by default its newest. The process gets its own session, so
    that Ctrl-C in the terminal reaches only the program that started it, which can then settle before the chain ends.
    """
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    command = [find_anvil(), "--port", str(port), "--chain-id", str(chain_id), "--hardfork", "prague", "--quiet"]
    if block_time is not None:
        command += ["--block-time", str(block_time)]
    if fork_url is not None:
        # Anvil keeps what it read of a fork by chain id and block number alone (foundry pull request 15931): two local
        # chains of the same age would be taken for each other.
        command += ["--fork-url", fork_url, "--no-storage-caching"]
    if fork_block is not None:
        command += ["--fork-block-number", str(fork_block)]
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("ab")) if log else subprocess.DEVNULL
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        try:
            _wait(process, url)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        if process.poll() is not None:
            raise AnvilError(f"anvil ended with status {process.returncode}")
        try:
            rpc(url, "eth_chainId")
            return
        except AnvilError:
            if time.monotonic() > deadline:
                process.kill()
                raise
            time.sleep(0.05)
