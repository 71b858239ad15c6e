"""The supervisor over small real processes that behave as told."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
import time
from pathlib import Path

import pytest

from offchain import supervisor as module
from offchain.process import EXIT_REFUSED, StartRefused, lock
from offchain.supervisor import Supervisor

CHILD = """
    import os, signal, sys, time
    role, folder = sys.argv[1], sys.argv[3]
    lines = open(os.path.join(folder, role)).read().split()
    behaviour = lines[0]

    def note(text):
        with open(os.path.join(folder, "log"), "a") as log:
            log.write(f"{role} {text}\\n")

    def on_term(number, frame):
        note("drain")
        if role == "worker" and behaviour != "deaf":
            time.sleep(0.2)
            note("end")
            os._exit(0)

    signal.signal(signal.SIGTERM, on_term)
    note("start " + str("SECRET" in os.environ))
    if behaviour == "refuse":
        sys.exit(78)
    if behaviour == "die":
        sys.exit(70)
    sys.stdin.read()
    note("end")
"""


@pytest.fixture
def create_supervisor(tmp_path, monkeypatch):
    script = tmp_path / "child.py"
    script.write_text(textwrap.dedent(CHILD))
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(module, "STOP_SECONDS", 5.0)

    def create(core: str = "work", worker: str = "work") -> Supervisor:
        (tmp_path / "core").write_text(core)
        (tmp_path / "worker").write_text(worker)
        return Supervisor([str(tmp_path)], ["SECRET"], 0.5, (sys.executable, str(script)))

    return create


def noted(folder: Path) -> list[str]:
    path = folder / "log"
    return path.read_text().splitlines() if path.exists() else []


async def until_noted(folder: Path, *lines: str) -> None:
    for _ in range(1_000):
        if set(lines) <= set(noted(folder)):
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"{lines} did not happen: {noted(folder)}")


async def test_stops_in_order_and_only_the_worker_has_the_secret(create_supervisor, tmp_path):
    running = asyncio.create_task(create_supervisor().run())
    await until_noted(tmp_path, "core start False", "worker start True")
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0
    lines = noted(tmp_path)
    assert lines.index("core drain") < lines.index("worker end") < lines.index("core end")


async def test_starts_a_killed_process_again(create_supervisor, tmp_path):
    supervisor = create_supervisor()
    running = asyncio.create_task(supervisor.run())
    await until_noted(tmp_path, "core start False", "worker start True")
    supervisor._core.kill()
    for _ in range(1_000):
        if noted(tmp_path).count("core start False") == 2:
            break
        await asyncio.sleep(0.01)
    assert noted(tmp_path).count("core start False") == 2
    assert noted(tmp_path).count("worker start True") == 1
    os.kill(os.getpid(), signal.SIGINT)
    assert await running == 0


async def test_gives_up_on_a_process_that_keeps_dying(create_supervisor, tmp_path):
    assert await create_supervisor(worker="die").run() == 70
    assert noted(tmp_path).count("worker start True") == module.MAX_DEATHS
    assert "core end" in noted(tmp_path)


async def test_does_not_repeat_what_was_refused(create_supervisor, tmp_path):
    assert await create_supervisor(core="refuse").run() == EXIT_REFUSED
    assert noted(tmp_path).count("core start False") == 1


async def test_kills_what_does_not_stop(create_supervisor, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STOP_SECONDS", 0.3)
    running = asyncio.create_task(create_supervisor(worker="deaf").run())
    await until_noted(tmp_path, "core start False", "worker start True")
    started = time.monotonic()
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 1
    assert time.monotonic() - started < 5


async def test_second_signal_ends_at_once(create_supervisor, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STOP_SECONDS", 60.0)
    running = asyncio.create_task(create_supervisor(worker="deaf").run())
    await until_noted(tmp_path, "core start False", "worker start True")
    os.kill(os.getpid(), signal.SIGTERM)
    await until_noted(tmp_path, "worker drain")
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 10) == 1


def test_a_folder_has_one_holder_of_each_role(tmp_path):
    with lock(tmp_path, "core"):
        with lock(tmp_path, "worker"):
            pass
        with (
            pytest.raises(StartRefused, match=f"in use by another core, process {os.getpid()}"),
            lock(tmp_path, "core"),
        ):
            pass
    with lock(tmp_path, "core"):
        pass
