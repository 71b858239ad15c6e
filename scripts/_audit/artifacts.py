"""Compile tests/symbolic into artifacts of the form that halmos reads; called as `forge build` (see bin/forge)."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from scripts._audit.sources import ROOT, closure, compile_json, settings

OUTPUTS = ["abi", "metadata", "storageLayout", "evm.bytecode", "evm.deployedBytecode", "evm.methodIdentifiers"]


def write(folder: Path) -> None:
    units = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "symbolic").glob("*.t.sol"))
    answer = compile_json(closure(units), settings({"*": {"": ["ast"], "*": OUTPUTS}}))
    shutil.rmtree(folder, ignore_errors=True)
    for unit, contracts in answer["contracts"].items():
        for name, contract in contracts.items():
            artifact = {
                "abi": contract["abi"],
                "ast": answer["sources"][unit]["ast"],
                "id": answer["sources"][unit]["id"],
                "bytecode": contract["evm"]["bytecode"],
                "deployedBytecode": contract["evm"]["deployedBytecode"],
                "methodIdentifiers": contract["evm"]["methodIdentifiers"],
                "storageLayout": contract["storageLayout"],
                "metadata": json.loads(contract["metadata"] or '{"compiler": {"version": ""}, "output": {}}'),
            }
            for code in ("bytecode", "deployedBytecode"):
                artifact[code]["object"] = "0x" + artifact[code]["object"]
            path = folder / Path(unit).name / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(artifact))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["build"])
    parser.add_argument("--root", type=Path, required=True)
    write(parser.parse_known_args()[0].root / "out")
