"""A pytest plugin that runs the collected tests once for each mutant, in processes forked after the collection.

A job (a JSON file named by MUTANTS_JOB) either maps, with no mutant switched on, which test reaches which mutants, or
runs for each of its mutants the tests that reach it until one fails. See mutants.py.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from scripts._audit.mutations import SWITCH
from scripts._audit.tree import BOUNDARIES

CONSOLE = "0x000000000000000000636F6e736F6c652e6c6f67"
LOG_SELECTOR = "f82c50f1"
NONE = 2**200
"""switches no mutant on, and no report either"""
TIMED_OUT = 70
STATES = {0: "survived", 1: "killed", TIMED_OUT: "timeout"}
NO_CHAIN = ("ConnectionError", "ReadTimeout", "ProviderNotConnected", "SubprocessTimeout", "RPCTimeout")
"""what a test says that failed for want of an Anvil"""


class Map:
    """Tells the collector beside Anvil where each test begins; durations and failures come with it."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.output = Path(job["output"])
        self.first: int = job["first"]
        self.tests: list[str] = []
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        data = "0x" + LOG_SELECTOR + (BOUNDARIES + self.first + len(self.tests)).to_bytes(32, "big").hex()
        _rpc("eth_call", {"to": CONSOLE, "data": data}, "latest")
        self.tests.append(item.nodeid)
        yield

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        answer = {"tests": self.tests, "seconds": self.seconds, "failed": self.failed}
        self.output.write_text(json.dumps(answer))


class Run:
    """Forks a process for each mutant before Ape starts an Anvil, so that each has its own."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.mutant: int | None = None
        self.killer = ""
        self.how = ""
        self.running: dict[int, tuple[int, float]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        items = {item.nodeid: item for item in session.items}
        for mutant, tests in self.job["mutants"]:
            while len(self.running) >= self.job["jobs"]:
                self._await_one()
            sys.stdout.flush()
            if (child := os.fork()) == 0:
                self._become(mutant, session, [items[test] for test in tests if test in items])
                return
            self.running[child] = (mutant, time.monotonic())
        while self.running:
            self._await_one()
        os._exit(0)

    def _become(self, mutant: int, session: pytest.Session, items: list[pytest.Item]) -> None:
        self.mutant = mutant
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        session.items[:] = items
        signal.signal(signal.SIGALRM, lambda *_: pytest.exit("time is up", TIMED_OUT))

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._note({"killer": item.nodeid, "how": "takes too long"})
        signal.alarm(self.job["seconds"])
        yield
        signal.alarm(0)
        if not self.killer:
            self._result_file(os.getpid()).unlink()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        _rpc("anvil_setBalance", SWITCH, hex(self.mutant or 0))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.killer:
            self.killer = report.nodeid
            self._note({"killer": self.killer, "how": _how(report)})

    def _await_one(self) -> None:
        child, status = os.waitpid(-1, 0)
        mutant, begun = self.running.pop(child)
        file = self._result_file(child)
        note = json.loads(file.read_text()) if file.exists() else {"killer": "", "how": ""}
        code = os.waitstatus_to_exitcode(status)
        state = STATES.get(code, f"broken: pytest ended with {code}")
        if (state == "survived") == bool(note["killer"]) or any(name in note["how"] for name in NO_CHAIN):
            state = f"broken: {state}, but {note}"
        entry = {"mutant": mutant, "state": state, **note, "seconds": round(time.monotonic() - begun, 1)}
        with Path(self.job["output"]).open("a") as results:
            results.write(json.dumps(entry) + "\n")

    def _note(self, what: dict[str, str]) -> None:
        self._result_file(os.getpid()).write_text(json.dumps(what))

    def _result_file(self, process: int) -> Path:
        return Path(f"{self.job['output']}.{process}")


class Known:
    """Tries mutants with the tests that killed them before, all in one process.

    Each test runs without a mutant first, which also sets up what its module shares; it must pass. Then it runs with
    one mutant after the other. Only those that fail it are written down.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self.output = Path(job["output"])
        self.mutants: dict[str, list[int]] = {}
        for mutant, test in job["known"]:
            self.mutants.setdefault(test, []).append(mutant)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        session.items[:] = [item for item in session.items if item.nodeid in self.mutants]

    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        mutants = self.mutants[item.nodeid]
        for place, mutant in enumerate([NONE, *mutants]):
            _rpc("anvil_setBalance", SWITCH, hex(mutant))
            item._initrequest()  # type: ignore[attr-defined]
            reports = runtestprotocol(item, log=False, nextitem=nextitem if place == len(mutants) else item)
            failed = next((report for report in reports if report.failed), None)
            if mutant == NONE and failed:
                break
            if failed and not any(name in _how(failed) for name in NO_CHAIN):
                entry = {"mutant": mutant, "state": "killed", "killer": item.nodeid, "how": _how(failed)}
                with self.output.open("a") as results:
                    results.write(json.dumps(entry) + "\n")
        _rpc("anvil_setBalance", SWITCH, hex(NONE))
        return True


def _how(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    said = crash.message if crash else report.longreprtext
    return f"{report.when}: {' '.join(said.split())[:300]}"


def _rpc(method: str, *parameters: Any) -> None:
    import ape

    answer = ape.chain.provider.web3.provider.make_request(method, list(parameters))
    assert "error" not in answer, answer


def pytest_configure(config: pytest.Config) -> None:
    if path := os.environ.get("MUTANTS_JOB"):
        job = json.loads(Path(path).read_text())
        kind = Run if "mutants" in job else Known if "known" in job else Map
        config.pluginmanager.register(kind(job))
