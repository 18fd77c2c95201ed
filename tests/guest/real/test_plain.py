"""The C codec of plain values writes what the codec in Python writes, and reads what it reads."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.session import Session

SET_UP = """
import _cloche
from cloche_guest.values import decode, encode
def same(value):
    quick, slow = _cloche.pack(b"", value, b"", None), encode(value)
    read = _cloche.unpack(slow)
    return quick == slow and type(read) is type(value) and encode(read) == slow
def outcome(value):
    return _cloche.pack(b"", value, b"", None), _cloche.unpack(encode(value)) is NotImplemented
"""
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
LEAVES = (
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False) | TEXT | st.binary()
)
PLAIN = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=20) | st.dictionaries(TEXT, inner), max_leaves=40)
EDGES = [
    *(sign * (1 << bits) + step for bits in (5, 7, 8, 15, 16, 31, 32, 62) for sign in (1, -1) for step in (-1, 0, 1)),
    *(-(1 << 63), (1 << 63) - 1, 1 << 63, (1 << 64) - 1),
    *("x" * size for size in (0, 31, 32, 255, 256, 65_535, 65_536)),
    *(b"x" * size for size in (0, 255, 256, 65_535, 65_536, 300_000)),
    *([None] * size for size in (0, 15, 16, 65_535, 65_536)),
    *({str(key): key for key in range(size)} for size in (0, 15, 16, 65_536)),
    ["é", "日本", "\U0001f600", float("inf"), -0.0],
]


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Sandbox().session() as session:
        session.run(SET_UP).unwrap()
        yield session


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(value=PLAIN)
def test_both_codecs_agree(session: Session, value: Any) -> None:
    session.set("value", value)
    assert session.run("same(value)").unwrap() is True


def test_both_codecs_agree_at_every_change_of_width(session: Session) -> None:
    session.set("values", EDGES)
    assert session.run("[i for i, value in enumerate(values) if not same(value)]").unwrap() == []


@pytest.mark.parametrize(
    "value",
    [
        "(1, 2)", "{1, 2}", "{1: 2}", "{'a': (1,)}", "1 << 64", "-(1 << 63) - 1", "[1 + 2j]", "{'a': {None: 1}}",
        "type('S', (str,), {})('x')", "type('L', (list,), {})()", "__import__('decimal').Decimal(1)",
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_the_other_codec(session: Session, value: str) -> None:
    assert session.run(f"_cloche.pack(b'', {value}, b'', None)").unwrap() is None
    back = session.run(f"decode(encode({value})) == ({value})")
    assert back.unwrap() is True


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xc1", b"\xa5abc", b"\x92\x01", b"\x01\x02", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xcb\0",
        b"\xc6\xff\xff\xff\xff", b"\xa2\xff\xfe", b"\x81\x01\x02", b"\xd4\x01\x02", b"\x91" * 500, b"\x81\xa1k" * 500,
    ],
)  # fmt: skip
def test_damaged_bytes_are_no_value(session: Session, data: bytes) -> None:
    assert session.run(f"_cloche.unpack({data!r}) is NotImplemented").unwrap() is True


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_alike_or_left_to_the_other_codec(session: Session, data: bytes) -> None:
    program = (
        f"data = {data!r}\nread = _cloche.unpack(data)\nread is NotImplemented or encode(read) == encode(decode(data))"
    )
    assert session.run(program).unwrap() is True


def test_deep_and_cyclic_values_are_left_to_the_other_codec(session: Session) -> None:
    assert session.run("x = []\nfor _ in range(1000): x = [x]\n_cloche.pack(b'', x, b'', None)").unwrap() is None
    assert session.run("x = []; x.append(x)\n_cloche.pack(b'', x, b'', None)").unwrap() is None


def test_a_cap_counts_the_whole_message(session: Session) -> None:
    assert session.run("_cloche.pack(b'ab', 'xyz', b'c', 7)").unwrap() == b"ab\xa3xyzc"
    assert session.run("_cloche.pack(b'ab', 'xyz', b'c', 6)").unwrap() is None
    assert session.run("_cloche.pack(b'', [b'x' * 1000] * 1000, b'', 1000)").unwrap() is None


@pytest.mark.parametrize(
    "call", ["ask()", "ask(1, 2, 3, 4)", "ask(b'', (), {}, -1)", "pack(b'', 1, b'', -1)", "pack()", "compile(1, 2)"]
)
def test_wrong_use_is_an_ordinary_exception(session: Session, call: str) -> None:
    error = session.run(f"_cloche.{call}").error
    assert getattr(error, "type_name", None) in ("TypeError", "OverflowError")
