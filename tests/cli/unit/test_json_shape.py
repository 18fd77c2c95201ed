import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.cli.output import json_value, result_json
from cloche.runtime.errors import FuelExhausted, GuestError, GuestException
from cloche.runtime.result import Result, ToolCallRecord, Usage

USAGE = Usage(fuel=12, wall=0.5, memory_peak=100, output_bytes=3, calls=1)

exact = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def result(value: Any = None, error: GuestError | None = None) -> Result[Any]:
    record = ToolCallRecord("f", [1], {"x": {2}})
    record.value = 3
    record.end("returned", 0.25)
    return Result(value, error, "out", "err", USAGE, [record])


@given(exact)
def test_what_json_holds_comes_back_the_same(value: Any) -> None:
    shape = json.loads(json.dumps(result_json(result(value)), allow_nan=False))
    assert shape["value"] == value
    assert shape["value_repr"] is None
    assert shape["value_type"] == type(value).__name__


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({1, 2}, "{1, 2}"),
        (b"x", "b'x'"),
        (float("nan"), "nan"),
        ({1: 2}, "{1: 2}"),
        ([1j], "[1j]"),
        ([1 << 100_000], "[<int of 100001 bits>]"),
    ],
    ids=["set", "bytes", "nan", "int keys", "complex", "long int"],
)
def test_what_json_cannot_hold_is_text(value: Any, text: str) -> None:
    shape = json.loads(json.dumps(result_json(result(value)), allow_nan=False))
    assert (shape["value"], shape["value_repr"]) == (None, text)


def test_tuples_become_lists() -> None:
    assert json_value((1, ("a",))) == [1, ["a"]]
    assert result_json(result((1,)))["value_type"] == "tuple"


def test_a_value_nested_very_deeply_is_text() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    assert result_json(result(value))["value_repr"].startswith("[[")


def test_the_whole_shape_of_a_success() -> None:
    assert result_json(result(5)) == {
        "value": 5,
        "value_repr": None,
        "value_type": "int",
        "stdout": "out",
        "stderr": "err",
        "error": None,
        "usage": {"fuel": 12, "wall": 0.5, "memory_peak": 100, "output_bytes": 3, "calls": 1},
        "calls": [
            {
                "name": "f",
                "args": [1],
                "args_repr": None,
                "kwargs": None,
                "kwargs_repr": "{'x': {2}}",
                "value": 3,
                "value_repr": None,
                "outcome": "returned",
                "error": None,
                "seconds": 0.25,
            }
        ],
        "rolled_back": False,
        "displays": [],
    }


def test_the_shape_of_errors() -> None:
    raised = result_json(result(error=GuestException("KeyError", "'x'", "Traceback ...", 3)))["error"]
    assert (raised["type"], raised["exception"], raised["message"]) == ("GuestException", "KeyError", "'x'")
    assert (raised["line"], raised["traceback"], raised["limit"]) == (3, "Traceback ...", None)
    ended = result_json(result(error=FuelExhausted(10, 10)))["error"]
    assert (ended["type"], ended["used"], ended["limit"], ended["exception"]) == ("FuelExhausted", 10, 10, None)
    assert "fuel" in ended["message"]
