"""A guest's past: copies of its memory, requests repeated, and when which is taken."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloche.runtime.bridge.transcript import ReplayMismatch, Tape
from cloche.runtime.machine_api import Piece, StopSignal
from cloche.runtime.rollback.checkpoint import PAGE, Checkpoint, changed_pieces
from cloche.runtime.rollback.journal import Journal


class Memory:
    """As much of a machine as a journal needs: each request writes its number of bytes, and is answered with it."""

    def __init__(self, size: int = 4 * PAGE) -> None:
        self.content = bytearray(size)
        self.stack_pointer = 1
        self.requests: list[bytes] = []
        self.fuel: int | None = None
        self.stop = StopSignal()
        self.tape: Tape | None = None
        self.asks = 0

    def step(self, request: bytes) -> bytes:
        self.requests.append(request)
        self.content[len(self.requests)] = len(request)
        for _ in range(self.asks):
            assert self.tape is not None
            self.tape.replay_clock()
        return b"answer to " + request

    def allow(self, fuel: int | None, stop: StopSignal) -> None:
        self.fuel, self.stop = fuel, stop

    def view(self) -> memoryview:
        return memoryview(self.content)

    def written(self) -> list[tuple[int, int]]:
        return [(0, len(self.content))]

    def memory_size(self) -> int:
        return len(self.content)

    def restore(self, pieces: Sequence[Piece], size: int, stack_pointer: int) -> None:
        self.content.extend(bytes(max(0, size - len(self.content))))
        for pointer, data in pieces:
            self.content[pointer : pointer + len(data)] = data
        self.stack_pointer = stack_pointer

    def grow_to(self, size: int) -> None:
        self.content.extend(bytes(max(0, size - len(self.content))))

    def write(self, pointer: int, data: bytes) -> None:
        self.content[pointer : pointer + len(data)] = data


def machine() -> Any:
    return Memory()


def pristine() -> memoryview:
    return memoryview(bytes(4 * PAGE))


def perform(journal: Journal, on: Any, request: bytes, fuel: int = 10, size: int = 0) -> None:
    journal.add(request, ([], size), on.step(request))
    journal.settle(on, pristine, fuel)


def test_a_past_without_anything() -> None:
    fresh = machine()
    Journal().restore(fresh, Tape(), metered=True)
    assert (fresh.requests, fresh.fuel) == ([], None)


def test_small_requests_are_repeated() -> None:
    journal, first, second = Journal(), machine(), machine()
    for request in (b"a", b"bb", b"ccc"):
        perform(journal, first, request)
    journal.restore(second, Tape(), metered=True)
    assert second.requests == [b"a", b"bb", b"ccc"]
    assert second.content == first.content
    assert second.fuel > 30
    assert second.stop.deadline < math.inf


@pytest.mark.parametrize("options", [{"fuel": 10**9}, {"size": 10 << 20}])
def test_dear_requests_are_kept_as_memory(options: dict[str, int]) -> None:
    journal, first, second = Journal(), machine(), machine()
    perform(journal, first, b"dear", **options)
    first.stack_pointer = 99
    perform(journal, first, b"cheap")
    journal.restore(second, Tape(), metered=True)
    assert second.requests == [b"cheap"]
    assert second.stack_pointer == 1
    assert second.content[1:3] == bytes([5, 0])


def test_a_recording_that_gave_up_is_kept_as_memory() -> None:
    journal, first, second = Journal(), machine(), machine()
    journal.add(b"request", (None, 0), first.step(b"request"))
    journal.settle(first, pristine)
    journal.restore(second, Tape(), metered=True)
    assert second.requests == []
    assert second.content == first.content


def test_many_requests_become_a_copy() -> None:
    journal, first, second = Journal(), machine(), machine()
    for _ in range(5_100):
        first.requests.clear()
        perform(journal, first, b"x", fuel=1)
    journal.restore(second, Tape(), metered=True)
    assert len(second.requests) < 200


def test_without_fuel_time_counts() -> None:
    journal, first, second = Journal(), machine(), machine()
    journal.add(b"slow", ([], 0), first.step(b"slow"))
    journal.settle(first, pristine, seconds=5.0)
    journal.restore(second, Tape(), metered=False)
    assert (second.requests, second.fuel) == ([], None)


def test_another_answer_is_a_mismatch() -> None:
    journal, second = Journal(), machine()
    journal.add(b"request", ([], 0), b"something else")
    with pytest.raises(ReplayMismatch, match="answered differently"):
        journal.restore(second, Tape(), metered=True)


def test_another_question_is_a_mismatch() -> None:
    journal, second, tape = Journal(), machine(), Tape()
    second.tape, second.asks = tape, 2
    journal.add(b"request", ([(1, 0, 5)], 0), b"answer to request")
    with pytest.raises(ReplayMismatch):
        journal.restore(second, tape, metered=True)
    assert not tape.replaying


def test_a_journal_that_begins_with_a_copy() -> None:
    first, second = machine(), machine()
    first.step(b"request")
    journal = Journal()
    journal.begin_at(Checkpoint.take(first, pristine()))
    journal.restore(second, Tape(), metered=True)
    assert second.content == first.content


edits = st.lists(st.tuples(st.integers(0, 9 * PAGE - 1), st.binary(min_size=1, max_size=50)), max_size=12)


@settings(max_examples=100)
@given(edits, edits, st.integers(4, 9))
def test_a_copy_brings_back_exactly_the_memory(
    before: list[tuple[int, bytes]], after: list[tuple[int, bytes]], pages: int
) -> None:
    base = Memory(4 * PAGE)
    for at, data in before:
        if at + len(data) <= len(base.content):
            base.write(at, data)
    image = bytes(base.content)
    changed: Any = Memory(4 * PAGE)
    changed.write(0, image)
    changed.grow_to(pages * PAGE)
    for at, data in after:
        if at + len(data) <= len(changed.content):
            changed.write(at, data)
    changed.stack_pointer = 1234
    checkpoint = Checkpoint.take(changed, memoryview(image))
    fresh: Any = Memory(4 * PAGE)
    fresh.write(0, image)
    fresh.restore(*checkpoint)
    assert fresh.content == changed.content
    assert fresh.stack_pointer == 1234
    assert checkpoint.weight() <= PAGE * (pages - 4 + 2 * len(after))


def test_only_changed_pages_are_kept() -> None:
    now = bytearray(40 * PAGE)
    now[5 * PAGE + 3] = 1
    now[39 * PAGE] = 2
    pieces = changed_pieces(memoryview(now), memoryview(bytes(20 * PAGE)))
    assert [(at, len(data)) for at, data in pieces] == [(5 * PAGE, PAGE), (39 * PAGE, PAGE)]
    spans = [(0, 6 * PAGE)]
    assert [at for at, _ in changed_pieces(memoryview(now), memoryview(bytes(20 * PAGE)), spans)] == [5 * PAGE]
