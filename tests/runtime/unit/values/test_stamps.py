"""The search for timestamps: it may see one where there is none, and never the other way round."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgpack import ExtType, packb

from cloche.runtime.values import encode
from cloche.runtime.values.checks import may_hold_timestamp

STAMPS = [
    b"\xd6\xff" + b"\0" * 4,
    b"\xd7\xff" + b"\0" * 8,
    b"\xc7\x0c\xff" + b"\0" * 12,
    b"\xc8\x00\x04\xff" + b"\0" * 4,
    b"\xc9\x00\x00\x00\x08\xff" + b"\0" * 8,
]
contents = st.sampled_from([b"", b"\xff" * 9, b"x" * 5_000, b"\xd6\xff" * 3_000, b"\x04\xff" * 4_000]) | st.binary()
items = st.recursive(
    contents | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.text() | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=20,
)


@given(st.lists(items, max_size=80), st.sampled_from(STAMPS), st.lists(items, max_size=3))
def test_one_is_seen_wherever_it_stands(before: list[Any], stamp: bytes, after: list[Any]) -> None:
    count = len(before) + 1 + len(after)
    data = b"\xdc" + struct.pack(">H", count) + b"".join(map(packb, before)) + stamp + b"".join(map(packb, after))
    assert may_hold_timestamp(data)


@pytest.mark.parametrize("content", [b"\xd6\xff" * 3_000, "\xff" * 9_000, b"\xc7\x0c\xff" * 40_000], ids=len)
def test_long_contents_are_stepped_over(content: Any) -> None:
    assert not may_hold_timestamp(encode([0, "f", [content, 1], {"a": content}]))


def test_content_that_looks_like_one_may_be_taken_for_one() -> None:
    assert may_hold_timestamp(encode(b"\xd6\xff"))
    assert not may_hold_timestamp(encode([255, -1, b"\xff\xff", 1.5]))


def test_many_candidates_and_no_timestamp() -> None:
    assert not may_hold_timestamp(encode([b"\x04\xff" * 1_000] * 9))


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\xc6\xff", b"\xdb\xff\xff\xff\xff", b"\xc1" * 9_000])
def test_what_is_no_message_is_looked_at_whole(data: bytes) -> None:
    assert not may_hold_timestamp(data)
    assert may_hold_timestamp(b"\xc1" + data + STAMPS[0])


def test_other_extensions_are_none() -> None:
    assert not may_hold_timestamp(packb([ExtType(code, b"\xff" * 8) for code in range(20)]))
