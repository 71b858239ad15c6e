"""Committed snapshots of what should not change unnoticed. UPDATE_SNAPSHOTS=1 records a change that is meant."""

from __future__ import annotations

import os
from pathlib import Path

HOW = "record a change that is meant with UPDATE_SNAPSHOTS=1"


def is_recording() -> bool:
    return bool(os.environ.get("UPDATE_SNAPSHOTS"))


def check(path: Path, text: str) -> None:
    """Compare a text with the snapshot, or record it."""
    if is_recording():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"{path.name} has no snapshot; {HOW}"
    assert text.splitlines() == path.read_text().splitlines(), f"{path.name} is not as committed; {HOW}"
