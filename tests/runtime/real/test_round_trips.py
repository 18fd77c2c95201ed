"""Values from the host into the guest and back, and made in the guest: they arrive as what they were."""

import copy
import math
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from cloche.runtime.errors import UnserializableValue
from cloche.runtime.limits import Limits
from cloche.runtime.result import ValueRepr
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.session import Session

from .functions import Functions


@pytest.fixture(scope="module")
def session() -> Any:
    with Sandbox(tools=Functions(same)).session() as session:
        yield session


def same(value: Any) -> Any:
    return value


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(1 << 300), 1 << 300)
    | st.floats()
    | st.text(max_size=30)
    | st.binary(max_size=30)
    | st.complex_numbers(allow_nan=False)
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.dates()
    | st.times()
    | st.datetimes()
    | st.timedeltas()
    | st.just(timezone(timedelta(hours=-3), "BRT"))
    | st.uuids()
)
keys = st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.binary(max_size=9) | st.dates() | st.uuids()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(keys | st.tuples(keys, keys), inner, max_size=4)
        | st.sets(keys, max_size=4)
        | st.frozensets(keys, max_size=4)
    ),
    max_leaves=12,
)


def shape(value: Any) -> Any:
    """A value with its types, in a form in which nan equals nan and 0.0 is not -0.0."""
    if isinstance(value, (list, tuple)):
        return type(value), [shape(item) for item in value]
    if isinstance(value, dict):
        return dict, [(shape(key), shape(item)) for key, item in value.items()]
    if isinstance(value, (set, frozenset)):
        return type(value), sorted(map(repr, value))
    return type(value), repr(value)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(values)
def test_a_variable_comes_back(session: Session, value: Any) -> None:
    session.set("value", value)
    assert shape(session.get("value")) == shape(value)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(values)
def test_a_value_passes_through_a_tool(session: Session, value: Any) -> None:
    session.set("value", value)
    assert shape(session.run("same(value)").unwrap()) == shape(value)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(values)
def test_guest_and_host_agree_on_the_text_of_a_value(session: Session, value: Any) -> None:
    session.set("value", value)
    # The order of a set is each interpreter's own, and repr() of text goes by its version of Unicode.
    if "{" not in repr(value) and "set" not in repr(value):
        assert session.run("ascii(value)").unwrap() == ascii(value)


MADE_IN_THE_GUEST = {
    "[1, -2, 1 << 200, -(1 << 63), (1 << 64) - 1]": [1, -2, 1 << 200, -(1 << 63), (1 << 64) - 1],
    "(1.5, float('inf'), -0.0)": (1.5, math.inf, -0.0),
    "{'a': {1: {2, 3}}, (1, 2): b'x', None: True}": {"a": {1: {2, 3}}, (1, 2): b"x", None: True},
    "frozenset({(1, frozenset())})": frozenset({(1, frozenset())}),
    "bytearray(b'ab')": bytearray(b"ab"),
    "[(1, bytearray(b'ab'))]": [(1, bytearray(b"ab"))],
    "memoryview(b'ab')": b"ab",
    "3 + 4j": 3 + 4j,
    "__import__('decimal').Decimal('1.10')": Decimal("1.10"),
    "__import__('fractions').Fraction(1, 3)": Fraction(1, 3),
    "__import__('datetime').datetime(2026, 11, 21, 8, tzinfo=__import__('datetime').UTC)": datetime(
        2026, 11, 21, 8, tzinfo=UTC
    ),
    "__import__('datetime').date(2026, 2, 28)": date(2026, 2, 28),
    "__import__('datetime').time(1, 2, 3, 4)": time(1, 2, 3, 4),
    "__import__('datetime').timedelta(days=-1, microseconds=5)": timedelta(days=-1, microseconds=5),
    "__import__('uuid').UUID(int=5)": UUID(int=5),
    "__import__('pathlib').Path('/a/b')": PurePosixPath("/a/b"),
    "__import__('enum').IntEnum('E', {'A': 5}).A": 5,
    "__import__('collections').OrderedDict(b=1, a=2)": OrderedDict(b=1, a=2),
    "__import__('collections').defaultdict(list, a=[1])": defaultdict(list, a=[1]),
    "__import__('collections').Counter('aab')": Counter("aab"),
    "__import__('collections').deque([1, 2], 3)": deque([1, 2], 3),
    "__import__('array').array('l', [1, -2])": array("l", [1, -2]),
    "__import__('zoneinfo').ZoneInfo('Europe/Oslo')": ZoneInfo("Europe/Oslo"),
    "__import__('datetime').timezone.utc": UTC,
    "'\\ud800'": "\ud800",
    "type('S', (str,), {'__str__': lambda s: 'evil'})('plain')": "plain",
    "type('I', (int,), {'__int__': lambda s: 666})(5)": 5,
    "type('D', (dict,), {'items': lambda s: [('evil', 1)]})(a=1)": {"a": 1},
    "type('L', (list,), {'__iter__': lambda s: iter([6])})([1])": [1],
}


@pytest.mark.parametrize("code", MADE_IN_THE_GUEST)
def test_a_value_made_in_the_guest(session: Session, code: str) -> None:
    value = session.run(code).unwrap()
    assert value == MADE_IN_THE_GUEST[code]
    assert type(value) is type(MADE_IN_THE_GUEST[code]) or isinstance(value, PurePosixPath)


@pytest.mark.parametrize(
    ("code", "where"),
    [
        ("{'rows': [1, 2, 3, open]}", "result['rows'][3]"),
        ("[lambda: 1]", "result[0]"),
        ("object()", "result: cannot send a 'object'"),
        ("(i for i in [])", "make it a list first"),
        ("range(3)", "make it a list first"),
        ("__import__('array').array('w', 'x')", "make it a list first"),
        ("__import__('collections').defaultdict(lambda: 0)", "make it a dict first"),
        ("__import__('collections').UserList()", "send its data"),
        ("__import__('enum').Enum('E', {'A': 5}).A", "send its .value or .name"),
        ("import sys; sys", "module"),
        ("x = []; x.append(x); x", "contains itself"),
        ("x = {}; x['a'] = {'b': x}; x", "result['a']['b']"),
        ("type('A', (), {})()", "'A'"),
        ("ValueError", "'type'"),
    ],
)
def test_what_cannot_cross_is_named_with_its_place(session: Session, code: str, where: str) -> None:
    result = session.run(code)
    assert result.error is None
    assert isinstance(result.value, ValueRepr)
    with pytest.raises(UnserializableValue) as refused:
        result.unwrap()
    assert where in refused.value.message
    assert refused.value.message == result.value.reason


def test_records_and_named_tuples_keep_their_names(session: Session) -> None:
    row = session.run("__import__('dataclasses').make_dataclass('D', ['x', 'y'])(1, [2])").unwrap()
    assert (row, row.x, row["y"], repr(row)) == ({"x": 1, "y": [2]}, 1, [2], "D(x=1, y=[2])")
    pair = session.run("__import__('collections').namedtuple('P', 'x y')(1, 2)").unwrap()
    assert (pair, pair.x, pair.y, repr(pair)) == ((1, 2), 1, 2, "P(x=1, y=2)")
    session.set("both", [row, pair])
    assert session.run("[type(each).__name__ for each in both], both[0].y, both[1].y").unwrap() == (["D", "P"], [2], 2)
    group = session.run("ExceptionGroup('all', [ValueError('a'), KeyError('b')])").unwrap()
    assert repr(group) == "ExceptionGroup('all', [ValueError('a'), KeyError('b')])"


REPRS = {
    "import enum; enum.Enum('E', {'A': 5}).A": "<E.A: 5>",
    "import collections; collections.ChainMap({1: 2})": "ChainMap({1: 2})",
    "type('A', (), {'__repr__': lambda s: 'an A'})()": "an A",
    "print": "<built-in function print>",
    "[1, print]": "[1, <built-in function print>]",
    "import re; re.compile('a')": "re.compile('a')",
}


@pytest.mark.parametrize("code", REPRS)
def test_a_last_value_that_cannot_cross_can_be_seen(session: Session, code: str) -> None:
    result = session.run(code)
    assert (result.error, str(result.value)) == (None, REPRS[code])
    assert str(result) == f"value: {REPRS[code]}"
    assert copy.copy(result.value).reason == result.value.reason


def test_the_repr_of_a_value_is_bounded_and_may_fail(session: Session) -> None:
    long = session.run("type('A', (), {'__repr__': lambda s: 'x' * 10**6})()")
    assert long.error is None
    assert len(long.value) <= Limits().message
    broken = session.run("type('A', (), {'__repr__': lambda s: 1 / 0})()")
    assert isinstance(broken.error, UnserializableValue)
    told = session.run("type('A', (), {'__repr__': lambda s: print('here') or 'A'})()")
    assert (str(told.value), told.stdout) == ("A", "here\n")


@dataclass
class Point:
    """A host's dataclass."""

    x: int
    tags: list[str]


class Model(BaseModel):
    """A host's pydantic model."""

    name: str
    when: datetime
    inner: dict[str, Point] = {}


class Colour(Enum):
    """A host's enum."""

    RED = "red"


def test_records_of_the_host_are_objects_in_the_guest(session: Session) -> None:
    session.set("model", Model(name="m", when=datetime(2026, 1, 1, tzinfo=UTC), inner={"p": Point(3, ["a"])}))
    code = "import dataclasses\n(type(model).__name__, model.name, model.when.year, model.inner['p'].x,"
    code += " model.inner['p'].tags,"
    code += " dataclasses.is_dataclass(model), type(model.inner['p']).__name__)"
    assert session.run(code).unwrap() == ("Model", "m", 2026, 3, ["a"], True, "Point")
    assert session.run("model.name = 'n'; model.name").unwrap() == "n"
    back = Model(**session.get("model"))
    assert back.inner == {"p": Point(3, ["a"])}


def test_enums_cross_by_value(session: Session) -> None:
    session.set("colour", Colour.RED)
    assert session.get("colour") == "red"


def test_time_zones_cross_as_offsets(session: Session) -> None:
    moment = datetime(2026, 6, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=30), "IST"))
    session.set("moment", moment)
    assert session.run("(moment.utcoffset().total_seconds(), moment.tzname())").unwrap() == (19_800.0, "IST")
    assert session.get("moment") == moment


def test_ordered_dicts_keep_their_order(session: Session) -> None:
    session.set("ordered", OrderedDict([("z", 1), ("a", 2)]))
    assert list(session.get("ordered")) == ["z", "a"]


def test_exceptions_cross_as_name_and_text(session: Session) -> None:
    session.set("error", LookupError("no such city"))
    assert session.run("(isinstance(error, Exception), str(error))").unwrap() == (True, "no such city")


def test_arrays_cross_whole(session: Session) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(12, dtype="float32").reshape(3, 4)
    session.set("array", array)
    assert numpy.array_equal(numpy.asarray(session.get("array")), array)
