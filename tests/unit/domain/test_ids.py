from __future__ import annotations

from eth_abi import encode
from eth_utils import keccak

from offchain.domain.ids import fill_id


def test_fill_id_equals_abi_encoding() -> None:
    maker, taker = b"\x01" * 32, b"\x02" * 32
    for before in ((0, 0), (1, 2), (2**64 - 1, 2**40)):
        expected = keccak(encode(["bytes32", "bytes32", "uint256", "uint256"], [maker, taker, *before]))
        assert fill_id(maker, taker, *before) == expected


def test_fill_id_depends_on_every_part() -> None:
    parts = [b"\x01" * 32, b"\x02" * 32, 3, 4]
    ids = {fill_id(*parts)}  # type: ignore[arg-type]
    for index, other in enumerate((b"\x09" * 32, b"\x08" * 32, 7, 6)):
        ids.add(fill_id(*[*parts[:index], other, *parts[index + 1 :]]))  # type: ignore[arg-type]
    assert len(ids) == 5
