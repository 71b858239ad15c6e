"""Order flow as a file: what traders did, without keys, nonces and signatures. docs/FLOW.md has the format."""

from offchain.flow.checker import FlowError, Steps
from offchain.flow.file import MAX_FILE_BYTES, MAX_LINE_BYTES, FlowFile, FlowFull, FlowWriter, InvalidFlow
from offchain.flow.schema import (
    Cancel,
    CancelAfter,
    CancelAll,
    Header,
    ListedMarket,
    Operation,
    Place,
    PlaceArray,
    Reference,
    Replace,
    Terms,
)

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_LINE_BYTES",
    "Cancel",
    "CancelAfter",
    "CancelAll",
    "FlowError",
    "FlowFile",
    "FlowFull",
    "FlowWriter",
    "Header",
    "InvalidFlow",
    "ListedMarket",
    "Operation",
    "Place",
    "PlaceArray",
    "Reference",
    "Replace",
    "Steps",
    "Terms",
]
