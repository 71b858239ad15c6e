"""Reading and writing flow files, a line at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from offchain.flow.checker import HEADER, MAX_LINES, OPERATION, Checker, FlowError, Steps, explain
from offchain.flow.schema import Header, Operation

MAX_LINE_BYTES = 64 * 1024
MAX_FILE_BYTES = 256 * 1024 * 1024

MAX_ERRORS = 20
"""that are told of one file"""


class InvalidFlow(ValueError):
    """A file that cannot be replayed, with what is wrong line by line."""

    def __init__(self, path: Path, errors: list[FlowError], *, is_more: bool = False) -> None:
        more = [f"{path}: and more"] if is_more else []
        super().__init__("\n".join([*(f"{path}: {error}" for error in errors), *more]))
        self.errors = errors


class FlowFile:
    """A file that was validated as a whole; its operations are read again one by one."""

    def __init__(self, path: Path, target: Mapping[str, Steps] | None = None) -> None:
        """Read all of it. `target`: as of `Checker`. Raises InvalidFlow, OSError."""
        self.path = path
        self._target = target
        checker = Checker(target)
        errors: list[FlowError] = []
        header = None
        for line, raw in self._lines():
            if line == 1:
                header = _header(raw, checker, errors)
            else:
                _operation(raw, checker, errors)
            if header is None or len(errors) > MAX_ERRORS:
                break
        if errors:
            raise InvalidFlow(path, errors[:MAX_ERRORS], is_more=len(errors) > MAX_ERRORS)
        if header is None:
            raise InvalidFlow(path, [FlowError(1, "", "the file is empty")])
        self.header: Header = header
        self.traders = checker.traders
        """names, in the order in which they appear"""
        self.operations = checker.operations
        self.size = os.stat(path).st_size

    def __iter__(self) -> Iterator[tuple[int, Operation]]:
        """(line, operation). Raises InvalidFlow where the file is not any more what was validated."""
        checker = Checker(self._target)
        errors: list[FlowError] = []
        for line, raw in self._lines():
            if line == 1:
                _header(raw, checker, errors)
                operation = None
            else:
                operation = _operation(raw, checker, errors)
            if errors:
                raise InvalidFlow(self.path, errors)
            if operation is not None:
                yield line, operation

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """(number, line). Raises InvalidFlow for what is too long."""
        size = 0
        with self.path.open("rb") as file:
            for number in range(1, MAX_LINES + 3):
                raw = file.readline(MAX_LINE_BYTES + 1)
                if not raw:
                    return
                size += len(raw)
                reason = ""
                if len(raw) > MAX_LINE_BYTES:
                    reason = f"is longer than {MAX_LINE_BYTES} bytes"
                elif size > MAX_FILE_BYTES:
                    reason = f"the file is longer than {MAX_FILE_BYTES} bytes"
                elif number > MAX_LINES + 1:
                    reason = f"a file has at most {MAX_LINES} operations"
                if reason:
                    raise InvalidFlow(self.path, [FlowError(number, "", reason)])
                yield number, raw


def _header(raw: bytes, checker: Checker, errors: list[FlowError]) -> Header | None:
    try:
        header = HEADER.decode(raw)
    except msgspec.DecodeError as error:
        errors.append(explain(1, error))
        return None
    except UnicodeDecodeError as error:
        errors.append(FlowError(1, "", f"is not UTF-8: {error.reason}"))
        return None
    errors += checker.header(header)
    return header


def _operation(raw: bytes, checker: Checker, errors: list[FlowError]) -> Operation | None:
    try:
        operation = OPERATION.decode(raw)
    except msgspec.DecodeError as error:
        errors.append(explain(checker.skip(), error))
        return None
    except UnicodeDecodeError as error:
        errors.append(FlowError(checker.skip(), "", f"is not UTF-8: {error.reason}"))
        return None
    errors += checker.operation(operation)
    return operation


class FlowFull(Exception):
    """The file has reached its bounds."""


class FlowWriter:
    """Writes a file that must not exist yet. What was written is complete up to its last line at any time."""

    def __init__(self, path: Path, header: Header) -> None:
        """Raises FileExistsError and other OSError."""
        self.path = path
        self._file = path.open("xb", buffering=0)
        self._size = 0
        self._line = 0
        self._write(header)

    @property
    def operations(self) -> int:
        return self._line - 1

    def append(self, operation: Operation) -> int:
        """The line's number. Raises FlowFull."""
        if self.operations >= MAX_LINES:
            raise FlowFull(f"a file has at most {MAX_LINES} operations")
        return self._write(operation)

    def close(self) -> None:
        self._file.close()

    def discard(self) -> None:
        """Remove the file."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, line: Header | Operation) -> int:
        raw = msgspec.json.encode(line) + b"\n"
        if self._size + len(raw) > MAX_FILE_BYTES:
            raise FlowFull(f"a file has at most {MAX_FILE_BYTES} bytes")
        self._file.write(raw)
        self._size += len(raw)
        self._line += 1
        return self._line
