"""A guest that is used again is byte for byte as the image left it."""

import contextlib
import random
import threading
from collections.abc import Generator

import pytest

from cloche.runtime.bridge.protocol import run_request
from cloche.runtime.errors import ConfigurationError, FuelExhausted, GuestException, MemoryExceeded
from cloche.runtime.limits import Limits
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.wasm import recycling
from cloche.runtime.wasm.machine import ImageSource, WasmMachine
from cloche.runtime.wasm.memory import written_spans
from cloche.runtime.wasm.recycling import MAX_IDLE
from cloche.runtime.wasm.traps import Stopped

MEMORY = 256 << 20
PROGRAMS = [
    "x = 1",
    "import json, re, datetime, decimal\nd = {str(i): [i] for i in range(500)}",
    "import builtins, sys\nbuiltins.len = lambda _: 7\nsys.modules['json'] = None\nint.__add__",
    "open('/work/secret', 'w').write('key'); import random; random.seed(1); random.random()",
    "def f(n):\n    return n and f(n - 1)\nf(200)",
    "class A:\n    def __del__(self):\n        print('gone')\nA(); 1 / 0",
]


class Handlers:
    """Serves whatever is asked for."""

    def call(self, frame: bytes) -> bytes:
        return b"\x92\x00\xc0"

    def write(self, stream: int, data: bytes) -> None: ...

    def clock(self, which: int) -> int:
        return 1_700_000_000_000_000_000

    def entropy(self, size: int) -> bytes:
        return random.randbytes(size)


@pytest.fixture(scope="module")
def source() -> ImageSource:
    return ImageSource()


def machine(source: ImageSource, memory: int = MEMORY) -> WasmMachine:
    return source.new(Handlers(), memory)


@contextlib.contextmanager
def shelf_of(source: ImageSource) -> Generator[WasmMachine]:
    """A machine that serves a recycled guest: the shelf is a stack, so the guest is the one closed last."""
    again = machine(source)
    yield again
    again.close()


def restored(again: WasmMachine, source: ImageSource) -> bool:
    return bytes(again.view()) == bytes(source.pristine())


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_a_program_did_is_undone_to_the_last_byte(source: ImageSource, program: str) -> None:
    first = machine(source)
    pointer = first.stack_pointer
    first.step(run_request(program, "<run 1>", {}))
    assert not restored(first, source)
    first.close()
    with shelf_of(source) as again:
        assert restored(again, source)
        assert again.stack_pointer == pointer


HOSTILE = [
    *PROGRAMS,
    "import gc\ngc.unfreeze()\nlen(gc.get_objects())",
    "b = bytearray(300_000)\nfor i in range(0, 300_000, 997): b[i] = 1",
    "def f(n): return f(n + 1)\ntry: f(0)\nexcept RecursionError: pass",
    "import sys\nsys.modules['json'].x = 5\nsys.setrecursionlimit(50)",
    "class A:\n    def __init__(self): self.x = [1] * 1000\n[A() for _ in range(50)]",
    "print('x' * 10_000)\nraise SystemExit(3)",
    "d = {i: i for i in range(3_000)}\nimport re\nre.compile('(a|b)*c').match('ababc')",
]


def questions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lists how much memory the kernel was asked about, a question each."""
    asked: list[int] = []

    def ask(view: memoryview) -> list[tuple[int, int]]:
        asked.append(len(view))
        return written_spans(view)

    monkeypatch.setattr(recycling, "written_spans", ask)
    return asked


@pytest.mark.parametrize("counted", [True, False])
def test_whatever_ran_before_nothing_is_left(
    source: ImageSource, monkeypatch: pytest.MonkeyPatch, counted: bool
) -> None:
    if not counted:
        monkeypatch.setattr(recycling, "count_faults", lambda: None)
    chance = random.Random(11)
    for _ in range(60):
        with shelf_of(source) as again:
            again.step(run_request(chance.choice(HOSTILE), "<run 1>", {}))
        with shelf_of(source) as again:
            assert restored(again, source)


def test_the_kernel_is_seldom_asked(source: ImageSource, monkeypatch: pytest.MonkeyPatch) -> None:
    if recycling.count_faults() is None:
        pytest.skip("this system does not count faults by thread")
    asked = questions(monkeypatch)
    for _ in range(100):
        with shelf_of(source) as again:
            again.step(run_request("x = 1", "<run 1>", {}))
    assert len(asked) < 50


def test_a_memory_that_another_thread_wrote_is_restored(source: ImageSource) -> None:
    def scatter(again: WasmMachine) -> None:
        chance = random.Random(5)
        for _ in range(50):
            again.write(chance.randrange(again.memory_size() - 8), chance.randbytes(8))
        pieces = [(chance.randrange(again.memory_size() - 8), chance.randbytes(8)) for _ in range(50)]
        again.restore(pieces, again.memory_size(), again.stack_pointer)

    for _ in range(3):
        with shelf_of(source) as again:
            again.step(run_request("x = 1", "<run 1>", {}))
            thread = threading.Thread(target=scatter, args=(again,))
            thread.start()
            thread.join()
        with shelf_of(source) as again:
            assert restored(again, source)


def test_a_guest_that_two_threads_ran_is_restored(source: ImageSource) -> None:
    for program in HOSTILE:
        with shelf_of(source) as again:
            again.step(run_request("x = 1", "<run 1>", {}))
            thread = threading.Thread(target=again.step, args=(run_request(program, "<run 2>", {}),))
            thread.start()
            thread.join()
        with shelf_of(source) as again:
            assert restored(again, source)


def test_bytes_written_anywhere_are_undone(source: ImageSource) -> None:
    first = machine(source)
    chance = random.Random(7)
    for _ in range(100):
        first.write(chance.randrange(first.memory_size() - 8), chance.randbytes(8))
    first.restore([], 0, 12_345 * 16)
    first.close()
    with shelf_of(source) as again:
        assert restored(again, source)
        assert again.stack_pointer != 12_345 * 16


def test_a_guest_whose_memory_grew_is_not_used_again(source: ImageSource) -> None:
    first = machine(source)
    first.step(run_request("x = bytearray(40_000_000)", "<run 1>", {}))
    grown = first.memory_size()
    first.close()
    with shelf_of(source) as again:
        assert again.memory_size() == source.min_memory < grown


def test_a_guest_that_wrote_much_is_not_kept(source: ImageSource) -> None:
    first = machine(source)
    for start in range(0, 4 << 20, 4096):
        first.write(source.min_memory - (5 << 20) + start, b"\1")
    first.close()
    with shelf_of(source) as again:
        assert restored(again, source)


def test_a_guest_that_was_ended_is_not_used_again(source: ImageSource) -> None:
    first = machine(source)
    first.set_fuel(1_000_000)
    with pytest.raises(Stopped):
        first.step(run_request("while True: pass", "<run 1>", {}))
    first.close()
    with shelf_of(source) as again:
        assert restored(again, source)
        assert again.step(run_request("6 * 7", "<run 1>", {})) == b"\x93\x00\x2a\xc0"


def test_a_closed_machine_reaches_nothing_of_the_next(source: ImageSource) -> None:
    first = machine(source)
    view, size = first.view(), first.memory_size()
    first.close()
    with shelf_of(source) as again:
        again.step(run_request("x = bytearray(60_000_000)", "<run 1>", {}))
        assert first.memory_size() == size
        with pytest.raises(ValueError, match="released"):
            view[0]
        first.close()
        assert again.step(run_request("len(x)", "<run 1>", {})) != b""


def test_each_use_has_its_own_memory_limit() -> None:
    small, large = Limits(memory="64 MiB"), Limits(memory="512 MiB")
    box = Sandbox()
    for limits, fits in [(small, False), (large, True), (small, False)] * 2:
        box.run("1", limits=limits)
        result = box.run("len(bytearray(120_000_000))", limits=limits)
        assert result.ok is fits


def test_neighbours_in_turn_share_nothing() -> None:
    box = Sandbox()
    box.run("import builtins; builtins.leak = 1; __import__('os').environ['LEAK'] = '1'")
    assert box.run("('leak' in dir(__import__('builtins')), __import__('os').environ.get('LEAK'))").value == (
        False,
        None,
    )
    assert box.run("import random; random.random()").value != box.run("import random; random.random()").value


def test_only_a_few_guests_idle(source: ImageSource) -> None:
    machines = [machine(source) for _ in range(MAX_IDLE + 3)]
    for each in machines:
        each.step(run_request("1", "<run 1>", {}))
        each.close()
    others = [machine(source) for _ in range(MAX_IDLE + 3)]
    assert all(restored(each, source) for each in others)
    for each in others:
        each.close()


def test_sandboxes_share_the_guest_that_is_never_run(source: ImageSource) -> None:
    fresh = bytes(source.pristine())
    machines = [machine(each) for each in (source, ImageSource(), ImageSource())]
    for each in machines:
        each.step(run_request("x = list(range(10_000))", "<run 1>", {}))
        each.close()
    first, second = source.pristine(), ImageSource().pristine()
    assert first.obj is second.obj
    assert bytes(first) == fresh


def test_guests_that_were_kept_ready_are_like_new_ones() -> None:
    sandbox = Sandbox()
    sandbox.keep_ready(MAX_IDLE + 2)
    for _ in range(3):
        with sandbox.session() as one, sandbox.session() as other:
            assert one.run("x = [1]; 'y' in globals()").value is False
            assert other.run("y = 2; 'x' in globals()").value is False
            assert one.run("x").value == [1]
    with sandbox.session(limits=Limits(memory=256 << 20, fuel=50_000_000)) as small:
        assert isinstance(small.run("a = bytes(300 << 20)").error, MemoryExceeded | GuestException)
        assert isinstance(small.run("while True: pass").error, FuelExhausted)
    with pytest.raises(ConfigurationError, match="guests"):
        sandbox.keep_ready(-1)
    sandbox.keep_ready(0)
