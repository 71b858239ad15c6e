"""Reads Anvil's output and writes down each probe's number the first time.

Started beside Anvil by coverage.py; it imports nothing of the project, of which the tree has a copy.
"""

import os
import sys
from pathlib import Path


def main(folder: Path, prefix: bytes) -> None:
    seen: set[bytes] = set()
    with (folder / f"{os.getpid()}.txt").open("wb", buffering=0) as file:
        for line in sys.stdin.buffer:
            if line.startswith(prefix) and line not in seen and line[:-1].isdigit():
                seen.add(line)
                file.write(line)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2].encode())
