"""Mutants of the contracts, all compiled into one build and switched on one at a time while the tests run.

A mutated expression `e` becomes `(mutant(n) ? m : e)`, a deleted statement `if (!mutant(n)) { s }`. `mutant(n)` is true
if the balance of an address that nobody uses is n wei, which a test run sets before it begins; while it is zero, each
call reports its number through Anvil's console address, which tells which test reaches which mutant.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from scripts._audit.rewrite import Rewriter, children, is_statement, span
from scripts._audit.sources import Json

SWITCH = "0x00000000000000000000000000000000006d7574"

PROBE = """// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

function _isActive(uint256 id) view returns (bool active) {
    assembly ("memory-safe") {
        let chosen := balance(0x00000000000000000000000000000000006d7574)
        active := eq(chosen, id)
        if iszero(chosen) {
            mstore(0x00, shl(224, 0xf82c50f1)) // log(uint256)
            mstore(0x04, add(id, 8800000000))
            pop(staticcall(gas(), 0x000000000000000000636F6e736F6c652e6c6f67, 0x00, 0x24, 0x00, 0x00))
        }
    }
}

function mutant(uint256 id) pure returns (bool) {
    function(uint256) internal view returns (bool) isActive = _isActive;
    function(uint256) internal pure returns (bool) hidden;
    assembly ("memory-safe") {
        hidden := isActive
    }
    return hidden(id);
}
"""

OPERATORS = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    "&&": "||",
    "||": "&&",
    "+": "-",
    "-": "+",
    "*": "+",
    "/": "*",
    "%": "*",
    "&": "|",
    "|": "&",
    ">>": "<<",
    "<<": ">>",
    "+=": "-=",
    "-=": "+=",
}
INTEGERS = ("uint", "int")
SYMMETRIC = ("min", "max", "bpsDown", "bpsUp", "fundingUp")
"""functions that treat their arguments alike"""


@dataclass(frozen=True)
class Mutant:
    unit: str
    line: int
    function: str
    original: str
    mutated: str
    occurrence: int = 0

    @property
    def key(self) -> str:
        """What names a mutant while lines move."""
        again = f" #{self.occurrence + 1}" if self.occurrence else ""
        return f"{self.unit.removeprefix('contracts/')}:{self.function}: {self.original} => {self.mutated}{again}"

    @property
    def place(self) -> tuple[str, int]:
        return self.unit, self.line


class Mutate(Rewriter):
    """Finds mutants; those in `chosen` are written into the text, numbered by their places there; of them
    only those in `only`, if it is given."""

    functions = ("mutant",)

    def __init__(self, chosen: list[str] | None = None, only: set[str] | None = None) -> None:
        super().__init__()
        numbers = {key: number for number, key in enumerate(chosen or [], 1)}
        self.numbers = {key: number for key, number in numbers.items() if only is None or key in only}
        self.found: list[Mutant] = []
        self._seen: Counter[str] = Counter()
        self._names: list[tuple[int, int, str]] = []

    def rewrite(self, unit: str, tree: Json, source: str) -> str:
        self._names = list(_functions(tree, ""))
        return super().rewrite(unit, tree, source)

    def wrap(self, node: Json, parent: Json, field: str, text: str) -> str:
        if is_statement(node, parent, field):
            return self._statement(node, field, text)
        for mutated in self._expressions(node, parent, field):
            if number := self._add(node, self.text(node), mutated):
                text = f"(mutant({number}) ? ({mutated}) : {text})"
        return text

    def _statement(self, node: Json, field: str, text: str) -> str:
        kind, original = node["nodeType"], self.text(node)
        inner = node.get("expression", {})
        changed = None
        if kind == "EmitStatement" or (kind == "ExpressionStatement" and _is_removable(inner)):
            changed = self._add(node, original, "nothing")
        elif kind == "IfStatement" and _is_refusal(node):
            changed = self._add(node, f"if ({self.text(node['condition'])}) revert", "no check")
        if not changed:
            return text
        guarded = f"if (!mutant({changed})) {{ {text} }}"
        return guarded if field == "statements" else f"{{ {guarded} }}"

    def _expressions(self, node: Json, parent: Json, field: str) -> Iterator[str]:
        """Other texts for an expression, of the same type."""
        kind = node["nodeType"]
        if kind == "BinaryOperation" and not _is_constant(node):
            left, right, operator = node["leftExpression"], node["rightExpression"], node["operator"]
            if operator in OPERATORS and not _is_word(node):
                yield f"{self.text(left)} {OPERATORS[operator]} {self.text(right)}"
            if right["nodeType"] == "Literal" and right.get("kind") == "number" and right["value"].isdigit():
                yield f"{self.text(left)} {operator} {int(right['value']) + 1}"
        elif kind == "UnaryOperation" and node["operator"] == "!":
            yield self.text(node["subExpression"])
        elif kind == "Identifier" and field != "leftHandSide" and self._is_constant_name(node, parent):
            yield f"{self.text(node)} ^ 1"
        elif kind == "FunctionCall" and node["kind"] == "functionCall":
            yield from self._swapped(node)

    def _is_constant_name(self, node: Json, parent: Json) -> bool:
        name = node["name"].lstrip("_")
        kind = node["typeDescriptions"].get("typeString", "")
        in_place = parent["nodeType"] in ("BinaryOperation", "FunctionCall", "Assignment", "Return")
        return in_place and name.isupper() and len(name) > 1 and kind.startswith("uint") and not kind.endswith("]")

    def _swapped(self, node: Json) -> Iterator[str]:
        """The call with two neighbouring arguments of one type exchanged. Only calls with one value of a plain type,
        and of functions to which the order matters.
        """
        answer = node["typeDescriptions"].get("typeString", "")
        arguments = node["arguments"]
        name = node["expression"].get("memberName")
        if not answer or "(" in answer or " " in answer or answer == "error":
            return
        if name in SYMMETRIC or node.get("names"):
            return
        kinds = [argument["typeDescriptions"].get("typeString") for argument in arguments]
        for i in range(len(arguments) - 1):
            first, second = self.text(arguments[i]), self.text(arguments[i + 1])
            if kinds[i] == kinds[i + 1] and first != second and not (kinds[i] or "").startswith("int_const"):
                start = span(node)[0]
                head = self.source[start : span(arguments[i])[0]].decode()
                between = self.source[span(arguments[i])[1] : span(arguments[i + 1])[0]].decode()
                tail = self.source[span(arguments[i + 1])[1] : span(node)[1]].decode()
                yield f"{head}{second}{between}{first}{tail}"

    def _add(self, node: Json, original: str, mutated: str) -> int | None:
        """Note a mutant; its number if it is chosen."""
        start = span(node)[0]
        name = next((name for first, last, name in self._names if first <= start < last), "")
        mutant = Mutant(self.unit, self.line(node), name, _short(original), _short(mutated))
        mutant = replace(mutant, occurrence=self._seen[mutant.key])
        self._seen[replace(mutant, occurrence=0).key] += 1
        self.found.append(mutant)
        return self.numbers.get(mutant.key)


def choose(found: list[Mutant], count: int) -> list[Mutant]:
    """Mutants of as many lines as asked for, spread by a hash; the same ones each time."""
    by_place: dict[tuple[str, int], list[Mutant]] = defaultdict(list)
    for mutant in found:
        by_place[mutant.place].append(mutant)
    one_each = [min(group, key=_order) for group in by_place.values()]
    return sorted(sorted(one_each, key=_order)[:count], key=lambda mutant: mutant.place)


def _order(mutant: Mutant) -> bytes:
    return hashlib.sha256(mutant.key.encode()).digest()


def _short(text: str) -> str:
    return " ".join(text.split())


def _functions(node: Json, contract: str) -> Iterator[tuple[int, int, str]]:
    for _, child in children(node):
        if child["nodeType"] == "ContractDefinition":
            yield from _functions(child, child["name"])
        elif child["nodeType"] in ("FunctionDefinition", "ModifierDefinition"):
            name = child["name"] or child.get("kind", "")
            yield (*span(child), f"{contract}.{name}")


def _is_constant(node: Json) -> bool:
    """Whether the compiler computes an expression, or its parts have no type of their own."""
    sides = (node, node["leftExpression"])
    return any("_const" in side["typeDescriptions"].get("typeString", "") for side in sides)


def _is_word(node: Json) -> bool:
    """Whether an operator may not be exchanged: user-defined types have only some, and bytes no arithmetic."""
    kind = node["leftExpression"]["typeDescriptions"].get("typeString", "")
    if node["operator"] in ("==", "!=", "&&", "||"):
        return False
    return not kind.startswith(INTEGERS)


def _is_removable(node: Json) -> bool:
    if node["nodeType"] == "Assignment":
        return node["leftHandSide"]["nodeType"] != "TupleExpression"
    if node["nodeType"] == "UnaryOperation":
        return False  # a loop's step, whose removal only runs out of gas
    return node["nodeType"] == "FunctionCall" and node["kind"] == "functionCall"


def _is_refusal(node: Json) -> bool:
    body = node["trueBody"]
    if body["nodeType"] == "Block":
        body = body["statements"][0] if body["statements"] else body
    return body["nodeType"] == "RevertStatement" and not node.get("falseBody")
