"""Containers of the standard library beside the built-in ones: each comes out as what went in, or is refused."""

import copy
from array import array
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from enum import Enum, Flag, IntEnum
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgpack import ExtType, packb

from cloche.runtime.values import MalformedValue, UnserializableError, decode, encode, reduce, times
from cloche.runtime.values.codes import DEQUE, MAPPING, MARKS, NAMED_TUPLE, TYPED_ARRAY

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
LEAVES = (
    PLAIN
    | st.binary(max_size=9).map(bytearray)
    | st.lists(st.integers(-(2**31), 2**31 - 1)).map(lambda items: array("l", items))
)
TYPED = {"b": 7, "B": 8, "h": 15, "H": 16, "i": 31, "I": 32, "q": 63, "Q": 64}

Named = namedtuple("Named", "first second")


class Point(NamedTuple):
    x: Any
    y: Any = 0


class Color(Enum):
    RED = 1


class Bits(Flag):
    A = 1


class Level(IntEnum):
    LOW = 3


@dataclass
class Row:
    cells: Any


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists, dicts = st.lists(inner, max_size=4), st.dictionaries(PLAIN, inner, max_size=4)
    return (
        lists
        | dicts
        | lists.map(tuple)
        | lists.map(deque)
        | lists.map(lambda items: deque(items, 7))
        | dicts.map(OrderedDict)
        | dicts.map(Counter)
        | dicts.map(lambda items: defaultdict(None, items))
        | dicts.map(lambda items: defaultdict(list, items))
        | st.tuples(inner, inner).map(lambda pair: Named(*pair))
    )


VALUES = st.recursive(LEAVES, _containers, max_leaves=15)


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        made_by = value.default_factory if isinstance(value, defaultdict) else None
        return type(value), made_by, [(shape(key), shape(item)) for key, item in value.items()]
    if isinstance(value, deque):
        return deque, value.maxlen, list(map(shape, value))
    if isinstance(value, tuple):
        return getattr(value, "_fields", tuple), list(map(shape, value))
    return (list, list(map(shape, value))) if isinstance(value, list) else (type(value), value)


@pytest.mark.parametrize("records", ["dict", "typed"])
@given(value=VALUES)
@settings(max_examples=300, deadline=None)
def test_containers_round_trip(records: Any, value: Any) -> None:
    before = repr(value)
    assert shape(decode(encode(value), records=records)) == shape(value)
    assert repr(value) == before


@pytest.mark.parametrize("code", TYPED)
def test_typed_arrays_of_whole_numbers(code: str) -> None:
    top = 2 ** TYPED[code]
    value = array(code, [0, top - 1, -top if code.islower() else 1])
    back = decode(encode([value]))[0]
    assert (back.typecode, back) == (code, value)


@pytest.mark.parametrize("code", "fd")
def test_typed_arrays_of_floats(code: str) -> None:
    value = array(code, [0.5, -1.5, float("inf")])
    assert decode(encode(value)) == value


def test_an_array_of_longs_of_another_size() -> None:
    small = decode(packb(ExtType(TYPED_ARRAY, b"l\x04" + b"\xff" * 4 + b"\2\0\0\0")))
    assert (small.typecode, list(small)) == ("l", [-1, 2])
    assert decode(encode(array("L", [2**40]))) == array("Q", [2**40])


def test_an_ordered_dict_keeps_its_own_order() -> None:
    value = OrderedDict(a=1, b=2)
    value.move_to_end("a")
    assert list(decode(encode(value))) == ["b", "a"]


def test_a_defaultdict_whose_factory_is_a_function_is_refused() -> None:
    with pytest.raises(UnserializableError, match=r"^out\['n'\]: cannot send a 'defaultdict' whose .*: make it a dict"):
        encode({"n": defaultdict(lambda: 0)}, where="out")


def test_a_bytearray_is_found_wherever_it_stands() -> None:
    deep: Any = bytearray(b"x")
    for _ in range(50):
        deep = [0, (1, {"k": deep})]
    for value in (
        bytearray(b"x"), [bytearray(b"x")], (1, [bytearray()]), {"a": [[[[[bytearray(b"y")]]]]]}, deep,
        [0] * 100_000 + [bytearray(b"z")], deque([bytearray(b"x")]), Point(bytearray(b"x"), [bytearray()]),
        OrderedDict(a=[bytearray(b"x")]), ([(bytearray(b"x"),)],),
    ):  # fmt: skip
        assert repr(decode(encode(value))) == repr(value)
    large = [bytearray(b"x"), [bytearray(b"y")] * 20_000, {"k": bytearray(b"z")}]
    assert encode(large, look=int) == encode(large)
    assert repr(decode(encode(large, look=int))) == repr(large)
    assert type(decode(encode(Row((1, [bytearray(b"x")])))).cells[1][0]) is bytearray


@pytest.mark.parametrize("value", [{Point(1, 2): "a"}, {Point(1)}, frozenset([Named(1, "x")])])
def test_a_named_tuple_may_be_a_key(value: Any) -> None:
    assert decode(encode(value)) == value


class _Key(deque[Any]):
    __hash__ = object.__hash__  # type: ignore[assignment]


def test_a_deque_is_no_key() -> None:
    with pytest.raises(UnserializableError, match="cannot be a dict key or set member"):
        encode({_Key(): 1})


def test_a_named_tuple_of_the_other_side() -> None:
    back = decode(encode([Point(1, [2])]))[0]
    assert (back, back.x, back.y, back._fields) == ((1, [2]), 1, [2], ("x", "y"))
    assert repr(back) == "Point(x=1, y=[2])"
    assert back._asdict() == {"x": 1, "y": [2]}
    assert back._replace(x=5) == (5, [2])
    assert type(decode(encode(Point(3)))) is type(back)
    for again in (decode(encode(back)), copy.copy(back), copy.deepcopy(back)):
        assert (type(again), again) == (type(back), back)
    assert type(back).__match_args__ == ("x", "y")
    with pytest.raises(TypeError, match="no fields of that name: z"):
        back._replace(z=1)


def test_a_tuple_whose_fields_are_none_is_a_tuple() -> None:
    for fields in (("x",), ("x", 3), ("a b", "c"), ("x", "class"), ("x", "__class__"), "xy"):
        odd: Any = type("Odd", (tuple,), {"_fields": fields})
        assert type(decode(encode(odd((1, 2))))) is tuple
    Renamed: Any = namedtuple("Renamed", "x class", rename=True)
    assert decode(encode(Renamed(1, 2)))._fields == ("x", "_1")


@pytest.mark.parametrize(
    "items",
    [
        [], ["P"], ["P", "x"], ["P", "x", 1, 2], ["P", "x y", 1], ["P", "", 1], ["P", "x x", 1, 2], ["P", "_x", 1],
        ["P", "__class__", 1], ["P", "class", 1], ["P", "x=1):\n raise#", 1], [1, "x", 1], ["P", ["x"], 1],
        ["P\0", "x", 1], ["P" * 201, "x", 1], ["P", " ".join(f"f{n}" for n in range(201)), *range(201)],
    ],
    ids=str,
)  # fmt: skip
def test_misshapen_named_tuples_are_malformed(items: list[Any]) -> None:
    with pytest.raises(MalformedValue):
        decode(packb([MARKS[NAMED_TUPLE], *items]))


@pytest.mark.parametrize(
    "items", [[], ["Counter"], ["Counter", []], ["dict", {}], [1, {}], ["defaultdict eval", {}], ["Counter", {}, 1],
              ["defaultdict list", [MARKS[MAPPING], "Counter", {}]], [["Counter"], {}]]
)  # fmt: skip
def test_misshapen_mappings_are_malformed(items: list[Any]) -> None:
    with pytest.raises(MalformedValue):
        decode(packb([MARKS[MAPPING], *items]))


@pytest.mark.parametrize("items", [[], [-1], [1, 1, 2], [True], ["3"], [1.0], [2**63], [[]]])
def test_misshapen_deques_are_malformed(items: list[Any]) -> None:
    with pytest.raises(MalformedValue):
        decode(packb([MARKS[DEQUE], *items]))


def test_a_flood_of_named_tuples_types_is_refused() -> None:
    flood = packb([[MARKS[NAMED_TUPLE], f"Flood{index}", "x", 1] for index in range(100)])
    with pytest.raises(MalformedValue, match="new types"):
        decode(flood)


def test_a_zone_alone() -> None:
    assert decode(encode(ZoneInfo("Europe/Oslo"))) is ZoneInfo("Europe/Oslo")


def test_a_zone_that_the_receiver_has_no_data_for_goes_back_as_it_came() -> None:
    data = encode(ZoneInfo("Europe/Oslo")).replace(b"Europe/Oslo", b"Europe/Osl0")
    zone = decode(data)
    assert (type(zone), str(zone), encode(zone)) == (times.UnknownZone, "Europe/Osl0", data)
    with pytest.raises(LookupError, match="no data for the time zone 'Europe/Osl0'"):
        zone.utcoffset(None)


def test_an_enum_of_a_program_is_refused_in_the_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert decode(encode(Color.RED)) == 1
    monkeypatch.setattr(reduce, "IN_GUEST", True)
    for member in (Color.RED, Bits.A):
        with pytest.raises(UnserializableError, match=r"a member of an enum: send its \.value or \.name"):
            encode([member])
    assert decode(encode(Level.LOW)) == 3
