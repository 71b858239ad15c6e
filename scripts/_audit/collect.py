"""Reads Anvil's output and writes down each probe's number once between two boundaries.

Started beside Anvil by coverage.py; it imports nothing of the project, of which the tree has a copy.
"""

import os
import sys
from pathlib import Path


def main(folder: Path, probes: bytes, boundaries: bytes = b"none") -> None:
    seen: set[bytes] = set()
    with (folder / f"{os.getpid()}.txt").open("wb", buffering=0) as file:
        for line in sys.stdin.buffer:
            if line in seen or not line[:-1].isdigit():
                continue
            if line.startswith(boundaries):
                seen.clear()
                file.write(line)
            elif line.startswith(probes):
                seen.add(line)
                file.write(line)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(argument.encode() for argument in sys.argv[2:]))
