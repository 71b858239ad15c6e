"""The compiler's input of single contracts, as Ape gave it: sources by the names under which they were compiled."""

from __future__ import annotations

import posixpath
import re
from functools import cached_property
from pathlib import Path
from typing import Any

import ape
from ape.contracts import ContractContainer
from hexbytes import HexBytes

from .fields import DeploymentError

_IMPORT = re.compile(r'^\s*import\s+(?:[^"\';]*?\bfrom\s+)?["\']([^"\']+)["\']', re.MULTILINE)
OUTPUT = ["abi", "evm.bytecode", "evm.deployedBytecode", "metadata"]


class Sources:
    """The project's sources and compiler settings."""

    def __init__(self) -> None:
        self.root = Path(ape.project.path)

    def source_id(self, contract: str) -> str:
        """Return the name of the file that defines a contract."""
        return str(self._container(contract).contract_type.source_id)

    @cached_property
    def compiler_version(self) -> str:
        """The full version, e.g. 0.8.37+commit.f401782d."""
        return next(iter(self._versions))

    def standard_json(self, contract: str) -> dict[str, Any]:
        """Return the standard JSON input that compiles a contract and what it imports, and nothing else."""
        settings = {name: value for name, value in self._versions[self.compiler_version].items() if value is not None}
        settings["outputSelection"] = {"*": {"*": OUTPUT}}
        return {"language": "Solidity", "sources": self._closure(self.source_id(contract)), "settings": settings}

    def constructor_arguments(self, contract: str, arguments: list[Any]) -> bytes:
        """Return the recorded arguments of a constructor, encoded."""
        values = [_argument(value) for value in arguments]
        container = self._container(contract)
        init_code = bytes(container.constructor.serialize_transaction(*values).data)
        return init_code[len(bytes(container.contract_type.get_deployment_bytecode() or b"")) :]

    @cached_property
    def _versions(self) -> dict[str, dict[str, Any]]:
        """The compiler's settings by version; this project has one."""
        compiler = ape.compilers.registered_compilers[".sol"]
        paths = [self.root / self.source_id("Engine")]
        found = compiler.get_compiler_settings(paths, project=ape.project)
        return {str(version): dict(settings) for version, settings in found.items()}

    def _closure(self, source_id: str) -> dict[str, dict[str, str]]:
        """Return a file and all that it imports, directly or not."""
        sources: dict[str, dict[str, str]] = {}
        waiting = [source_id]
        while waiting:
            name = waiting.pop()
            if name in sources:
                continue
            content = (self.root / name).read_text(encoding="utf-8")
            sources[name] = {"content": content}
            waiting += [self._resolve(name, target) for target in _IMPORT.findall(content)]
        return dict(sorted(sources.items()))

    def _resolve(self, importer: str, target: str) -> str:
        """Return the name under which the compiler finds an import."""
        if target.startswith("."):
            return posixpath.normpath(posixpath.join(posixpath.dirname(importer), target))
        remappings = [text.partition("=") for text in self._versions[self.compiler_version].get("remappings", [])]
        matching = [(prefix, to) for prefix, _, to in remappings if target.startswith(prefix)]
        if not matching:
            return target
        prefix, to = max(matching, key=lambda found: len(found[0]))
        return to + target[len(prefix) :]

    def _container(self, contract: str) -> ContractContainer:
        container = ape.project.get_contract(contract)
        if container is None:
            raise DeploymentError(f"{contract}: no such contract in contracts/")
        return container


def _argument(value: Any) -> Any:
    """A recorded argument as the constructor takes it: what is hex and no address is bytes."""
    is_bytes = isinstance(value, str) and value.startswith("0x") and len(value) != 42
    return HexBytes(value) if is_bytes else value
