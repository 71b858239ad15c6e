"""Make `anvil`, `solc` and OpenZeppelin's sources available to the virtual environment that runs this file.

Called by `make setup` after the Python and npm locks are installed. Ape finds `anvil` on PATH, so the binary that npm
delivered is linked into the environment. For solc, the native build is preferred; where it cannot be downloaded, a
launcher for the npm compiler takes its place in py-solc-x's folder.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import solcx

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = json.loads((ROOT / "package.json").read_text())
ANVIL = PACKAGE["optionalDependencies"]["@foundry-rs/anvil-linux-amd64"]
SOLC = PACKAGE["devDependencies"]["solc"]
MARK = "# crosspoint launcher for the npm solc"


def link_anvil() -> None:
    """Link npm's anvil binary for this platform into the environment's bin folder.

    The lock file names the Linux x86-64 build; other platforms install theirs by the same version.
    """
    system = {"Linux": "linux", "Darwin": "darwin"}.get(platform.system())
    machine = {"x86_64": "amd64", "AMD64": "amd64", "arm64": "arm64", "aarch64": "arm64"}.get(platform.machine())
    if system is None or machine is None:
        sys.exit(f"setup: no anvil build for {platform.system()} on {platform.machine()}")
    name = f"@foundry-rs/anvil-{system}-{machine}"
    binary = ROOT / "node_modules" / name / "bin" / "anvil"
    if not binary.exists():
        npm = shutil.which("npm") or sys.exit("setup: npm is not on PATH")
        subprocess.run([npm, "install", "--no-save", f"{name}@{ANVIL}"], cwd=ROOT, check=True)
    link = Path(sys.prefix) / "bin" / "anvil"
    if link.is_symlink() or link.exists():
        link.unlink()
    link.symlink_to(os.path.relpath(binary, link.parent))


def link_openzeppelin() -> None:
    """Link npm's OpenZeppelin into `contracts/.cache`.

    Ape compiles a copy of the contracts folder, so imports must be found inside it; `.cache` is where Ape itself keeps
    dependencies and where it looks for no sources of the project.
    """
    link = ROOT / "contracts" / ".cache" / "@openzeppelin"
    link.parent.mkdir(exist_ok=True)
    if link.is_symlink():
        link.unlink()
    link.symlink_to(Path("..", "..", "node_modules", "@openzeppelin"))


def provide_solc() -> None:
    """Install the native solc, or put the npm compiler in its place and say so."""
    folder = Path(solcx.get_solcx_install_folder())
    target = folder / f"solc-v{SOLC}"
    is_launcher = target.is_file() and MARK.encode() in target.read_bytes()[:256]
    if target.exists() and not is_launcher:
        return
    if not is_launcher:
        try:
            solcx.install_solc(SOLC)
            return
        except Exception as error:  # whatever stops the download, the fallback is the same
            reason = type(error).__name__
            print(f"setup: native solc {SOLC} is not available ({reason}); using the npm compiler, which is slower")
    node = shutil.which("node") or sys.exit("setup: node is not on PATH")
    script = ROOT / "scripts" / "_setup" / "solc.js"
    folder.mkdir(parents=True, exist_ok=True)
    # The launcher serves every checkout of this user and leads to the one that was set up last.
    lost = f"the checkout that {target} leads to is gone: run .venv/bin/python scripts/_setup/toolchain.py in yours"
    check = f'[ -f "{script}" ] || {{ echo "{lost}" >&2; exit 1; }}'
    target.write_text(f'#!/bin/sh\n{MARK}\n{check}\nexec "{node}" "{script}" "$@"\n')
    target.chmod(target.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


if __name__ == "__main__":
    link_anvil()
    link_openzeppelin()
    provide_solc()
