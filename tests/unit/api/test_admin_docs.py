"""The example of docs/OPERATIONS.md makes a key set and a token that the service takes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from offchain.api.admin.jwks import Jwks, loader
from offchain.api.admin.settings import Role
from offchain.api.admin.tokens import Verifier
from offchain.app.core import admin_settings
from offchain.config import Config, load
from offchain.process import SystemClock

TEXT = (Path(__file__).parents[3] / "docs" / "OPERATIONS.md").read_text()
SECTION = TEXT[TEXT.index("## Administrators") : TEXT.index("## Processes")]


def test_every_setting_is_documented() -> None:
    names = {name for name in Config.model_fields if name.startswith("admin_")}
    assert {name.replace("-", "_") for name in re.findall(r"`--(admin-[a-z-]+)`", SECTION)} == names


def made(script: str, folder: Path) -> str:
    """What the script prints, run in `folder` with this Python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    run = subprocess.run(["sh", "-ec", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


async def test_the_example_signs_in(tmp_path: Path) -> None:
    found = re.search(r"```sh\n(python - .*?)^python -m offchain serve (.*?)\n```", SECTION, re.MULTILINE | re.DOTALL)
    assert found is not None
    token = made(found.group(1), tmp_path)
    options = found.group(2).split()
    names = [name.removeprefix("--").replace("-", "_") for name in options[::2]]
    given = dict(zip(names, options[1::2], strict=True))
    given["admin_jwks_file"] = str(tmp_path / given["admin_jwks_file"])
    settings = admin_settings(load(given, None))
    assert settings is not None
    verifier = Verifier(settings, Jwks(loader(settings), settings, lambda: 0.0), SystemClock())
    administrator = await verifier.verify(token)
    assert (administrator.subject, administrator.roles) == ("alice", {Role.OPERATOR, Role.VIEWER})
