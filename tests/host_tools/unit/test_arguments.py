"""Wrong and right arguments, as a program sends them."""

import re
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, field_validator
from typing_extensions import TypedDict

from cloche.host_tools import FunctionTool, ToolRegistry, ToolRejected, tool
from cloche.runtime.values.records import Record


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Item(BaseModel):
    sku: str
    count: int = Field(1, gt=0)

    @field_validator("sku")
    @classmethod
    def _no_spaces(cls, sku: str) -> str:
        if " " in sku:
            raise ValueError("a sku has no spaces")
        return sku


@dataclass
class Order:
    items: list[Item]
    note: str | None = None


class Box(TypedDict):
    width: int


def kept(annotation: Any) -> FunctionTool[..., Any]:
    """A tool with one argument of that annotation, which it returns."""

    def keep(value: Any) -> Any:
        return value

    keep.__annotations__ = {"value": annotation}
    return tool(keep)


def lookup(city: str, days: int = 3) -> str:
    return f"{city} {days}"


def rejected(function: Callable[..., Any], *args: Any, **kwargs: Any) -> ToolRejected:
    registry = ToolRegistry([function])
    (name,) = registry
    with pytest.raises(ToolRejected) as caught:
        registry.call(name, list(args), kwargs)
    return caught.value


@pytest.mark.parametrize(
    ("annotation", "sent", "received"),
    [
        (float, 1, 1.0),
        (int, 2.0, 2),
        (int, "3", 3),
        (int, True, 1),
        (str | None, None, None),
        (list[float], [1, 2], [1.0, 2.0]),
        (tuple[int, ...], [1, 2], (1, 2)),
        (Colour, "red", Colour.RED),
        (Literal["a", "b"], "b", "b"),
        (datetime, "2024-05-06T07:08:09", datetime(2024, 5, 6, 7, 8, 9)),
        (date, "2024-05-06", date(2024, 5, 6)),
        (Path, "/work/a", Path("/work/a")),
        (Path, PurePosixPath("/work/a"), Path("/work/a")),
        (Box, {"width": "4"}, {"width": 4}),
        (Order, {"items": [{"sku": "a"}]}, Order([Item(sku="a", count=1)])),
        (Annotated[int, Field(gt=0)], 5, 5),
        (Any, {1, 2}, {1, 2}),
        (object, (1,), (1,)),
        (None, None, None),
    ],
)
def test_values_become_what_the_annotation_asks_for(annotation: Any, sent: Any, received: Any) -> None:
    for _ in range(2):  # the second call may take the remembered path
        result = kept(annotation).invoke([sent], {})
        assert result == received
        assert type(result) is type(received)


WRONG: list[tuple[Any, Any, str, str]] = [
    (str, 3, "TypeError", "Input should be a valid string, got 3 (int)"),
    (int, "x", "ValueError", "unable to parse string as an integer, got 'x' (str)"),
    (int, 1.5, "ValueError", "got 1.5 (float)"),
    (int, None, "TypeError", "Input should be a valid integer, got None"),
    (Colour, "green", "ValueError", "Input should be 'red' or 'blue', got 'green' (str)"),
    (Annotated[int, Field(gt=0)], 0, "ValueError", "Input should be greater than 0, got 0 (int)"),
    (list[int], [1, {}], "TypeError", "'value[1]': Input should be a valid integer, got {} (dict)"),
    (dict[str, int], {"a b": []}, "TypeError", "\"value['a b']\": Input should be a valid integer, got [] (list)"),
    (int | str, [], "TypeError", "argument 'value': Input should be a valid integer, got [] (list)"),
    (Order, {}, "TypeError", "argument 'value.items': Field required"),
    (Order, {"items": [{"sku": "a", "count": 0}]}, "ValueError", "'value.items[0].count': Input should be greater"),
    (Item, {"sku": "a b"}, "ValueError", "'value.sku': Value error, a sku has no spaces, got 'a b' (str)"),
    (Callable[[], None], 1, "TypeError", "Input should be callable"),
]


@pytest.mark.parametrize(("annotation", "sent", "guest_type", "text"), WRONG)
def test_a_wrong_value_is_named_with_what_was_expected_and_what_came(
    annotation: Any, sent: Any, guest_type: str, text: str
) -> None:
    error = rejected(kept(annotation), sent)
    assert error.guest_type == guest_type
    assert error.guest_message.startswith("keep(): argument ")
    assert text in error.guest_message
    assert str(error) == error.guest_message


def test_the_message_of_a_simple_mistake_is_exactly_this() -> None:
    assert rejected(lookup_typed, 3).guest_message == (
        "lookup_typed(): argument 'city': Input should be a valid string, got 3 (int)"
    )


@tool
def lookup_typed(city: str, days: int = 3) -> str:
    return f"{city} {days}"


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((), {}, "missing argument 'city'"),
        ((), {"days": 1}, "missing argument 'city'"),
        (("Oslo",), {"day": 1}, "unexpected argument 'day'"),
        (("Oslo", 1, 2), {}, "takes at most 2 positional arguments, got 3"),
        (("Oslo",), {"city": "Rome"}, "argument 'city' was given twice"),
        (("Oslo",), {"self": 1}, "unexpected argument 'self'"),
        (("Oslo",), {"__class__": 1}, "unexpected argument '__class__'"),
        (("Oslo",), {7: 1}, "the names of arguments are strings, got 7"),
    ],
)
def test_a_wrong_shape_is_a_type_error_that_shows_the_arguments(
    args: tuple[Any, ...], kwargs: dict[Any, Any], text: str
) -> None:
    with pytest.raises(ToolRejected) as caught:
        ToolRegistry([lookup]).call("lookup", list(args), kwargs)
    assert caught.value.guest_type == "TypeError"
    assert caught.value.guest_message == f"lookup(): {text}; its arguments are (city: str, days: int = 3)"


def test_several_missing_arguments_are_named_together() -> None:
    def area(width: int, height: int) -> int:
        return width * height

    assert "missing arguments 'width', 'height'" in rejected(area).guest_message


def test_positional_only_and_keyword_only_arguments() -> None:
    def cut(text: str, /, *, at: int) -> str:
        return text[:at]

    assert ToolRegistry([cut]).call("cut", ["abc"], {"at": 2}) == "ab"
    assert "unexpected argument 'text'" in rejected(cut, text="abc", at=2).guest_message
    assert "takes at most 1 positional argument, got 2" in rejected(cut, "abc", 2).guest_message
    assert "(text: str, /, *, at: int)" in rejected(cut, "abc").guest_message


def test_collecting_arguments_are_checked_one_by_one() -> None:
    @tool
    def total(*numbers: float, **named: int) -> dict[str, Any]:
        return {"numbers": numbers, **named}

    assert total.invoke([1, 2.5], {"a": "3"}) == {"numbers": (1.0, 2.5), "a": 3}
    assert "argument 'numbers[1]': Input should be a valid number" in rejected(total, 1, []).guest_message
    assert "argument 'a': Input should be a valid integer" in rejected(total, a=[]).guest_message


@pytest.mark.parametrize("name", ["self", "cls", "__class__", "__dict__"])
def test_names_that_mean_something_to_python_do_not_pass_through_kwargs(name: str) -> None:
    @tool
    def anything(**named: Any) -> Any:
        return named

    assert f"unexpected argument '{name}'" in rejected(anything, **{name: 1}).guest_message


def test_a_remembered_shape_does_not_let_other_shapes_through() -> None:
    registry = ToolRegistry([lookup])
    for _ in range(3):
        assert registry.call("lookup", ["Oslo", 2], {}) == "Oslo 2"
        assert registry.call("lookup", ["Oslo"], {"days": 2}) == "Oslo 2"
    wrong: list[tuple[list[Any], dict[str, Any]]] = [
        ([2, "Oslo"], {}),
        (["Oslo", []], {}),
        (["Oslo"], {"days": []}),
        (["Oslo"], {"day": 2}),
    ]
    for args, kwargs in wrong:
        with pytest.raises(ToolRejected):
            registry.call("lookup", args, kwargs)


def test_a_long_name_of_an_argument_is_cut() -> None:
    @tool
    def numbers(**named: int) -> int:
        return len(named)

    assert len(rejected(numbers, **{"x" * 100_000: []}).guest_message) < 300
    assert len(rejected(lookup, **{"x" * 100_000: []}).guest_message) < 300


def test_what_is_remembered_of_calls_is_bounded() -> None:
    @tool
    def anything(*values: Any, **named: Any) -> int:
        return len(values) + len(named)

    kinds = [type(f"Kind{number}", (), {})() for number in range(300)]
    for number, value in enumerate(kinds):
        assert anything.invoke([value], {}) == 1
        assert anything.invoke([], {f"name{number}": value}) == 1
        assert anything.invoke([value] * number, {}) == number
    arguments: object = vars(anything)["_tool_arguments"]
    remembered = vars(arguments)
    assert 0 < len(remembered["good"]) <= 128
    assert 0 < len(remembered["_plans"]) <= 128
    assert max(map(len, remembered["good"])) <= 16


def test_the_arguments_given_are_not_changed() -> None:
    args, kwargs = [[1]], {"other": [2]}

    @tool
    def floats(value: list[float], other: list[float]) -> None: ...

    floats.invoke(args, kwargs)
    assert (args, kwargs) == ([[1]], {"other": [2]})
    assert [type(args[0][0]), type(kwargs["other"][0])] == [int, int]


def test_a_record_serves_where_a_class_of_the_host_is_asked_for() -> None:
    sent = Record("OrderOfTheGuest", {"items": deque([{"sku": "a"}, Item(sku="b", count=1)]), "note": "n"})
    expected = Order([Item(sku="a", count=1), Item(sku="b", count=1)], "n")
    assert kept(Order).invoke([sent], {}) == expected
    assert kept(list[Order]).invoke([[sent]], {}) == [expected]
    assert kept(dict[str, tuple[Order]]).invoke([{"k": (sent,)}], {}) == {"k": (expected,)}


def test_a_wrong_record_is_described_like_a_dict() -> None:
    error = rejected(kept(Order), Record("OrderOfTheGuest", {"items": [{"sku": 5}]}))
    assert error.guest_message == "keep(): argument 'value.items[0].sku': Input should be a valid string, got 5 (int)"


@pytest.mark.parametrize("annotation", [list[int], dict[str, int], list[Item], list[list[int]], bool])
@pytest.mark.parametrize("size", [10, 100_000])
def test_messages_stay_short_whatever_is_sent(annotation: Any, size: int) -> None:
    many = [None] * size
    for sent in (many, dict.fromkeys(map(str, range(size))), "x" * size, b"y" * size, 1 << size, [many]):
        assert len(rejected(kept(annotation), sent).guest_message) < 1_000


def test_a_container_stops_at_its_first_bad_item() -> None:
    message = rejected(kept(list[int]), [None, None, None]).guest_message
    assert message == "keep(): argument 'value[0]': Input should be a valid integer, got None"


def test_messages_hold_no_addresses_of_documentation_and_no_paths_of_the_host() -> None:
    for sent in (object(), lookup, sys, ValueError("/srv/secret")):
        message = rejected(kept(Order), sent).guest_message
        assert not re.search(r"https?:|0x[0-9a-f]+|/srv|errors\.pydantic", message)


def test_the_host_keeps_what_pydantic_said() -> None:
    assert type(rejected(lookup_typed, 3).__cause__).__name__ == "ValidationError"


def test_the_exception_of_a_tool_passes_unchanged() -> None:
    error = KeyboardInterrupt("stop")

    def stop() -> None:
        raise error

    with pytest.raises(KeyboardInterrupt) as caught:
        ToolRegistry([stop]).call("stop", [], {})
    assert caught.value is error
