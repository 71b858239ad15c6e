"""Rewrite Solidity sources along their syntax trees: what coverage and mutants have in common.

A Rewriter's `wrap` is asked about every node inside the bodies of functions and modifiers, innermost first, and answers
with the text to put in the node's place. Text outside of bodies stays as it is, but for one import. The tests then run
on a copy of the project with the rewritten contracts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from scripts._audit.sources import Json

IMPORTED = "contracts/Probe.sol"
"""the unit that declares the functions which rewritten code calls"""


class Rewriter(ABC):
    """Rewrites one unit after another; subclasses say how."""

    functions: tuple[str, ...] = ()
    """free functions of the imported unit"""

    def __init__(self) -> None:
        self.unit = ""
        self.source = b""

    def rewrite(self, unit: str, tree: Json, source: str) -> str:
        self.unit, self.source = unit, source.encode()
        replaced: list[tuple[int, int, str]] = []
        for body in _bodies(tree):
            start, end = span(body)
            replaced.append((start, end, self._render(body, body)))
        if replaced:
            pragma = next(node for node in tree["nodes"] if node["nodeType"] == "PragmaDirective")
            at = span(pragma)[1]
            depth = unit.count("/") - 1
            path = "./" + "../" * depth + IMPORTED.split("/", 1)[1]
            replaced.append((at, at, f' import {{{", ".join(self.functions)}}} from "{path}";'))
        return self._splice(0, len(self.source), replaced)

    @abstractmethod
    def wrap(self, node: Json, parent: Json, field: str, text: str) -> str:
        """The text of a node that is `field` of its parent, whose inner nodes are done."""

    def text(self, node: Json) -> str:
        """A node's text in the original source."""
        start, end = span(node)
        return self.source[start:end].decode()

    def line(self, node: Json) -> int:
        return self.source.count(b"\n", 0, span(node)[0]) + 1

    def _render(self, node: Json, parent: Json, field: str = "") -> str:
        start, end = self._extent(node, parent, field)
        inner = []
        if node["nodeType"] != "InlineAssembly":
            for name, child in children(node):
                first, last = self._extent(child, node, name)
                if start <= first and last <= end:
                    inner.append((first, last, self._render(child, node, name)))
        return self.wrap(node, parent, field, self._splice(start, end, inner))

    def _extent(self, node: Json, parent: Json, field: str) -> tuple[int, int]:
        """A node's bytes; of a statement with its semicolon, which the syntax tree leaves out."""
        start, end = span(node)
        is_open = is_statement(node, parent, field) and self.source[end : end + 1] == b";"
        return start, end + is_open

    def _splice(self, start: int, end: int, replaced: list[tuple[int, int, str]]) -> str:
        parts, at = [], start
        for first, last, text in sorted(replaced, key=lambda entry: entry[:2]):
            if first < at:
                continue  # a node that repeats another's source, such as a declaration without a type of its own
            parts += [self.source[at:first].decode(), text]
            at = last
        return "".join([*parts, self.source[at:end].decode()])


def span(node: Json) -> tuple[int, int]:
    """A node's bytes in its source."""
    start, length, _ = map(int, node["src"].split(":"))
    return start, start + length


def children(node: Json) -> Iterator[tuple[str, Json]]:
    """The nodes directly inside another, with the names of their fields."""
    for name, value in node.items():
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, dict) and "nodeType" in child and "src" in child:
                yield name, child


def is_statement(node: Json, parent: Json, field: str) -> bool:
    """Whether a node is an executable statement, also as the body of an `if` or a loop without braces."""
    if node["nodeType"] in ("Block", "UncheckedBlock", "PlaceholderStatement"):
        return False
    if field in ("statements", "trueBody", "falseBody"):
        return True
    return field == "body" and parent["nodeType"] in ("ForStatement", "WhileStatement", "DoWhileStatement")


def _bodies(tree: Json) -> Iterator[Json]:
    pending = [tree]
    while pending:
        node = pending.pop()
        if node["nodeType"] in ("FunctionDefinition", "ModifierDefinition"):
            if node.get("body"):
                yield node["body"]
        elif node["nodeType"] in ("SourceUnit", "ContractDefinition"):
            pending += [child for _, child in children(node)]
