"""Bytes that no honest sender writes: each ends in MalformedValue, soon, and in little memory."""

import contextlib
import struct
import tracemalloc
from datetime import datetime, time
from fractions import Fraction
from functools import partial
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgpack import ExtType, packb

from cloche.runtime.values import MalformedValue, UnserializableError, ValueTooLarge, codes, decode, encode
from cloche.runtime.values.checks import count_items, has_few_items
from cloche.runtime.values.codes import MARKS, MAX_DEPTH
from cloche.runtime.values.cost import (
    TooCostly,
    _holds_sets,  # pyright: ignore[reportPrivateUsage]
    cost_of,
)

M61 = 2**61 - 1
"""CPython's hash of a number is its value modulo this prime."""


def ext(code: int, data: bytes) -> bytes:
    return packb(ExtType(code, data))


def big(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def refused(data: bytes, **options: Any) -> None:
    for records in ("dict", "typed"):
        with pytest.raises(MalformedValue) as caught:
            decode(data, records=records, **options)
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x92\x01",
        b"\x01\x02",
        b"\xa5abc",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\xdd\x7f\xff\xff\xff" * 50,
        b"\xdd\x00\x00\x27\x10" * 2_000,
        b"\xa2\xff\xfe",
        b"\xa2\xc0\x80",
        b"\x81\x90\x01",
        b"\x81\x80\x01",
        b"\x91" * 100_000,
        b"\x91" * 100_000 + b"\x00",
        b"\x81\x00" * 100_000,
    ],
    ids=lambda data: f"{data[:6].hex()}-{len(data)}",
)
def test_broken_frames(data: bytes) -> None:
    refused(data)


@pytest.mark.parametrize("junk", [3, "text", None, [1], 10**9, b"x" * 3 + b""])
def test_what_is_not_bytes_at_all(junk: Any) -> None:
    refused(junk)


@pytest.mark.parametrize("code", [0, 31, 41, 127, *range(16, 32)])
def test_unknown_extensions(code: int) -> None:
    refused(ext(code, b"x"))
    refused(packb([{"a": ExtType(code, b"")}]))


@pytest.mark.parametrize("code", [-2, -128])
def test_negative_extensions(code: int) -> None:
    refused(b"\xd4" + struct.pack("b", code) + b"x")


@pytest.mark.parametrize(
    "stamp",
    [
        b"\xd6\xff" + b"\0" * 4,
        b"\xd7\xff" + b"\0" * 8,
        b"\xc7\x0c\xff" + b"\0" * 12,
        b"\xc7\x04\xff" + b"\0" * 4,
        b"\xc8\x00\x08\xff" + b"\0" * 8,
        b"\xc9\x00\x00\x00\x0c\xff" + b"\0" * 12,
        b"\xd6\xff" + b"\xff" * 4,
    ],
)
def test_timestamps(stamp: bytes) -> None:
    for frame in (stamp, b"\x92\x01" + stamp, b"\x81" + stamp + b"\x01", b"\x81\x01" + stamp, b"\x91\x91" + stamp):
        refused(frame)
    assert decode(encode(stamp)) == stamp  # the same bytes as a value's own are no timestamp


@pytest.mark.parametrize("mark", sorted(MARKS))
def test_marks_where_no_mark_belongs(mark: int) -> None:
    lone = MARKS[mark]
    for value in (lone, [1, lone], {"a": lone}, {lone: 1}, [MARKS[codes.TUPLE], lone], [[MARKS[codes.SET], 1], lone]):
        refused(packb(value))
    refused(packb([ExtType(mark, b"x"), 1]))


@pytest.mark.parametrize(
    "items",
    [
        [MARKS[codes.SET], 1, 1],
        [MARKS[codes.SET], []],
        [MARKS[codes.SET], [MARKS[codes.SET]]],
        [MARKS[codes.FROZENSET], {}],
        [{(1): 1}, MARKS[codes.SET]],
    ],
)
def test_sets_that_are_none(items: Any) -> None:
    refused(packb(items))


def test_repeated_keys() -> None:
    tuple_key = packb([MARKS[codes.TUPLE], 1])
    refused(b"\x82" + tuple_key + b"\x01" + tuple_key + b"\x02")
    refused(b"\x92\x82\xa1a\x01\xa1a\x02" + packb([MARKS[codes.TUPLE]]))
    assert decode(b"\x82\xa1a\x01\xa1a\x02") == {"a": 2}  # documented: among plain values the last one counts


BROKEN_ZONES = [
    *(b"?", b"f", b"f" + b"\x7f" * 8, b"k", b"k..", b"z" + b"\0" * 8),
    *(b"z" + b"\0" * 8 + name for name in (b"../../etc/passwd", b"/etc/hostname")),
    *(b"f" + b"\0" * 8 + name for name in (b"n" * 65, b"\xff")),
]

LEAVES = {
    codes.INT: [b"", b"\x01" * (codes.MAX_INT_BYTES + 1)],
    codes.DECIMAL: [b"", b"x", b"1E", b"sNaN", b"1E+1000000", b"1E+999999999", b"1E-999999999999999999", b"\xff",
                    b"1E+99999999999999999999", b"9" * 20_001, b"0E+999999999"],
    codes.FRACTION: [b"", b"\0", b"\0\1\1", b"\0\1\1\0", b"\0\1\1\xff", b"\xff\xff\1", b"\0\0\1",
                     b"\x08\x01" + b"\1" * 3_000, struct.pack(">H", 2048) + b"\1" * 2049 + b"\1" * 2048],
    codes.COMPLEX: [b"", b"\0" * 15, b"\0" * 17],
    codes.DATETIME: [b"", b"\0" * 12, struct.pack(">HBBBBBIB", 2026, 1, 1, 0, 0, 0, 0, 2),
                     struct.pack(">HBBBBBIB", 2026, 13, 1, 0, 0, 0, 0, 0),
                     *[struct.pack(">HBBBBBIB", 2026, 1, 1, 0, 0, 0, 0, 0) + zone for zone in BROKEN_ZONES]],
    codes.DATE: [b"", b"\0\0\1\1", b"\x07\xea\2\x1e"],
    codes.TIME: [b"", b"\x18" + b"\0" * 7],
    codes.TIMEDELTA: [b"", b"\x7f" * 12],
    codes.UUID: [b"", b"\0" * 15, b"\0" * 17],
    codes.PATH: [b"\xff", b"a" * 65_537],
    codes.ZONE: [b"", *BROKEN_ZONES, b"z" + b"\0" * 8 + b"Europe/Oslo", b"k../etc/passwd", b"k\xff",
                 b"f" + b"\x7f" * 9],
    codes.TYPED_ARRAY: [b"", b"i", b"u\4", b"w\4" + b"\0" * 4, b"\xff\1", b"i\4\0", b"i\2\0\0", b"l\2\0\0", b"d\0"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "data"), [(code, data) for code, all_ in LEAVES.items() for data in all_], ids=lambda v: str(v)[:30]
)
def test_broken_leaves(code: int, data: bytes) -> None:
    refused(ext(code, data))


def test_extensions_in_extensions_are_only_bytes() -> None:
    data = b"\0"
    for _ in range(200):
        data = ext(codes.TUPLE, data)
    refused(data)


@pytest.mark.parametrize("head", [b"\x91", b"\x92" + packb(MARKS[codes.TUPLE]), b"\x81\xa1k"])
def test_the_depth_cap_is_exact(head: bytes) -> None:
    decode(head * MAX_DEPTH + b"\x00")
    refused(head * (MAX_DEPTH + 1) + b"\x00")
    refused(b"\x92" + packb("x" * 10_000) + head * MAX_DEPTH + b"\x00")


COLLIDING: dict[str, list[Any]] = {
    "ints": [ExtType(codes.INT, big(k * M61)) for k in range(2**3, 20_000)],
    "uuids": [ExtType(codes.UUID, (k * M61).to_bytes(16, "big")) for k in range(20_000)],
    "tuples": [[MARKS[codes.TUPLE], *[-1 - (k >> bit & 1) for bit in range(14)]] for k in range(2**14)],
    "complex": [ExtType(codes.COMPLEX, struct.pack(">dd", 10.0**14 - 1_000_003.0 * k, k)) for k in range(20_000)],
    "fractions": [
        ExtType(codes.FRACTION, struct.pack(">H", len(big(k * M61))) + big(k * M61) + b"\1") for k in range(1, 20_000)
    ],
    "decimals": [ExtType(codes.DECIMAL, str(k * M61).encode()) for k in range(1, 20_000)],
    "numpy": [[MARKS[codes.FROZENSET], ExtType(codes.INT, big(k * M61))] for k in range(1, 20_000)],
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(COLLIDING))
def test_keys_made_to_collide(kind: str) -> None:
    keys = COLLIDING[kind]
    as_map = b"\xdf" + struct.pack(">I", len(keys)) + b"".join(packb(key) + b"\0" for key in keys)
    refused(as_map)
    refused(packb([MARKS[codes.SET], *keys]))
    refused(packb([MARKS[codes.FROZENSET], *keys]))


def test_fractions_whose_numbers_collide_are_refused_wherever_they_stand() -> None:
    """From Python 3.12 on, hashing these by and by fills a table of the whole process with one hash."""
    colliding = [ext(codes.FRACTION, struct.pack(">H", len(big(k * M61))) + big(k * M61) + b"\1") for k in range(1, 20)]
    refused(b"\xdc" + struct.pack(">H", len(colliding)) + b"".join(colliding))
    honest = [Fraction(top, bottom) for top in (-2, -1, 1, 2) for bottom in range(1, 2_000, 2)] * 2
    assert decode(encode(honest)) == honest
    assert decode(encode(set(honest))) == set(honest)


def test_a_budget_is_kept() -> None:
    flood = b"\xdd" + struct.pack(">I", 3 << 20) + b"\x80" * (3 << 20)
    with pytest.raises(MalformedValue, match="more than the receiver allows"):
        decode(flood, budget=64 << 20)
    assert (
        len(decode(flood[:5].replace(struct.pack(">I", 3 << 20), struct.pack(">I", 1_000)) + b"\x80" * 1_000)) == 1_000
    )


PATTERNS = {
    "empty lists": (b"\x90", 1),
    "empty dicts": (b"\x80", 1),
    "small dicts": (b"\x81\x00\x00", 1),
    "nested dicts": (b"\x81\x00" * 190 + b"\x80", 1),
    "short text": (b"\xa2\xc3\xbf", 1),
    "wide text": (b"\xa5\xf0\x9f\x98\x80a", 1),
    "floats": (b"\xcb\x3f\xf1\x11\x11\x11\x11\x11\x11", 1),
    "ints": (b"\xcd\x7f\xff", 1),
    "negative": (b"\xe0", 1),
    "big ints": (ext(codes.INT, b"\x7f"), 1),
    "decimals": (ext(codes.DECIMAL, b"1"), 1),
    "fractions": (ext(codes.FRACTION, b"\0\1\1\1"), 1),
    "paths": (ext(codes.PATH, b""), 1),
    "long paths": (ext(codes.PATH, b"/".join(b"%x" % n for n in range(4000))), 1),
    "tuples": (packb([MARKS[codes.TUPLE]]), 1),
    "sets": (packb([MARKS[codes.SET]]), 1),
    "nested sets": ((b"\x92" + packb(MARKS[codes.FROZENSET])) * 190 + b"\x00", 1),
    "full sets": (packb([MARKS[codes.SET], *range(128)]), 1),
    "full dicts": (packb(dict.fromkeys(range(86), 0)), 1),
    "records": (packb([MARKS[codes.RECORD], "", {}]), 1),
    "exceptions": (packb([MARKS[codes.EXCEPTION], "", ""]), 1),
    "times": (encode(time(1)), 1),
    "named tuples": (packb([MARKS[codes.NAMED_TUPLE], "P", "x", 1]), 1),
    "empty deques": (packb([MARKS[codes.DEQUE], None]), 1),
    "full deques": (packb([MARKS[codes.DEQUE], None, *[None] * 65]), 1),
    "counters": (packb([MARKS[codes.MAPPING], "Counter", {}]), 1),
    "ordered dicts": (packb([MARKS[codes.MAPPING], "OrderedDict", {}]), 1),
    "full ordered dicts": (packb([MARKS[codes.MAPPING], "OrderedDict", dict.fromkeys(range(86), 0)]), 1),
    "defaultdicts": (packb([MARKS[codes.MAPPING], "defaultdict list", {0: 0}]), 1),
    "groups": (packb([MARKS[codes.GROUP], "", "", [MARKS[codes.EXCEPTION], "", ""]]), 1),
    "bytearrays": (ext(codes.BYTEARRAY, b""), 1),
    "long bytearrays": (ext(codes.BYTEARRAY, b"x" * 20_000), 1),
    "typed arrays": (ext(codes.TYPED_ARRAY, b"l\x04" + b"\0" * 4), 1),
    "long typed arrays": (ext(codes.TYPED_ARRAY, b"l\x04" + b"\0" * 40_000), 1),
    "zones": (ext(codes.ZONE, b"kUTC"), 1),
    "unknown zones": (ext(codes.ZONE, b"kNowhere/At_all"), 1),
    "arrays": (ext(codes.ARRAY, struct.pack("<BB2Q", 2, 2, 64, 1) + b"\xff" * 64), 1),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_no_message_takes_more_memory_than_the_bounds_say(name: str) -> None:
    unit, _ = PATTERNS[name]
    count = 200_000 // len(unit)
    data = b"\xdd" + struct.pack(">I", count) + unit * count
    modes: list[Any] = ["dict", "typed"]
    used = max(peak_of(partial(decode, data, records=records, budget=1 << 40)) for records in modes)
    if name == "arrays":  # these have a budget of their own
        refused(data, budget=used)
        return
    assert cost_of(data, 1 << 40, int) >= used * 3 // 4
    with pytest.raises(TooCostly) as caught:
        cost_of(data, used // 2, int)
    assert caught.value.room == used // 2 < caught.value.cost


def test_a_cost_is_not_far_off() -> None:
    """What honest programs send is not refused for memory that it does not take."""
    for value in (
        {f"key{index}": index for index in range(20_000)},
        [{"id": index, "name": f"name {index}", "score": index * 1.5} for index in range(5_000)],
        [[index * 1.5] * 20 for index in range(2_000)],
        ["x" * 300] * 1_000,
        "x" * 1_000_000,
        b"\xff" * 1_000_000,
        [list(range(100)) for _ in range(1_000)],
    ):
        data = encode(value)
        room = 3 * peak_of(lambda data=data: decode(data))
        assert cost_of(data, room, int) <= room


def test_the_work_on_a_message_can_be_ended_between_its_pieces() -> None:
    class Over(BaseException):
        pass

    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 10:
            raise Over

    data = b"\xdd" + struct.pack(">I", 100_000) + b"\xc4\0" * 100_000
    for work in (lambda: cost_of(data, 3 << 20, look), lambda: decode(data, look=look)):
        looks = 0
        with pytest.raises(Over):
            work()


def test_a_message_in_pieces_is_read_like_a_whole_one() -> None:
    value = [{"a": (index, "ж" * 20, b"z" * 300), 7: {1.5, None}} for index in range(500)]
    data = encode(value)
    assert decode(data, look=int) == decode(data) == value
    for broken in (data[:-1], data + b"\0", data[:5_000], b"\xc1" + data):
        with pytest.raises(MalformedValue):
            decode(broken, look=int)
        with pytest.raises(MalformedValue):
            cost_of(broken, 1 << 40, int)


LONG: list[Any] = [
    list(range(70_000)),
    {index: str(index) for index in range(20_000)},
    [[1] * 20_000, {"a": {"b": [None] * 9_000, (1, 2): 5}}, 7],
    [[index] * 10 for index in range(3_000)],
    [[[index, {index: (index,)}] for index in range(1_000)] for _ in range(12)],
    {str(index): [index, "ж", b"z"] * 3 for index in range(3_000)},
    [*range(9_990), *({1.5, PurePosixPath("/a"), 2**70} for _ in range(9))],
    [1.5, "x" * 100_000, ["\ud800"] * 9_000],
]


@pytest.mark.parametrize("value", LONG, ids=range(len(LONG)))
def test_a_long_value_is_written_in_pieces_as_in_one(value: Any) -> None:
    looks: list[int] = []
    assert encode(value, look=lambda: looks.append(1)) == encode(value)
    assert looks


def test_what_cannot_be_written_is_found_in_pieces_too() -> None:
    endless: list[Any] = [0] * 10_000
    endless.append(endless)
    deep: list[Any] = [0] * 10_000
    for _ in range(MAX_DEPTH):
        deep = [deep]
    for value in (endless, deep, [0] * 10_000 + [object()]):
        messages: list[str] = []
        for look in (None, int):
            with pytest.raises(UnserializableError) as caught:
                encode(value, look=look)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
    for look in (None, int):
        with pytest.raises(ValueTooLarge):
            encode([[1] * 3_000] * 10, limit=20_000, look=look)


@pytest.mark.parametrize(
    "tail", [b"\xc9", b"\xc7\0", b"\xd6", b"\xdf\0\0", b"\xc7", b"\xd9", b"\xc9\0\0\0\0", b"\xca\0"]
)
def test_a_short_message_that_is_cut_off(tail: bytes) -> None:
    for start in (b"\xc7\0\x05" * 25, b"\x81\x01" * 40, b"\xc7\x02\x0b\x01\xff" * 20):
        data = start + tail
        assert 64 < len(data) <= MAX_DEPTH
        with contextlib.suppress(MalformedValue):
            cost_of(data, 1 << 30, int)
        with pytest.raises(MalformedValue):
            decode(data)


def test_items_are_counted_on_all_levels() -> None:
    assert count_items([[[1]] * 30_000, {1: (2, {3})}], 1 << 30)[0] == 2 + 30_000 * 2 + 1 + 2 + 1
    assert has_few_items([[1] * 4] * 4, 20)
    assert not has_few_items([[1] * 4] * 4, 19)
    assert not has_few_items([[[0] * 100_000]], 50_000)


def test_a_mark_of_a_set_is_found_on_the_line_between_two_blocks() -> None:
    marks = (b"\xc7\0\x21", b"\xc8\0\0\x22", b"\xc9\0\0\0\0\x21")
    for mark in marks:
        for start in range((1 << 17) - len(mark), (1 << 17) + 1):
            data = b"\x01" * start + mark + b"\x01" * 300_000
            assert _holds_sets(data, int)
    assert not _holds_sets(b"\x01" * 300_000, int)


def test_lengths_that_waste_bytes_are_few() -> None:
    for head in (b"\xda\0\0", b"\xc5\0\0", b"\xc8\0\0\x20", b"\xde\0\0", b"\xdb\0\0\0\0"):
        with pytest.raises(MalformedValue, match="more bytes than they need"):
            cost_of(b"\xdd" + struct.pack(">I", 50_000) + head * 50_000, 1 << 20, int)


def peak_of(action: Any) -> int:
    action()
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@settings(max_examples=1_500, deadline=None)
@given(data=st.binary(max_size=200))
@example(data=b"\xc7\x00\x20")
def test_random_bytes(data: bytes) -> None:
    decodes_or_is_malformed(data)


SAMPLE = encode(
    [
        (1, "text", b"bytes", -5, 2**70, 1.5, None, True),
        {"k": {1, 2}, (1, 2): frozenset([3]), 4: 1j},
        [ExtType(codes.DECIMAL, b"1.5"), ValueError("x"), datetime(2026, 1, 1)],
        UUID(int=5),
        PurePosixPath("/a"),
        Fraction(1, 3),
    ]
)


@settings(max_examples=3_000, deadline=None)
@given(edits=st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.binary(max_size=3), st.integers(0, 3)), max_size=6))
def test_mutated_frames(edits: list[tuple[int, bytes, int]]) -> None:
    data = SAMPLE
    for at, insert, removed in edits:
        data = data[:at] + insert + data[at + removed :]
    decodes_or_is_malformed(data)


def decodes_or_is_malformed(data: bytes) -> None:
    for records in ("dict", "typed"):
        try:
            value = decode(data, records=records)
        except MalformedValue:
            continue
        assert "Mark" not in repr(value) or b"Mark" in data
        encode(value)  # what was let in is a value
