"""The format of order flow: what is written is read, and every bad line is named with the field and the reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given

from benchmarks.sample_flow import SAMPLE, main
from offchain.flow import (
    MAX_LINE_BYTES,
    Cancel,
    CancelAfter,
    CancelAll,
    FlowFile,
    FlowFull,
    FlowWriter,
    Header,
    InvalidFlow,
    ListedMarket,
    Place,
    PlaceArray,
    Reference,
    Replace,
    Steps,
)
from offchain.flow import checker as checker_module
from offchain.flow import file as file_module
from offchain.flow.checker import units
from offchain.flow.schema import Operation
from tests.strategies import PROFILE
from tests.unit.flow.flows import HEADER, flows, terms, write

DOCS = Path(__file__).parents[3] / "docs"
FIRST = Place(t=0, trader="maker", order=terms())


def errors_of(path: Path, **more: Any) -> list[str]:
    with pytest.raises(InvalidFlow) as caught:
        FlowFile(path, **more)
    assert str(caught.value).startswith(f"{path}: line")
    return [str(error) for error in caught.value.errors]


def error_of(folder: Path, *operations: Operation | dict[str, Any], target: dict[str, Steps] | None = None) -> str:
    """The one error of a file with FIRST and these lines."""
    path = write(folder / "flow.jsonl", [FIRST])
    with path.open("ab") as file:
        for operation in operations:
            file.write(msgspec.json.encode(operation) + b"\n")
    (error,) = errors_of(path, target=target)
    return error


# ---------------------------------------------------------------------------------------------------------------------
# Good files
# ---------------------------------------------------------------------------------------------------------------------


@given(flow=flows())
@PROFILE
def test_what_is_written_is_read(tmp_path_factory, flow) -> None:
    header, operations = flow
    file = FlowFile(write(tmp_path_factory.mktemp("flow") / "flow.jsonl", operations, header))
    assert file.header == header
    assert list(file) == list(enumerate(operations, 2))
    assert file.operations == len(operations)
    assert file.traders == list(dict.fromkeys(operation.trader for operation in operations))


def test_a_file_without_operations_is_one(tmp_path) -> None:
    file = FlowFile(write(tmp_path / "flow.jsonl", []))
    assert (file.operations, file.traders, list(file)) == (0, [], [])


def test_a_last_line_without_its_end_is_read(tmp_path) -> None:
    path = write(tmp_path / "flow.jsonl", [FIRST])
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert FlowFile(path).operations == 1


def test_an_existing_file_is_not_overwritten(tmp_path) -> None:
    path = write(tmp_path / "flow.jsonl", [FIRST])
    with pytest.raises(FileExistsError):
        FlowWriter(path, HEADER)


def test_lines_are_in_the_file_as_soon_as_they_are_written(tmp_path) -> None:
    writer = FlowWriter(tmp_path / "flow.jsonl", HEADER)
    assert writer.append(FIRST) == 2
    assert FlowFile(writer.path).operations == 1
    writer.close()


def test_the_sample_is_what_its_generator_makes(tmp_path) -> None:
    main(tmp_path / "flow.jsonl")
    assert SAMPLE.read_bytes() == (tmp_path / "flow.jsonl").read_bytes()
    flow = FlowFile(SAMPLE)
    assert {type(operation) for _, operation in flow} == {Place, Replace, PlaceArray, Cancel, CancelAll, CancelAfter}
    assert SAMPLE.stat().st_size < 60_000


def test_the_documented_file_is_a_good_one(tmp_path) -> None:
    text = (DOCS / "FLOW.md").read_text()
    shown = re.search(r"^```jsonl\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert shown is not None
    (tmp_path / "flow.jsonl").write_text(shown.group(1))
    flow = FlowFile(tmp_path / "flow.jsonl")
    assert {type(operation) for _, operation in flow} == {Place, Replace, PlaceArray, Cancel, CancelAll, CancelAfter}


def test_every_field_is_documented() -> None:
    text = (DOCS / "FLOW.md").read_text()
    for shape in (Header, ListedMarket, Place, Cancel, CancelAll, CancelAfter, PlaceArray, Reference, type(terms())):
        for field in msgspec.structs.fields(shape):
            assert f"`{field.encode_name}`" in text, field.encode_name


# ---------------------------------------------------------------------------------------------------------------------
# Bad lines
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"price": "95000.15"}, "order.price: 95000.15 is not a multiple of the tick in BTC-USDC"),
        ({"price": "0"}, "order.price: must be above zero"),
        ({"price": "1e3"}, "order.price: '1e3' is not a plain decimal number"),
        ({"quantity": "0.000001"}, "order.quantity: 0.000001 is not a multiple of the lot in BTC-USDC"),
        ({"quantity": "0"}, "order.quantity: must be above zero"),
        ({"market": "DOGE-USDC"}, "order.market: DOGE-USDC is not among the header's markets"),
        ({"type": "market"}, "order.timeInForce: a market order is IOC"),
        ({"time_in_force": "IOC"}, "order.expiresIn: is missing; IOC needs it"),
        ({"expires_in": 5}, "order.expiresIn: a GTC order does not expire"),
        ({"trigger": "stop"}, "order.triggerPrice: is missing"),
        ({"trigger_price": "95000"}, "order.trigger: is missing"),
        ({"trigger": "stop", "trigger_price": "95000.11"}, "order.triggerPrice: 95000.11 is not a multiple"),
        ({"trigger_by": "mark"}, "order.triggerBy: needs a trigger"),
        ({"only_if_open": True}, "order.onlyIfOpen: is for orders that replace one"),
        ({"expect_filled": "0"}, "order.expectFilled: is for orders that replace one"),
        ({"conversion_limit": "x"}, "order.conversionLimit: 'x' is not a plain decimal number"),
        ({"conversion_limit": "0"}, "order.conversionLimit: must be above zero, at most 18446744073709.551615"),
        ({"conversion_limit": "1.0000001"}, "order.conversionLimit: must be above zero"),
        ({"conversion_limit": "18446744073709.551616"}, "order.conversionLimit: must be above zero"),
        ({"replaces": Reference(9)}, "order.replaces: line 9 is not before this one"),
        ({"replaces": Reference(3)}, "order.replaces: line 3 is not before this one"),
        ({"replaces": Reference(2, 1)}, "order.replaces: line 2 has no order 1"),
        ({"side": "up"}, "order.side: Invalid enum value 'up'"),
        ({"client_order_id": "with space"}, "order.clientOrderId: "),
    ],
)
def test_a_bad_order_is_named_by_line_field_and_reason(tmp_path, changes, error) -> None:
    assert error_of(tmp_path, Place(t=0, trader="maker", order=terms(**changes))).startswith(f"line 3, {error}")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ({"op": "place", "t": 0, "trader": "maker"}, "order: is missing"),
        ({"op": "cancel", "t": 0, "trader": "maker", "cancels": {"line": 2}, "x": 1}, "x: is not a field of this line"),
        ({"op": "buy", "t": 0, "trader": "maker"}, "op: Invalid value 'buy'"),
        ({"op": "cancelAfter", "t": 0, "trader": "maker", "seconds": "9"}, "seconds: Expected `int`, got `str`"),
        ({"op": "cancelAfter", "t": 0, "trader": "maker", "seconds": 86_401}, "seconds: Expected `int` <= 86400"),
        ({"op": "cancelAfter", "t": -1, "trader": "maker", "seconds": 0}, "t: Expected `int` >= 0"),
        ({"op": "cancelAfter", "t": 0, "trader": "a b", "seconds": 0}, "trader: Expected `str` matching"),
        ({"op": "cancelAfter", "t": 0, "trader": "a\n", "seconds": 0}, "trader: Expected `str` matching"),
        (Cancel(t=0, trader="taker", cancels=Reference(2)), "cancels: line 2 is another trader's"),
        (Cancel(t=0, trader="maker", cancels=Reference(3)), "cancels: line 3 is not before this one"),
        (CancelAll(t=0, trader="maker", market="X"), "market: X is not among the header's markets"),
        (Replace(t=0, trader="maker", order=terms()), "order.replaces: is missing"),
        (
            Replace(t=0, trader="maker", order=terms(market="ETH-USDC", replaces=Reference(2))),
            "order.replaces: that order is of BTC-USDC: a nonce key belongs to one market",
        ),
        (
            PlaceArray(t=0, trader="maker", orders=[terms(), terms(price="1.01")]),
            "orders[1].price: 1.01 is not a multiple of the tick in BTC-USDC",
        ),
    ],
)
def test_a_bad_line_is_named_by_number_field_and_reason(tmp_path, line, error) -> None:
    assert error_of(tmp_path, line).startswith(f"line 3, {error}")


def test_a_cancel_of_a_line_that_places_nothing_is_an_error(tmp_path) -> None:
    canceled = Cancel(t=0, trader="maker", cancels=Reference(2))
    again = Cancel(t=0, trader="maker", cancels=Reference(3))
    assert error_of(tmp_path, canceled, again) == "line 4, cancels: line 3 places no order"


def test_time_does_not_go_back(tmp_path) -> None:
    later = CancelAfter(t=7, trader="maker", seconds=0)
    earlier = CancelAfter(t=6, trader="maker", seconds=0)
    assert error_of(tmp_path, later, earlier) == "line 4, t: is 6, before the 7 of an earlier line"


@pytest.mark.parametrize("raw", [b"\n", b"nonsense\n", b"\xff\n", b"[]\n", b'{"op":"place"\n'])
def test_what_is_no_line_is_named(tmp_path, raw) -> None:
    path = write(tmp_path / "flow.jsonl", [FIRST])
    path.write_bytes(path.read_bytes() + raw)
    (error,) = errors_of(path)
    assert error.startswith("line 3")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"version": 2}, "line 1, version: is 2; this program reads version 1"),
        ({"format": "other"}, "line 1, format: "),
        ({"startedAt": None}, "line 1, startedAt: "),
        ({"markets": [{"symbol": "A", "tickSize": "0", "lotSize": "1"}]}, "line 1, markets[0].tickSize: must be above"),
        (
            {"markets": [{"symbol": "A", "tickSize": "1", "lotSize": "-1"}]},
            "line 1, markets[0].lotSize: is not a plain",
        ),
        ({"markets": [{"symbol": "A", "tickSize": "1", "lotSize": "1"}] * 2}, "line 1, markets[1].symbol: A is listed"),
    ],
)
def test_a_bad_header_is_named(tmp_path, changes, error) -> None:
    path = tmp_path / "flow.jsonl"
    path.write_bytes(msgspec.json.encode(msgspec.to_builtins(HEADER) | changes) + b"\n")
    assert errors_of(path)[0].startswith(error)


def test_an_empty_file_has_no_header(tmp_path) -> None:
    (tmp_path / "flow.jsonl").touch()
    assert errors_of(tmp_path / "flow.jsonl") == ["line 1: the file is empty"]


def test_all_bad_lines_are_told_at_once_up_to_a_bound(tmp_path) -> None:
    bad = Place(t=0, trader="maker", order=terms(price="1.01"))
    path = write(tmp_path / "two.jsonl", [bad, FIRST, bad])
    assert [error.split(",")[0] for error in errors_of(path)] == ["line 2", "line 4"]
    path = write(tmp_path / "many.jsonl", [bad] * 30)
    assert len(errors_of(path)) == file_module.MAX_ERRORS
    with pytest.raises(InvalidFlow, match=r"and more$"):
        FlowFile(path)


# ---------------------------------------------------------------------------------------------------------------------
# The exchange on which it is to be replayed
# ---------------------------------------------------------------------------------------------------------------------

TARGET = {
    "BTC-USDC": Steps(units("0.5"), units("0.1"), units("100000"), units("10"), False, False),
    "ETH-USDC": Steps(units("0.01"), units("0.0001")),
}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"price": "95000.2"}, "order.price: 95000.2 is not a multiple of the tick of the exchange in BTC-USDC"),
        ({"price": "100000.5"}, "order.price: 100000.5 is more than the most of the exchange in BTC-USDC"),
        ({"quantity": "0.55"}, "order.quantity: 0.55 is not a multiple of the lot of the exchange in BTC-USDC"),
        ({"quantity": "10.1"}, "order.quantity: 10.1 is more than the most of the exchange in BTC-USDC"),
        ({"conversion_limit": "1"}, "order.conversionLimit: BTC-USDC is quoted in USDC and has none"),
        ({"reduce_only": True}, "order.reduceOnly: BTC-USDC is a spot market"),
    ],
)
def test_what_does_not_fit_the_exchange_is_named(tmp_path, changes, error) -> None:
    path = write(tmp_path / "flow.jsonl", [Place(t=0, trader="maker", order=terms(**{"price": "95000"} | changes))])
    FlowFile(path)
    assert errors_of(path, target=TARGET) == [f"line 2, {error}"]


def test_a_market_that_the_exchange_does_not_have_is_named(tmp_path) -> None:
    path = write(tmp_path / "flow.jsonl", [])
    assert errors_of(path, target={"BTC-USDC": TARGET["BTC-USDC"]}) == [
        "line 1, markets[1].symbol: the exchange has no market ETH-USDC"
    ]


def test_a_market_in_another_quote_needs_a_conversion_limit(tmp_path) -> None:
    path = write(tmp_path / "flow.jsonl", [FIRST])
    target = TARGET | {"BTC-USDC": Steps(1, 1, needs_conversion_limit=True)}
    assert errors_of(path, target=target) == [
        "line 2, order.conversionLimit: is missing; BTC-USDC is not quoted in USDC"
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Bounds
# ---------------------------------------------------------------------------------------------------------------------


def test_a_line_is_bounded(tmp_path) -> None:
    path = write(tmp_path / "flow.jsonl", [FIRST])
    path.write_bytes(path.read_bytes() + b" " * (MAX_LINE_BYTES + 1))
    assert errors_of(path) == [f"line 3: is longer than {MAX_LINE_BYTES} bytes"]


def test_a_file_is_bounded(tmp_path, monkeypatch) -> None:
    path = write(tmp_path / "flow.jsonl", [FIRST] * 3)
    monkeypatch.setattr(file_module, "MAX_FILE_BYTES", path.stat().st_size - 1)
    assert errors_of(path) == [f"line 4: the file is longer than {path.stat().st_size - 1} bytes"]
    with pytest.raises(FlowFull, match="bytes"):
        write(tmp_path / "other.jsonl", [FIRST] * 3)


def test_operations_are_bounded(tmp_path, monkeypatch) -> None:
    path = write(tmp_path / "flow.jsonl", [FIRST] * 3)
    monkeypatch.setattr(file_module, "MAX_LINES", 2)
    assert errors_of(path) == ["line 4: a file has at most 2 operations"]
    with pytest.raises(FlowFull, match="at most 2 operations"):
        write(tmp_path / "other.jsonl", [FIRST] * 3)


def test_traders_are_bounded(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(checker_module, "MAX_TRADERS", 1)
    line = Place(t=0, trader="taker", order=terms())
    assert error_of(tmp_path, line) == "line 3, trader: a file has at most 1 traders"


def test_a_file_that_was_changed_after_it_was_read_is_refused(tmp_path) -> None:
    path = write(tmp_path / "flow.jsonl", [FIRST])
    file = FlowFile(path)
    path.write_bytes(path.read_bytes() + b"nonsense\n")
    with pytest.raises(InvalidFlow, match="line 3"):
        list(file)
