"""What goes in comes out, equal and of the same type, in both record modes."""

import math
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloche.runtime.values import decode, encode

MODES = ["dict", "typed"]

_NAMED_ZONES = st.sampled_from(["Europe/Oslo", "America/New_York", "Asia/Kathmandu", "UTC"]).map(ZoneInfo)
_FIXED_ZONES = st.integers(-86_399, 86_399).map(lambda seconds: timezone(timedelta(seconds=seconds)))
ZONES = st.none() | _FIXED_ZONES | _NAMED_ZONES

TEXT = st.text(st.characters(), max_size=20)  # lone surrogates included
PATHS = st.lists(st.from_regex(r"[^/\0.]{1,8}", fullmatch=True), max_size=4).map(lambda parts: PurePosixPath(*parts))

SCALARS: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**300), 10**300)
    | st.floats(allow_nan=False)
    | TEXT
    | st.binary(max_size=20)
    | st.complex_numbers(allow_nan=False)
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.datetimes(timezones=ZONES)
    | st.dates()
    | st.times(timezones=st.none() | _FIXED_ZONES)
    | st.timedeltas()
    | _FIXED_ZONES
    | st.uuids()
    | PATHS
)

KEYS: st.SearchStrategy[Any] = SCALARS | st.tuples(SCALARS, SCALARS) | st.frozensets(st.integers(), max_size=3)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.sets(KEYS, max_size=4)
        | st.frozensets(KEYS, max_size=4)
    )


VALUES: st.SearchStrategy[Any] = st.recursive(SCALARS, _containers, max_leaves=20)


def types_of(value: Any) -> Any:
    """The types all the way down: 1 == True == 1.0, so equality alone proves little."""
    if isinstance(value, dict):
        return [dict, *[(types_of(key), types_of(item)) for key, item in value.items()]]
    if isinstance(value, (list, tuple)):
        return [type(value), *map(types_of, value)]
    return [type(value), *sorted(map(str, map(type, value)))] if isinstance(value, (set, frozenset)) else type(value)


@pytest.mark.parametrize("records", MODES)
@given(value=VALUES)
@settings(max_examples=300, deadline=None)
def test_values_round_trip(records: Any, value: Any) -> None:
    back = decode(encode(value), records=records)
    assert back == value
    assert types_of(back) == types_of(value)


@given(value=VALUES)
@settings(deadline=None)
def test_encoding_twice_gives_the_same_bytes_and_leaves_the_value_alone(value: Any) -> None:
    before = repr(value)
    assert encode(value) == encode(value)
    assert repr(value) == before


@given(st.integers(-(2**70), 2**70))
def test_ints_around_64_bits(value: int) -> None:
    assert decode(encode(value)) == value


@pytest.mark.parametrize(
    "value",
    [2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 2**100_000, -(3**5_000), math.factorial(3000)],
    ids=int.bit_length,
)
def test_int_of_any_size(value: int) -> None:
    assert decode(encode(value)) == value


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "-0.0", "5e-324"])
def test_unusual_floats(text: str) -> None:
    back = decode(encode(float(text)))
    assert repr(back) == repr(float(text))


@pytest.mark.parametrize("text", ["NaN", "-NaN123", "Infinity", "-0", "1E+999999", "1E-999999", "0.10", "9" * 20_000])
def test_unusual_decimals(text: str) -> None:
    back = decode(encode(Decimal(text)))
    assert str(back) == str(Decimal(text))


@pytest.mark.parametrize("value", ["\ud800", "a\udfffb", ["\udc80", {"\ud8ff": "x"}], "\U0001f600"])
def test_lone_surrogates(value: Any) -> None:
    assert decode(encode(value)) == value


def test_a_datetime_keeps_fold_offset_and_zone_key() -> None:
    for fold in (0, 1):
        before = datetime(2025, 10, 26, 2, 30, tzinfo=ZoneInfo("Europe/Oslo"), fold=fold)
        after = decode(encode(before))
        assert (after.fold, after.utcoffset(), after.tzinfo) == (fold, before.utcoffset(), ZoneInfo("Europe/Oslo"))


def test_a_fixed_zone_keeps_its_name() -> None:
    zone = timezone(timedelta(hours=-3), "BRT")
    assert decode(encode(datetime(2026, 1, 1, tzinfo=zone))).tzname() == "BRT"
    assert decode(encode(datetime(2026, 1, 1, tzinfo=UTC))).tzinfo is UTC


def test_a_zone_the_receiver_lacks_keeps_the_instant(monkeypatch: pytest.MonkeyPatch) -> None:
    before = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Oslo"))
    data = encode(before).replace(b"Europe/Oslo", b"Europe/Osl0")
    after = decode(data)
    assert after == before
    assert after.tzname() == "Europe/Osl0"


def test_a_bare_time_in_a_named_zone() -> None:
    assert decode(encode(time(12, tzinfo=ZoneInfo("Europe/Oslo")))) == time(12, tzinfo=ZoneInfo("Europe/Oslo"))


def test_fraction_with_large_parts() -> None:
    value = Fraction(3**9_000, 2**16_000)
    assert decode(encode(value)) == value


@pytest.mark.parametrize("view", [memoryview(b"abc"), memoryview(bytearray(b"abc"))])
def test_a_view_arrives_as_the_bytes_it_shows(view: Any) -> None:
    assert type(decode(encode([view]))[0]) is bytes
    assert decode(encode(view)) == b"abc"


def test_decode_takes_a_memoryview() -> None:
    assert decode(memoryview(bytearray(encode([1, (2,)])))) == [1, (2,)]


def test_tuple_keys_of_a_large_grid() -> None:
    grid = {(x, y): x * y for x in range(-60, 60) for y in range(-60, 60)}
    assert decode(encode(grid)) == grid


def test_nested_to_the_cap() -> None:
    value: Any = 0
    for _ in range(200):
        value = (value,)
    assert decode(encode(value)) == value
