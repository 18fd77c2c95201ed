"""Dataclasses, pydantic models and exceptions."""

import copy
import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgpack import packb
from pydantic import BaseModel, ConfigDict

from cloche.runtime.values import MalformedValue, UnserializableError, decode, encode
from cloche.runtime.values.codes import EXCEPTION, GROUP, MARKS, RECORD
from cloche.runtime.values.records import Record


@dataclass
class Point:
    kind: ClassVar[str] = "point"
    x: int
    y: Any = None


@dataclass(frozen=True, slots=True)
class Fixed:
    x: int


class HashableList(list[Any]):
    __hash__ = object.__hash__  # type: ignore[assignment]


class Model(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str
    where: Any = None


def test_records_arrive_as_dicts_on_the_host() -> None:
    assert decode(encode([Point(1, Point(2)), Fixed(3)])) == [{"x": 1, "y": {"x": 2, "y": None}}, {"x": 3}]


def test_records_arrive_with_attributes_when_typed() -> None:
    back = decode(encode(Point(1, Model(name="m", where=Fixed(3)))), records="typed")
    assert (back.x, back.y.name, back.y.where.x) == (1, "m", 3)
    assert repr(back.y.where) == "Fixed(x=3)"
    assert dataclasses.is_dataclass(back)


def test_typed_records_of_one_shape_share_a_class_and_compare() -> None:
    one, two = decode(encode([Point(1), Point(1)]), records="typed")
    assert one == two
    assert type(one) is type(two)
    assert dataclasses.replace(one, x=5).x == 5


@pytest.mark.parametrize("records", ["dict", "typed"])
@given(x=st.integers(), y=st.text() | st.lists(st.integers()))
def test_a_typed_record_round_trips_to_the_same_bytes(records: Any, x: int, y: Any) -> None:
    data = encode(Point(x, y))
    back = decode(data, records=records)
    assert encode(back) == data if records == "typed" else back == {"x": x, "y": y}


def test_a_record_of_the_host_is_a_dict_with_attributes_and_a_name() -> None:
    record = decode(encode(Point(1, {"items": 2})))
    assert isinstance(record, Record)
    assert (record.type_name, record.x, record["y"]) == ("Point", 1, {"items": 2})
    assert repr(record) == "Point(x=1, y={'items': 2})"
    for again in (decode(encode(record)), copy.copy(record), copy.deepcopy(record)):
        assert (type(again), again, again.type_name) == (Record, record, "Point")
    with pytest.raises(AttributeError, match="the Point has no field 'z'"):
        _ = record.z


def test_an_exception_group_keeps_what_is_in_it() -> None:
    group = ExceptionGroup("outer", [ValueError("a"), ExceptionGroup("inner", [KeyError("b")])])
    back = decode(encode(group))
    assert (back.message, repr(back.exceptions[0]), back.exceptions[1].message) == ("outer", "ValueError('a')", "inner")
    assert repr(back.exceptions[1].exceptions) == "(KeyError('b'),)"


@pytest.mark.parametrize(
    "items", [[], ["G"], ["G", "m"], ["G", "m", 1], [1, "m", ValueError], ["G", 2, [MARKS[EXCEPTION], "E", ""]]]
)
def test_misshapen_groups_are_malformed(items: list[Any]) -> None:
    with pytest.raises(MalformedValue):
        decode(packb([MARKS[GROUP], *filter(lambda item: item is not ValueError, items)]))


def test_undeclared_fields_of_a_model_cross() -> None:
    model = Model.model_validate({"name": "m", "extra": 1, "not-a-name": 2})
    assert decode(encode(model)) == {"name": "m", "where": None, "extra": 1, "not-a-name": 2}
    assert decode(encode(model), records="typed") == {"name": "m", "where": None, "extra": 1, "not-a-name": 2}


@pytest.mark.parametrize("name", ["__class__", "__dict__", "class", "a b", "", "ﬁeld", "x=1):\n raise SystemExit\n#"])
def test_field_names_that_cannot_be_attributes_leave_a_dict(name: str) -> None:
    data = packb([MARKS[RECORD], "T", {name: 1}])
    assert decode(data, records="typed") == {name: 1}


def test_a_class_itself_does_not_cross() -> None:
    for cls in (Point, Model):
        with pytest.raises(UnserializableError):
            encode(cls)


def test_a_field_that_raises_is_named() -> None:
    class Broken(Point):
        @property
        def x(self) -> int:  # type: ignore[override]
            raise LookupError("secret")

    value = object.__new__(Broken)
    with pytest.raises(
        UnserializableError, match=r"^value\[1\]: cannot send a 'Broken': reading it raised LookupError"
    ):
        encode([0, value])


def test_a_trouble_inside_a_record_is_named() -> None:
    with pytest.raises(UnserializableError, match=r"^out\.y\['a'\]: cannot send a 'object'"):
        encode(Point(1, {"a": object()}), where="out")


@pytest.mark.parametrize(
    "value",
    [
        {Fixed(1): 1},
        {Fixed(1)},
        [frozenset([Fixed(1)])],
        {(1, Fixed(1)): 1},
        {HashableList()},
    ],
)
def test_a_hashable_record_is_refused_as_a_key(value: Any) -> None:
    with pytest.raises(UnserializableError, match="cannot be a dict key or set member"):
        encode(value)
    assert decode(encode([1])) == [1]


def test_a_hashable_record_elsewhere_is_fine() -> None:
    assert decode(encode({"a": [Fixed(1), {1: Fixed(2)}]})) == {"a": [{"x": 1}, {1: {"x": 2}}]}


@pytest.mark.parametrize(
    ("sent", "cls", "text"),
    [
        (ValueError("no"), ValueError, "no"),
        (KeyError("k"), KeyError, "'k'"),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "bad"), Exception, "UnicodeDecodeError: 'utf-8' codec"),
        (type("Odd", (Exception,), {})("x"), Exception, "Odd: x"),
        (SystemExit(3), Exception, "SystemExit: 3"),
        (ExceptionGroup("g", [ValueError("x")]), ExceptionGroup, "g (1 sub-exception)"),
        (BaseExceptionGroup("g", [SystemExit(3), KeyError("k")]), ExceptionGroup, "g (2 sub-exceptions)"),
        (type("Own", (ExceptionGroup,), {})("g", [ValueError("x")]), ExceptionGroup, "Own: g (1 sub"),
        (type("Mute", (ValueError,), {"__str__": lambda _self: 1 / 0})(), Exception, "Mute: <unprintable>"),
    ],
)
def test_exceptions_cross_as_name_and_message(sent: BaseException, cls: type, text: str) -> None:
    back = decode(encode({"error": sent}))["error"]
    assert type(back) is cls
    assert str(back).startswith(text)


def test_a_long_message_is_cut() -> None:
    assert len(str(decode(encode(ValueError("x" * 10**6))))) == 65_536


@pytest.mark.parametrize("name", ["exec", "__build_class__", "int", "SystemExit", "KeyboardInterrupt", "nothing"])
def test_only_exception_classes_are_made_from_names(name: str) -> None:
    back = decode(packb([MARKS[EXCEPTION], name, "message"]))
    assert type(back) is Exception
    assert str(back) == f"{name}: message"


def test_a_flood_of_record_types_is_refused() -> None:
    flood = packb([[MARKS[RECORD], f"Flood{index}", {"x": 1}] for index in range(100)])
    assert len(decode(flood)) == 100
    with pytest.raises(MalformedValue, match="new types"):
        decode(flood, records="typed")


@pytest.mark.parametrize("items", [[], ["T"], ["T", []], [1, {}], ["T", {1: 2}], ["T", {"a": 1}, 3], ["T", {b"a": 1}]])
def test_misshapen_records_are_malformed(items: list[Any]) -> None:
    for records in ("dict", "typed"):
        with pytest.raises(MalformedValue):
            decode(packb([MARKS[RECORD], *items]), records=records)


@pytest.mark.parametrize("items", [[], ["T"], ["T", 1], [1, "m"], ["T", "m", "x"]])
def test_misshapen_exceptions_are_malformed(items: list[Any]) -> None:
    with pytest.raises(MalformedValue):
        decode(packb([MARKS[EXCEPTION], *items]))
