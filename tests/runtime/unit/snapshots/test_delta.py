"""What of a memory differs, as bytes: packed in C and woven in Python, and read by either."""

import random
import struct
import zlib
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.runtime.machine_api import Piece
from cloche.runtime.rollback.checkpoint import PAGE
from cloche.runtime.snapshots.delta import MalformedDelta, pack, unpack
from cloche.runtime.threads import tool_threads
from cloche.runtime.wasm import native

PAGES = 6
PRISTINE = memoryview(bytes(range(256)) * (2 * PAGE // 256) + bytes(2 * PAGE))
"""Two pages of content and two of zeros; the memory below has grown by two more."""


IN_C = native.host
BLOCK = 512


@pytest.fixture(autouse=True, params=["packed", "woven"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the delta is made, and read."""
    if request.param == "packed" and IN_C is None:
        pytest.skip("there is no extension here")
    if request.param == "woven":
        monkeypatch.setattr(native, "host", None)
    return str(request.param)


def applied(pieces: Sequence[Piece]) -> bytes:
    memory = bytearray(bytes(PRISTINE).ljust(PAGES * PAGE, b"\0"))
    for offset, data in pieces:
        memory[offset : offset + len(data)] = data
    return bytes(memory)


writes = st.lists(st.tuples(st.integers(0, PAGES * PAGE - 600), st.binary(min_size=1, max_size=600)), max_size=12)


@given(writes)
def test_what_was_written_comes_back(changes: list[tuple[int, bytes]]) -> None:
    memory = applied(changes)
    data = pack(memoryview(memory), PRISTINE)
    assert applied(unpack(data, PRISTINE, len(memory))) == memory


def a_memory(chance: random.Random) -> bytes:
    """Return a memory of objects side by side, of random bytes, of text, and of small changes."""
    pages: list[bytes] = [bytes(PRISTINE[: 2 * PAGE])]
    while len(pages) < PAGES - 1:
        size, count = chance.choice([8, 12, 16, 48, 52, 208]), chance.choice([0, 1, 4, 48, 2**31])
        start = chance.randrange(2**32)
        words = [(start + count * i) % 2**32 if i % 2 else chance.choice([1, 7, start]) for i in range(PAGE // size)]
        alike = b"".join([struct.pack("<I", word).ljust(size, b"\1") for word in words]).ljust(PAGE, b"\0")
        pages.append(chance.choice([alike, alike, chance.randbytes(PAGE), b"a text of words " * 256, bytes(PAGE)]))
    memory = bytearray(b"".join(pages))
    for _ in range(chance.randrange(20)):
        memory[chance.randrange(len(memory))] = chance.randrange(256)
    return bytes(memory)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_made_in_one_way_is_read_in_the_other(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = a_memory(random.Random(seed)).ljust(PAGES * PAGE, b"\0")
    data = pack(memoryview(memory), PRISTINE)
    for reader in (IN_C, None):
        monkeypatch.setattr(native, "host", reader)
        assert applied(unpack(data, PRISTINE, len(memory))) == memory


@pytest.mark.skipif(IN_C is None, reason="there is no extension here")
def test_both_read_spoilt_bytes_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(4)
    for _ in range(40):
        memory = a_memory(chance)
        monkeypatch.setattr(native, "host", IN_C)
        data = bytearray(pack(memoryview(memory), PRISTINE, [(2 * PAGE, 4 * PAGE)]))
        for _ in range(chance.choice([1, 1, 2, 8])):
            data[chance.randrange(1, len(data))] = chance.choice([0, 1, 64, 127, 128, 255, chance.randrange(256)])
        data = data[: chance.choice([len(data), len(data), chance.randrange(len(data))])]
        read: list[object] = []
        for reader in (IN_C, None):
            monkeypatch.setattr(native, "host", reader)
            try:
                read.append([(at, bytes(each)) for at, each in unpack(bytes(data), PRISTINE, PAGES * PAGE)])
            except MalformedDelta as error:
                read.append(str(error))
        assert read[0] == read[1]


def test_objects_side_by_side_and_random_bytes_take_as_much_as_they_say() -> None:
    rows = b"".join(struct.pack("<IIII", 1, 0x1234, 16 * i, i * i) for i in range(8192))
    noise = random.Random(1).randbytes(1 << 17)
    for content, most in ((rows, 30_000), (noise, len(noise) + 1_000)):
        memory = bytes(PRISTINE) + content
        data = pack(memoryview(memory), PRISTINE)
        assert len(data) < most
        assert b"".join(bytes(each) for _, each in unpack(data, PRISTINE, len(memory))) == content


def test_nothing_changed_is_next_to_nothing() -> None:
    data = pack(PRISTINE, PRISTINE)
    assert len(data) < 30
    assert unpack(data, PRISTINE, len(PRISTINE)) == []


def test_one_changed_word_costs_a_block_and_not_a_page() -> None:
    memory = bytearray(PRISTINE)
    memory[700] ^= 255
    pieces = unpack(pack(memoryview(memory), PRISTINE), PRISTINE, len(memory))
    assert [(at, len(data)) for at, data in pieces] == [(512, 512)]


def test_a_rewritten_block_comes_back() -> None:
    memory = bytearray(PRISTINE)
    memory[512:1024] = bytes(reversed(range(256))) * 2
    pieces = unpack(pack(memoryview(memory), PRISTINE), PRISTINE, len(memory))
    assert pieces == [(512, bytes(memory[512:1024]))]


def test_changes_are_compared_only_where_something_was_written() -> None:
    memory = bytearray(PRISTINE)
    memory[0], memory[PAGE] = 1, 1
    for end in (2 * PAGE, 9 * PAGE):
        pieces = unpack(pack(memoryview(memory), PRISTINE, [(PAGE, end)]), PRISTINE, len(memory))
        assert [at for at, _ in pieces] == [PAGE]


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_within_the_memory(data: bytes) -> None:
    try:
        pieces = unpack(data, PRISTINE, PAGES * PAGE)
    except MalformedDelta:
        return
    assert all(at >= 0 and at + len(data) <= PAGES * PAGE for at, data in pieces)


def deflated(raw: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(raw) + compressor.flush()


def counts(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(8, "little") for number in numbers)


def indices(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(4, "little") for number in numbers)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        counts(0, 0),
        counts(1, 0, 0),
        counts(1 << 63, 1 << 63, 1 << 63),
        counts(0, 0, 1) + indices(PAGES) + bytes(PAGE),
        counts(0, 0, 2) + indices(1, 1) + bytes(2 * PAGE),
        counts(2, 0, 0) + indices(3, 2) + bytes(1024),
        counts(0, 1, 0) + indices(PAGES * 8) + bytes(512),
        counts(0, 0, 0) + b"more",
    ],
)
def test_a_list_of_changes_that_fits_no_memory_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedDelta):
        unpack(b"\0" + deflated(raw), PRISTINE, PAGES * PAGE)


def runs(*pairs: tuple[int, int]) -> bytes:
    return struct.pack("<Q", len(pairs)) + b"".join(struct.pack("<II", *pair) for pair in pairs)


ONE = b"\1\0\0"
"""A block as the word before has it: all zeros."""


@pytest.mark.parametrize(
    ("raw", "fits"),
    [
        (runs(), True),
        (runs((0, 1)) + ONE, True),
        (runs((0, 2), (2, 1)) + 3 * ONE, True),
        (runs((PAGES * 8 - 1, 1)) + ONE, True),
        (runs((5, 1)) + b"\x80" + bytes(range(256)) * 2, True),
        (b"", False),
        (runs()[:7], False),
        (runs() + b"more", False),
        (struct.pack("<Q", 1 << 61), False),
        (runs((0, 0)), False),
        (runs((1, 1), (0, 1)) + 2 * ONE, False),
        (runs((0, 2), (1, 1)) + 3 * ONE, False),
        (runs((PAGES * 8, 1)) + ONE, False),
        (runs((0, 0xFFFF_FFFF)) + ONE, False),
        (runs((0, 1)), False),
        (runs((0, 1)) + ONE[:2], False),
        (runs((0, 1)) + ONE + b"\0", False),
        (runs((0, 1)) + b"\x81" + ONE, False),
        (runs((0, 1)) + b"\x80" + bytes(511), False),
        (runs((0, 1)) + b"\1\x41\1\0\x7f\1", False),
        (runs((0, 1)) + b"\1\x41\1\0\xff" + bytes(4), False),
        (runs((0, 1)) + b"\1\0\xc1" + bytes(3), False),
    ],
)
def test_what_is_packed_is_checked(raw: bytes, fits: bool) -> None:
    for data in (b"\1" + raw, b"\2" + deflated(raw)):
        try:
            pieces = unpack(data, PRISTINE, PAGES * PAGE)
        except MalformedDelta:
            assert not fits
        else:
            assert fits
            assert all(0 <= at <= PAGES * PAGE - len(each) for at, each in pieces)


def test_an_unknown_way_is_refused() -> None:
    for data in (b"", b"\3" + runs(), b"\xff"):
        with pytest.raises(MalformedDelta):
            unpack(data, PRISTINE, PAGES * PAGE)


def test_a_bomb_is_not_unpacked() -> None:
    for kind in (b"\0", b"\2"):
        with pytest.raises(MalformedDelta, match="not of the size"):
            unpack(kind + deflated(bytes(64 << 20)), PRISTINE, PAGES * PAGE)


def large_memory() -> memoryview:
    chance = random.Random(2)
    changed = [chance.randbytes(64) * 64 if chance.random() < 0.9 else bytes(PAGE) for _ in range(400)]
    return memoryview(bytes(PRISTINE[:PAGE]) + chance.randbytes(PAGE) + b"".join(changed))


def test_many_changes_come_back_and_pages_side_by_side_as_one() -> None:
    memory = large_memory()
    pieces = unpack(pack(memory, PRISTINE), PRISTINE, len(memory))
    restored = bytearray(bytes(PRISTINE).ljust(len(memory), b"\0"))
    for offset, data in pieces:
        restored[offset : offset + len(data)] = data
    assert restored == memory
    assert len(pieces) < 100
    assert all(first + len(data) <= second for (first, data), (second, _) in pairwise(pieces))


def test_the_bytes_are_the_same_whoever_compresses(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = large_memory()
    data = pack(memory, PRISTINE)
    for processors in (1, 2, 64):
        monkeypatch.setattr("os.cpu_count", lambda found=processors: found)
        assert pack(memory, PRISTINE) == data
    monkeypatch.setattr(tool_threads, "_max_abandoned", 0)
    monkeypatch.setattr(tool_threads, "left_behind", {None})
    assert pack(memory, PRISTINE) == data
