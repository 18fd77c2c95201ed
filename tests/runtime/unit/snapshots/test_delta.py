import random
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

PAGES = 6
PRISTINE = memoryview(bytes(range(256)) * (2 * PAGE // 256) + bytes(2 * PAGE))
"""Two pages of content and two of zeros; the memory below has grown by two more."""


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
    pieces = unpack(pack(memoryview(memory), PRISTINE, [(PAGE, 2 * PAGE)]), PRISTINE, len(memory))
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
        unpack(deflated(raw), PRISTINE, PAGES * PAGE)


def test_a_bomb_is_not_unpacked() -> None:
    with pytest.raises(MalformedDelta, match="not of the size"):
        unpack(deflated(bytes(64 << 20)), PRISTINE, PAGES * PAGE)


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
