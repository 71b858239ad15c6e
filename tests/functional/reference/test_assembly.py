"""Assembly lives in small libraries only, and each does what plain Solidity beside it does.

The contracts in contracts/mocks/reference have both; a library X is compared in XReference.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ape.contracts import ContractInstance
from eth_utils import keccak
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from web3.exceptions import ContractCustomError

from scripts._audit.sources import ROOT, production_units
from tests.strategies import PROFILE

REFERENCES = (
    "Bools",
    "WordTable",
    "MemoryWords",
    "TableCasts",
    "RowWriter",
    "SignatureLib",
    "OrderLib",
    "BatchTables",
    "BatchRecords",
)
MAX_LINES = 120
STORAGE_POINTER = "{ $.slot := STORAGE_SLOT }"
"""ERC-7201: a storage pointer can be set to a constant slot in no other way."""

ROW_SIZES = (24, 14, 6, 67, 32, 35, 8, 9)
FULL = 2**256 - 1
MALFORMED_BATCH = keccak(text="MalformedBatch(uint256)")[:4]
TABLE_ACTIONS = GET, PUT, ADD, ADD_AT = range(4)
ORDER_ACTIONS = SET, FILL, CLOSE, SHARE_KEY, CLAIM_KEY = range(5)

compared = settings(PROFILE, max_examples=60, suppress_health_check=[*HealthCheck])


def uints(bits: int) -> st.SearchStrategy[int]:
    """Numbers of any size, often the least and the highest."""
    return st.one_of(st.integers(0, 2**bits - 1), st.sampled_from([0, 1, 2 ** (bits - 1), 2**bits - 1]))


words = uints(256)
hashes = st.binary(min_size=32, max_size=32)


@pytest.fixture(scope="module")
def references(project: Any, owner: Any) -> dict[str, ContractInstance]:
    return {name: owner.deploy(project.contracts[f"{name}Reference"]) for name in REFERENCES}


def blocks(unit: str) -> list[str]:
    text = (ROOT / unit).read_text()
    return [" ".join(block.split()) for block in re.findall(r"assembly[^{]*(\{.*?\})", text, re.DOTALL)]


# ----------------------------------------------------------------------------------------------------------------------
# Where assembly is
# ----------------------------------------------------------------------------------------------------------------------


def test_assembly_is_in_small_libraries_that_are_compared() -> None:
    found = {Path(unit) for unit in production_units() if set(blocks(unit)) - {STORAGE_POINTER}}
    assert {path.stem for path in found} <= set(REFERENCES)
    assert {path.parent.as_posix() for path in found} == {"contracts/libraries"}
    assert {path: n for path in found if (n := len((ROOT / path).read_text().splitlines())) > MAX_LINES} == {}


# ----------------------------------------------------------------------------------------------------------------------
# Words and tables
# ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("a", [False, True])
@pytest.mark.parametrize("b", [False, True])
def test_conditions_without_branches(references: dict[str, ContractInstance], a: bool, b: bool) -> None:
    for method in (references["Bools"].either, references["Bools"].both):
        actual, expected = method(a, b)
        assert actual == expected
    actual, expected = references["Bools"].toUint(a)
    assert actual == expected


@compared
@given(value=words, unit=words, factor=uints(128))
@example(value=0, unit=0, factor=0)
@example(value=FULL, unit=0, factor=0)
@example(value=0, unit=FULL, factor=0)
def test_multiples(references: dict[str, ContractInstance], value: int, unit: int, factor: int) -> None:
    for number in (value, (unit % 2**128) * factor):
        actual, expected = references["Bools"].isMultiple(number, unit % 2**128)
        assert actual == expected


@st.composite
def table_runs(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int, int]]]:
    entries = draw(st.lists(words, min_size=1, max_size=8))
    index = st.integers(0, len(entries) - 1)
    operations = st.tuples(st.sampled_from(TABLE_ACTIONS), index, words)
    return entries, draw(st.lists(operations, max_size=20))


@compared
@given(run=table_runs())
@example(run=([0], [(action, 0, FULL) for action in TABLE_ACTIONS]))
@example(run=([FULL] * 3, [(action, 0, FULL) for action in TABLE_ACTIONS]))
@example(run=([FULL] * 3, [(action, 2, 2**255) for action in TABLE_ACTIONS]))
@example(run=([7] * 300, [(action, 299, 1) for action in TABLE_ACTIONS]))
def test_tables_of_words(references: dict[str, ContractInstance], run: tuple[list[int], list[Any]]) -> None:
    actual, expected, is_intact = references["WordTable"].run(*run)
    assert actual == expected
    assert is_intact


@compared
@given(entries=st.lists(words, max_size=8), part=st.floats(0, 1))
@example(entries=[], part=0.0)
@example(entries=[FULL] * 4, part=0.0)
@example(entries=[FULL] * 4, part=1.0)
def test_tables_made_shorter(references: dict[str, ContractInstance], entries: list[int], part: float) -> None:
    actual, expected, is_intact = references["WordTable"].shorten(entries, int(part * len(entries)))
    assert actual == expected
    assert is_intact


@compared
@given(kept=st.lists(words, max_size=12))
@example(kept=[])
@example(kept=[FULL] * 10)
def test_words_in_reserved_memory(references: dict[str, ContractInstance], kept: list[int]) -> None:
    actual, actual_hash, expected_hash, is_intact = references["MemoryWords"].keep(kept)
    assert actual == kept
    assert actual_hash == expected_hash
    assert is_intact


@compared
@given(data=st.binary(min_size=32, max_size=100), part=st.floats(0, 1))
def test_words_at_any_byte(references: dict[str, ContractInstance], data: bytes, part: float) -> None:
    actual, expected = references["MemoryWords"].read(data, int(part * (len(data) - 32)))
    assert actual == expected


@compared
@given(table=st.lists(words, max_size=8))
@example(table=[])
@example(table=[FULL, 2**32, 2**80, 2**255])
def test_tables_as_arrays_of_other_types(references: dict[str, ContractInstance], table: list[int]) -> None:
    """Also of entries with more bits than the type has, which are cut off where the array is read."""
    casts = references["TableCasts"]
    for method in (casts.toUint32s, casts.toUint80s, casts.toInt256s, casts.ofMarketWords):
        actual, expected = method(table)
        assert actual == expected


# ----------------------------------------------------------------------------------------------------------------------
# Packed rows
# ----------------------------------------------------------------------------------------------------------------------


@compared
@given(
    fields=st.lists(st.tuples(st.integers(1, 32), words), max_size=20),
    spare=st.integers(0, 40),
    filler=st.sampled_from([0x00, 0xA5, 0xFF]),
)
@example(fields=[], spare=0, filler=0xFF)
@example(fields=[(32, FULL)] * 3, spare=0, filler=0)
@example(fields=[(31, FULL), (1, 0)] * 3, spare=0, filler=0xFF)
@example(fields=[(20, FULL), (4, 0)] * 4, spare=0, filler=0xFF)
def test_written_rows(
    references: dict[str, ContractInstance], fields: list[tuple[int, int]], spare: int, filler: int
) -> None:
    """Values are wider than their fields here; only the field's bytes are written, and nothing around them."""
    background = bytes([filler]) * (sum(size for size, _ in fields) + spare)
    actual, expected, is_intact = references["RowWriter"].write(background, fields)
    assert actual == expected
    assert is_intact


def pack(number: int, counts: tuple[int, ...], body: bytes) -> bytes:
    return number.to_bytes(11) + b"".join(count.to_bytes(2) for count in counts) + body


@st.composite
def batches(draw: st.DrawFn) -> bytes:
    counts = tuple(draw(st.integers(0, 3)) for _ in ROW_SIZES)
    length = sum(count * size for count, size in zip(counts, ROW_SIZES, strict=True))
    body = draw(
        st.one_of(st.just(bytes(length)), st.just(b"\xff" * length), st.randoms().map(lambda r: r.randbytes(length)))
    )
    return pack(draw(uints(88)), counts, body)


@compared
@given(packed=batches())
@example(packed=bytes(27))
def test_read_rows(references: dict[str, ContractInstance], packed: bytes) -> None:
    actual, is_intact = references["BatchTables"].rows(packed)
    assert actual == references["BatchTables"].plainRows(packed)
    assert is_intact
    actual, expected = references["BatchTables"].indices(packed)
    assert actual == expected


@pytest.mark.parametrize("counts", [(0xFFFF,) * 8, (0, 0, 0, 0, 0, 0, 0, 0xFFFF), (0xFFFF, 0, 0, 0, 0, 0, 0, 1)])
def test_lengths_of_the_largest_batches(references: dict[str, ContractInstance], owner: Any, counts: Any) -> None:
    header = pack(2**88 - 1, counts, b"")
    tables = references["BatchTables"]
    length = tables.lengthOf(header)
    assert length == 27 + sum(count * size for count, size in zip(counts, ROW_SIZES, strict=True))
    call = {"to": tables.address, "data": tables.rows.encode_input(header)}
    with pytest.raises(ContractCustomError) as caught:
        owner.provider.web3.eth.call(call)
    assert caught.value.data == "0x" + (MALFORMED_BATCH + length.to_bytes(32)).hex()


# ----------------------------------------------------------------------------------------------------------------------
# Orders and hashes
# ----------------------------------------------------------------------------------------------------------------------


@st.composite
def order_runs(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int, int, int]]]:
    terms = draw(st.lists(words, min_size=1, max_size=5))
    index = st.integers(0, len(terms) - 1)
    operations = st.tuples(st.sampled_from(ORDER_ACTIONS), index, index, uints(40))
    return terms, draw(st.lists(operations, max_size=24))


@compared
@given(run=order_runs())
@example(run=([FULL], [(action, 0, 0, 2**40 - 1) for action in (FILL, CLOSE, FILL, CLOSE, SET, CLAIM_KEY)]))
@example(run=([0, FULL, 0], [(SHARE_KEY, 1, 0, 0), (CLAIM_KEY, 1, 0, 0), (CLAIM_KEY, 0, 0, 0), (CLAIM_KEY, 2, 0, 0)]))
@example(run=([1] * 3, [(SHARE_KEY, 2, 0, 0), (SHARE_KEY, 1, 0, 0), *((CLAIM_KEY, i, 0, 0) for i in (0, 1, 2, 1, 0))]))
def test_states_of_orders(references: dict[str, ContractInstance], run: tuple[list[int], list[Any]]) -> None:
    actual, expected, is_intact = references["BatchRecords"].runOrders(*run)
    assert actual == expected
    assert is_intact


@compared
@given(positions=st.lists(st.tuples(words, words, words), max_size=4))
@example(positions=[(FULL, FULL, FULL), (0, 0, 0), (1, 2**255, 2**255)])
def test_states_of_positions(references: dict[str, ContractInstance], positions: list[Any]) -> None:
    actual, expected, is_intact = references["BatchRecords"].positions(positions)
    assert actual == expected
    assert is_intact


@compared
@given(stored=st.lists(st.tuples(words.filter(bool), words), max_size=4))
@example(stored=[])
@example(stored=[(FULL, FULL), (1, 0), (FULL, 1)])
def test_lists_of_storage_words(references: dict[str, ContractInstance], stored: list[Any]) -> None:
    actual, expected, is_intact = references["BatchRecords"].storedWords(stored)
    assert actual == expected
    assert is_intact


@compared
@given(word=words, terms=words, id_=words)
def test_states_of_markets(references: dict[str, ContractInstance], word: int, terms: int, id_: int) -> None:
    assert list(references["BatchRecords"].market(word, terms, id_)) == [word, terms, 0, id_]


@compared
@given(first=st.lists(hashes, min_size=1, max_size=10), second=st.lists(hashes, min_size=1, max_size=10))
@example(first=[bytes(32)] * 10, second=[b"\xff" * 32] * 2)
def test_leaves_of_groups(references: dict[str, ContractInstance], first: list[bytes], second: list[bytes]) -> None:
    actual, expected, is_intact = references["BatchRecords"].leaves(first, second)
    assert actual == expected
    assert is_intact


@compared
@given(orders=st.lists(st.tuples(words, words, uints(32), uints(64)), min_size=1, max_size=4))
@example(orders=[(0, 0, 0, 0), (FULL, FULL, 2**32 - 1, 2**64 - 1), (0, 0, 0, 0)])
@example(orders=[(FULL ^ (3 << 217), FULL, 0, 0), (FULL ^ (3 << 217) ^ (2**40 - 1 << 16), 0, 0, 0)])
def test_hashes_of_orders(references: dict[str, ContractInstance], orders: list[Any]) -> None:
    """One after another in the same memory: nothing of an order stays for the next."""
    actual, expected, is_intact = references["OrderLib"].hashes(orders)
    assert actual == expected
    assert is_intact


@compared
@given(pairs=st.lists(st.tuples(hashes, hashes, words, words), min_size=1, max_size=4))
@example(pairs=[(bytes(32), bytes(32), 0, 0), (b"\xff" * 32, b"\xff" * 32, FULL, FULL)])
def test_ids_of_fills(references: dict[str, ContractInstance], pairs: list[Any]) -> None:
    actual, expected, is_intact = references["OrderLib"].fillIds(pairs)
    assert actual == expected
    assert is_intact


@compared
@given(separator=hashes, signed=st.lists(hashes, min_size=1, max_size=4))
@example(separator=bytes(32), signed=[b"\xff" * 32, bytes(32)])
def test_digests(references: dict[str, ContractInstance], separator: bytes, signed: list[bytes]) -> None:
    actual, expected, is_intact = references["SignatureLib"].digests(separator, signed)
    assert actual == expected
    assert is_intact
