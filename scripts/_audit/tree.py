"""A copy of the project with other contracts, on which the tests run beside an Anvil whose console is listened to."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from scripts._audit.sources import MOCKS, ROOT

PROBES = 8_800_000_000
"""first number of a probe: no other line of Anvil's output looks like these"""
BOUNDARIES = 8_900_000_000
"""first number of a boundary, after which probes are written down anew"""
LEFT_OUT = ("tests/functional/snapshots",)
DESELECTED = (
    "test_gas",
    "test_the_sum_of_fees_costs_one_write_per_batch",
    "test_an_entry_that_says_nothing_reads_nothing",
    "test_the_code_fits_a_contract",
)
"""Tests of gas and of code as it was compiled say nothing about rewritten contracts."""
SELECTED = " and ".join(f"not {name}" for name in DESELECTED)
QUIET = "scripts._audit.quiet"
"""a pytest plugin"""

ANVIL = """#!/usr/bin/env bash
# The real Anvil; its console output goes to the collector, which writes down the numbers of the probes.
exec "{anvil}" "$@" --disable-code-size-limit --gas-limit 1000000000 \\
  > >(exec "{python}" "{script}" "${{AUDIT_HITS:-{hits}}}" {probes} {boundaries})
"""


class Tree:
    def __init__(self, folder: Path, left_out: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.left_out = (*LEFT_OUT, *left_out)
        self.hits = folder / "hits"

    def lay(self, contracts: dict[str, str]) -> None:
        """Copy the project, with these units in the contracts' place; compile it if the contracts are others."""
        mocks = {name: (ROOT / name).read_text() for name in self._own_files() if name.startswith(MOCKS)}
        state = hashlib.sha256("\0".join(text for _, text in sorted((contracts | mocks).items())).encode()).hexdigest()
        stamp = self.folder / "compiled"
        is_compiled = stamp.exists() and stamp.read_text() == state
        for name in ("tests", "scripts", "offchain", *([] if is_compiled else ["contracts"])):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in self._own_files():
            if name not in contracts:
                self._copy(name)
        if is_compiled:
            return
        stamp.unlink(missing_ok=True)
        for name, text in contracts.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        self._link(".venv", ROOT / ".venv")
        self._link("node_modules", ROOT / "node_modules")
        self._link("contracts/.cache/@openzeppelin", ROOT / "node_modules" / "@openzeppelin")
        self.hits.mkdir(exist_ok=True)
        self._write_anvil()
        # Ape would not compile a contract again of which only a library has changed.
        subprocess.run(["ape", "compile", "--force"], cwd=self.folder, env=self.environment(), check=True)
        stamp.write_text(state)

    def environment(self, **more: str) -> dict[str, str]:
        """For programs that run on the tree."""
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return os.environ | {"PATH": path, "PYTHONPATH": str(self.folder)} | more

    def clear_hits(self) -> None:
        shutil.rmtree(self.hits)
        self.hits.mkdir()

    def shards(self, paths: list[str]) -> list[str]:
        """The folders and files of tests below these paths that are run each on its own."""
        shards = []
        for path in paths:
            folder = self.folder / path
            has_folders = folder.is_dir() and any(entry.glob("test_*.py") for entry in folder.iterdir())
            for entry in sorted(folder.iterdir()) if path == "tests/functional" and has_folders else [folder]:
                name = entry.relative_to(self.folder).as_posix()
                if name not in self.left_out and (entry.name.startswith("test_") or any(entry.glob("test_*.py"))):
                    shards.append(name)
        return shards

    def _copy(self, name: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, self.folder / name)

    def _link(self, name: str, target: Path) -> None:
        link = self.folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(target.resolve())

    def _write_anvil(self) -> None:
        wrapper = self.folder / "bin" / "anvil"
        wrapper.parent.mkdir(exist_ok=True)
        text = ANVIL.format(
            anvil=ROOT / ".venv" / "bin" / "anvil",
            python=sys.executable,
            script=ROOT / "scripts" / "_audit" / "collect.py",
            hits=self.hits,
            probes=str(PROBES)[:2],
            boundaries=str(BOUNDARIES)[:2],
        )
        wrapper.write_text(text)
        wrapper.chmod(0o755)

    def _own_files(self) -> list[str]:
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        return [
            name
            for name in listed.split("\n")
            if name and (ROOT / name).is_file() and not name.startswith(self.left_out)
        ]
