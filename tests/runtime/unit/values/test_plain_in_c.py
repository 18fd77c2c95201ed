"""Plain values in C: whatever they read or write, the codec in Python reads and writes the same."""

import math
import random
import struct
from typing import Any

import pytest

from cloche.runtime.values import MalformedValue, ValueCodecError, decode, encode
from cloche.runtime.wasm import native

host: Any = native.host
pytestmark = pytest.mark.skipif(host is None, reason="there is no extension here")

CASES = 100_000
_EDGES = [2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1]
NUMBERS = [0, 1, 31, 32, 33, 127, 128, 255, 256, 32767, 32768, 65535, 65536, *_EDGES]
SIZES = [0, 1, 15, 16, 17, 31, 32, 33, 255, 256, 300]


def same(left: Any, right: Any) -> bool:
    """Return whether two values are the same in every part: 1 is not True, and a nan is a nan."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return struct.pack("<d", left) == struct.pack("<d", right)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


def a_number(chance: random.Random) -> int:
    number = chance.choice(NUMBERS) + chance.choice([-1, 0, 0, 1])
    return number if chance.random() < 0.5 else -number


def a_text(chance: random.Random) -> str:
    size = chance.choice(SIZES)
    return chance.choice(["x" * size, "ä" * (size // 2), "😀" * (size // 4), "\0" * size, "\ud800"])


def a_value(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.randrange(9 if depth < 4 else 6)
    if kind == 0:
        return chance.choice([None, True, False])
    if kind == 1:
        return a_number(chance)
    if kind == 2:
        return chance.choice([0.0, -0.0, 1.5, math.inf, -math.inf, math.nan, 1e300, 5e-324])
    if kind in (3, 4):
        return a_text(chance)
    if kind == 5:
        return bytes(chance.randrange(256) for _ in range(chance.choice(SIZES)))
    few = range(chance.choice([0, 1, 2, 3, 15, 16] if depth < 2 else [0, 1, 2]))
    if kind == 6:
        return {a_text(chance): a_value(chance, depth + 1) for _ in few}
    return [a_value(chance, depth + 1) for _ in few]


def other_values(chance: random.Random) -> Any:
    """Return a value that is not a plain one, or holds one."""
    other = chance.choice([1 << 64, -(1 << 63) - 1, (1,), {1}, {1: 2}, 1j, bytearray(b"x"), Text("t"), Count(1)])
    return chance.choice([other, [other], {"k": other}, [[{"k": other}]]])


class Text(str):
    """Not exactly text."""


class Count(int):
    """Not exactly a number."""


def mutated(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randrange(4)):
        what, at = chance.randrange(4), chance.randrange(len(changed) + 1)
        if what == 0:
            del changed[at : at + chance.randrange(1, 4)]
        elif what == 1:
            changed[at:at] = bytes([chance.randrange(256)])
        elif what == 2:
            changed = changed[:at]
        elif at < len(changed):
            changed[at] = chance.choice([0x80, 0x90, 0xC1, 0xC7, 0xD4, 0xD9, 0xDD, 0xDF, 0xFF, chance.randrange(256)])
    return bytes(changed)


def check_reading(data: bytes) -> bool:
    """Check what C reads of any bytes, and return whether it has read them."""
    found = host.read(data)
    if found is None:
        return False
    try:
        assert same(found[0], decode(data)), data
    except MalformedValue as error:
        raise AssertionError(f"C reads {data!r}") from error
    return True


def test_values_and_forged_bytes() -> None:
    chance = random.Random(2026)
    read = written = 0
    while read + written < CASES:
        value = a_value(chance)
        data = encode(value)
        found = host.write(value, 65_535)
        written += found is not None
        assert found is None or found == data
        for _ in range(4):
            read += check_reading(mutated(data, chance))
    assert min(read, written) > CASES // 20


def test_what_is_plain_is_read_and_written_in_c() -> None:
    others: list[Any] = [None, True, 0.5, "text", b"bytes", [1, ["a"]], {"k": {}}]
    for value in [*NUMBERS, *(-number for number in NUMBERS), *others]:
        assert host.write(value, 1_000) == encode(value)
        assert same(host.read(encode(value))[0], value)


def test_what_is_not_plain_is_left_to_python() -> None:
    chance = random.Random(7)
    for _ in range(500):
        value = other_values(chance)
        assert host.write(value, 1_000) is None
        try:
            data = encode(value)
        except ValueCodecError:
            continue
        # A subclass is written by Python as what it is derived from, or refused.
        assert host.read(data) is None or same(host.read(data)[0], decode(data))


@pytest.mark.parametrize("room", range(12))
def test_nothing_is_written_beyond_the_room(room: int) -> None:
    value = ["abc", {"k": 1.5}]
    data = encode(value)
    assert host.write(value, room) is None
    assert host.write(value, len(data)) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\xdb\xff\xff\xff\xffx",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x91" * 70 + b"\xc0",
        b"\x81\x01\x02",
        b"\xa2\xff\xfe",
        b"\xa3\xed\xa0\x80",
        b"\xd4\x20\x00",
        b"\x01\x02",
    ],
    ids=repr,
)
def test_these_are_left_to_python(data: bytes) -> None:
    assert host.read(data) is None


def test_a_cycle_ends() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    assert host.write(cycle, 65_535) is None
