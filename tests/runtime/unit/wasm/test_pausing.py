"""Asking a guest to leave: the bit, what is given back for it, and the places that a guest says it stands at."""

import random
import struct
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from cloche.runtime.errors import ImageError
from cloche.runtime.machine_api import Place
from cloche.runtime.wasm.memory import Memory
from cloche.runtime.wasm.pausing import PauseFacts, PauseSwitch, find_places, line_of

LAYOUT = {
    "current": 64,
    "previous": 4,
    "executable": 0,
    "instruction": 8,
    "owner": 12,
    "first_line": 0,
    "line_table": 4,
    "filename": 8,
    "qualname": 12,
    "code": 16,
    "bytes_data": 16,
    "text_data": 20,
    "text_length": 8,
}
SAID: dict[str, Any] = {
    "breaker": 8,
    "state": 16,
    "counts": 4,
    "layout": LAYOUT,
    "pauses": {"1": 500, "32769": 510},
    "passes": {"0": 80, "2": 70},
    "again": 10,
}
SIZE = 4096


def make() -> tuple[PauseSwitch, bytearray, PauseFacts]:
    data = bytearray(SIZE)
    facts = PauseFacts.from_manifest({"pause": SAID}, SIZE)
    assert facts is not None
    memory = Memory(lambda: SIZE, lambda size: memoryview(data), lambda pages: False)
    return PauseSwitch(facts, memory), data, facts


def note(data: bytearray, *words: int) -> None:
    """Write what a guest notes: fresh, wanted, site, and how often the bit was found in vain at each check."""
    data[16 : 16 + 4 * len(words)] = struct.pack(f"<{len(words)}I", *words)


def test_the_bit_is_set_and_taken_back_beside_others() -> None:
    switch, data, _ = make()
    data[8] = 0x13
    switch.look()
    assert data[8] == 0x13
    switch.asked = True
    switch.look()
    assert (data[8], switch.flagged) == (0x93, True)
    note(data, 1, 1, 1, 5, 5, 5, 5)
    switch.settle()
    assert (data[8], switch.flagged) == (0x13, False)
    assert not any(data[16:44])


def test_what_a_pause_costs() -> None:
    switch, data, _ = make()
    assert switch.cost(10_000, paused=True) == 0
    note(data, 0, 0, 1)
    assert switch.cost(10_000, paused=True) == 500
    assert switch.cost(10_000) == 0
    note(data, 0, 0, 32769, 3, 9, 2, 0)
    assert switch.cost(10_000, paused=True) == 510 + 3 * 80 + 2 * 70
    note(data, 0, 1, 0, 1, 0, 0, 0)
    assert switch.cost(10_000) == 70


def test_a_broken_guest_gains_nothing() -> None:
    switch, data, facts = make()
    most = 0xFFFF_FFFF
    note(data, most, most, most, most, most, most, most)
    assert switch.cost(1_000) == 500
    assert switch.cost(0, paused=True) == 0
    note(data, 0, 0, 1, 0, 0, 0, 0)
    assert switch.cost(100, paused=True) == 100
    chance = random.Random(1)
    for _ in range(300):
        data[16 : 16 + facts.size] = chance.randbytes(facts.size)
        used = chance.randrange(100_000)
        assert 0 <= switch.cost(used) <= used // 2
        assert 0 <= switch.cost(used, paused=True) <= used


@pytest.mark.parametrize(
    "change",
    [
        {"breaker": SIZE},
        {"breaker": -1},
        {"state": SIZE - 8},
        {"counts": 1 << 30},
        {"layout": {}},
        {"pauses": None},
        {"passes": {"x": 1}},
        {"breaker": "8"},
        {"layout": LAYOUT | {"current": -4}},
    ],
)
def test_a_manifest_that_cannot_be_true(change: dict[str, Any]) -> None:
    with pytest.raises(ImageError, match="pausing"):
        PauseFacts.from_manifest({"pause": SAID | change}, SIZE)


def test_an_image_may_say_nothing() -> None:
    assert PauseFacts.from_manifest({}, SIZE) is None


def frame_at(data: bytearray, at: int, code: int, previous: int, instruction: int, by_c: bool = False) -> None:
    data[at : at + 13] = struct.pack("<IIIB", code, previous, instruction, 3 if by_c else 0)


def text_at(data: bytearray, at: int, text: str) -> None:
    data[at : at + 20 + len(text)] = struct.pack("<8xI8x", len(text)) + text.encode()


def test_the_places_that_called_c() -> None:
    switch, data, facts = make()
    table = compile("a\nb\nc", "x", "exec").co_linetable
    data[512:528] = struct.pack("<8xI4x", len(table))
    data[528 : 528 + len(table)] = table
    text_at(data, 700, "<run 1>")
    text_at(data, 800, "outer")
    data[400:416] = struct.pack("<IIII", 1, 512, 700, 800)
    # From the top: Python, C, Python (which called it), Python, and the C that began it all.
    frame_at(data, 1000, 400, 1100, 416)
    frame_at(data, 1100, 400, 1200, 416, by_c=True)
    frame_at(data, 1200, 400, 1300, 418)
    frame_at(data, 1300, 400, 1400, 416)
    frame_at(data, 1400, 400, 0, 416, by_c=True)
    data[64:68] = struct.pack("<I", 1000)
    memory = Memory(lambda: SIZE, lambda size: memoryview(data), lambda pages: False)
    places = find_places(memory, facts)
    assert [(place.filename, place.function) for place in places] == [("<run 1>", "outer")] * 2
    switch.locate()
    switch.look()
    assert switch.places == places
    assert all(isinstance(place, Place) for place in places)


def test_a_broken_guest_stands_anywhere() -> None:
    _, data, facts = make()
    memory = Memory(lambda: SIZE, lambda size: memoryview(data), lambda pages: False)
    chance = random.Random(2)
    for _ in range(300):
        data[:] = bytes(chance.randrange(0, 256) if chance.random() < 0.5 else chance.randrange(16) for _ in data)
        for place in find_places(memory, facts):
            assert len(place.filename) <= 400
    # A chain of frames that has no end.
    data[:] = bytes(SIZE)
    data[64:68] = struct.pack("<I", 1000)
    frame_at(data, 1000, 0, 1000, 0)
    assert len(find_places(memory, facts)) <= 20_000


def codes(code: CodeType) -> list[CodeType]:
    return [code, *(inner for const in code.co_consts if isinstance(const, CodeType) for inner in codes(const))]


def test_lines_are_those_of_cpython() -> None:
    for code in codes(compile(Path(__file__).read_text(), "x", "exec")):
        for start, end, line in code.co_lines():
            for offset in range(start, end, 2):
                assert line_of(code.co_linetable, code.co_firstlineno, offset // 2) == (line or 0)
    assert line_of(b"", 1, 3) == 0
