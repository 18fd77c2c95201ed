"""Hostile and honest calls of the five imports, through both ways into Wasmtime."""

import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloche.runtime.errors import ProtocolError
from cloche.runtime.machine_api import StopRun
from cloche.runtime.wasm.imports import GuestImports
from cloche.runtime.wasm.machine import WasmMachine
from cloche.runtime.wasm.memory import Memory
from cloche.runtime.wasm.traps import StopKind, Stopped

from .toy import FakeHandlers, Maker, Toy, answer, deed

SIZE = 4 * 65536


def ends(machine: WasmMachine, request: bytes) -> BaseException:
    with pytest.raises(Stopped) as caught:
        machine.step(request)
    assert caught.value.kind is StopKind.HOST
    assert caught.value.reason is machine.stopped
    assert machine.dead
    assert machine.stopped is not None
    return machine.stopped


def test_a_call_is_answered(machine: WasmMachine, handlers: FakeHandlers) -> None:
    handlers.on_call = lambda frame: b"<" + frame + b">"
    machine.write(3000, b"frame")
    assert answer(machine.step(deed(Toy.CALL, 3000, 5, 2048, 64))) == 7
    assert machine.read(2048, 8) == b"<frame>\0"
    assert handlers.frames == [b"frame"]


def test_a_long_answer_is_kept_until_it_is_taken(machine: WasmMachine, handlers: FakeHandlers) -> None:
    handlers.on_call = lambda frame: bytes(range(100))
    machine.step(deed(Toy.CALL_TAKE, 0, 0, 2048, 99, 3000))
    assert machine.read(2048, 100) == bytes(100)
    assert machine.read(3000, 100) == bytes(range(100))


@pytest.mark.parametrize("destination", [SIZE, SIZE - 99, -1])
def test_taking_to_a_place_outside(machine: WasmMachine, handlers: FakeHandlers, destination: int) -> None:
    handlers.on_call = lambda frame: bytes(100)
    assert isinstance(ends(machine, deed(Toy.CALL_TAKE, 0, 0, 2048, 0, destination)), ProtocolError)


def test_an_answer_that_fitted_is_not_kept(machine: WasmMachine, handlers: FakeHandlers) -> None:
    handlers.on_call = lambda frame: bytes(100)
    assert isinstance(ends(machine, deed(Toy.CALL_TAKE, 0, 0, 2048, 100, 3000)), ProtocolError)


def test_an_answer_that_just_fits(machine: WasmMachine, handlers: FakeHandlers) -> None:
    handlers.on_call = lambda frame: bytes(range(100))
    assert answer(machine.step(deed(Toy.CALL, 0, 0, 2048, 100))) == 100
    assert machine.read(2048, 100) == bytes(range(100))


def test_taking_when_nothing_is_kept(machine: WasmMachine) -> None:
    assert isinstance(ends(machine, deed(Toy.TAKE, 2048)), ProtocolError)


def test_an_answer_is_not_kept_beyond_its_step(machine: WasmMachine, handlers: FakeHandlers) -> None:
    handlers.on_call = lambda frame: b"secret of an earlier step"
    machine.step(deed(Toy.CALL, 0, 0, 2048, 0))
    assert isinstance(ends(machine, deed(Toy.TAKE, 2048)), ProtocolError)


@pytest.mark.parametrize(
    ("request_at", "length", "response_at", "capacity"),
    [
        (SIZE, 1, 0, 0),
        (SIZE - 4, 5, 0, 0),
        (-1, 1, 0, 0),
        (-4, 8, 0, 0),
        (0, -1, 0, 0),
        (0, (1 << 16) + 1, 0, 0),
        (0, 1, SIZE, 1),
        (0, 1, -1, 2),
        (0, 1, 0, -1),
        (0, 1, 0, SIZE + 1),
    ],
)
def test_a_call_with_a_bad_span_never_reaches_the_handler(
    machine: WasmMachine, handlers: FakeHandlers, request_at: int, length: int, response_at: int, capacity: int
) -> None:
    assert isinstance(ends(machine, deed(Toy.CALL, request_at, length, response_at, capacity)), ProtocolError)
    assert handlers.frames == []


def test_output_reaches_the_host(machine: WasmMachine, handlers: FakeHandlers) -> None:
    machine.write(SIZE - 2, b"\xff!")
    machine.step(deed(Toy.WRITE, 1, SIZE - 2, 2))
    machine.step(deed(Toy.WRITE, 2, SIZE, 0))
    assert handlers.written == [(1, b"\xff!"), (2, b"")]


@pytest.mark.parametrize(
    ("stream", "pointer", "length"),
    [(0, 0, 1), (3, 0, 1), (-1, 0, 1), (1, SIZE, 1), (1, -1, 1), (1, 0, -1), (2, 0, (1 << 16) + 1)],
)
def test_bad_output(machine: WasmMachine, handlers: FakeHandlers, stream: int, pointer: int, length: int) -> None:
    assert isinstance(ends(machine, deed(Toy.WRITE, stream, pointer, length)), ProtocolError)
    assert handlers.written == []


@pytest.mark.parametrize("now", [0, -1, (1 << 63) - 1, -(1 << 63)])
def test_clocks(machine: WasmMachine, handlers: FakeHandlers, now: int) -> None:
    handlers.on_clock = lambda which: now - which
    assert answer(machine.step(deed(Toy.CLOCK, 0))) == now


@pytest.mark.parametrize("now", [1 << 63, -(1 << 63) - 1])
def test_a_clock_that_does_not_fit(machine: WasmMachine, handlers: FakeHandlers, now: int) -> None:
    handlers.on_clock = lambda which: now
    assert isinstance(ends(machine, deed(Toy.CLOCK, 1)), ValueError)


@pytest.mark.parametrize("which", [2, -1, 1 << 31])
def test_a_clock_that_is_none(machine: WasmMachine, which: int) -> None:
    assert isinstance(ends(machine, deed(Toy.CLOCK, which)), ProtocolError)


def test_entropy(machine: WasmMachine) -> None:
    assert answer(machine.step(deed(Toy.ENTROPY, 2048, 8))) == 0x0807060504030201


@pytest.mark.parametrize(("pointer", "length"), [(SIZE, 1), (-1, 1), (SIZE - 8, 9), (0, -1), (0, (1 << 16) + 1)])
def test_bad_entropy(machine: WasmMachine, handlers: FakeHandlers, pointer: int, length: int) -> None:
    asked: list[int] = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return bytes(size)

    handlers.on_entropy = entropy
    assert isinstance(ends(machine, deed(Toy.ENTROPY, pointer, length)), ProtocolError)
    assert asked == []


@pytest.mark.parametrize("given_size", [0, 7, 9, 100_000])
def test_entropy_of_the_wrong_length(machine: WasmMachine, handlers: FakeHandlers, given_size: int) -> None:
    handlers.on_entropy = lambda size: bytes(given_size)
    assert isinstance(ends(machine, deed(Toy.ENTROPY, 2048, 8)), ValueError)


@pytest.mark.parametrize(
    "error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3), GeneratorExit(), StopIteration()]
)
def test_whatever_a_handler_raises_ends_the_run(
    machine: WasmMachine, handlers: FakeHandlers, error: BaseException
) -> None:
    def fail(_: object) -> bytes:
        raise error

    handlers.on_call = fail
    assert ends(machine, deed(Toy.CALL, 0, 0, 2048, 64)) is error


def test_a_stop_stands_for_its_reason(machine: WasmMachine, handlers: FakeHandlers) -> None:
    reason = RuntimeError("the limit")

    def stop(stream: int, data: bytes) -> None:
        raise StopRun(reason)

    handlers.on_write = stop
    assert ends(machine, deed(Toy.WRITE, 1, 0, 1)) is reason


def test_every_handler_is_guarded(make: Maker, handlers: FakeHandlers) -> None:
    error = RuntimeError("broken")

    def fail(*_: object) -> bytes:
        raise error

    def fail_quietly(*_: object) -> None:
        raise error

    def fail_number(*_: object) -> int:
        raise error

    handlers.on_call = handlers.on_entropy = fail
    handlers.on_write, handlers.on_clock = fail_quietly, fail_number
    for request in (
        deed(Toy.CALL, 0, 0, 0, 0),
        deed(Toy.WRITE, 1, 0, 0),
        deed(Toy.CLOCK, 0),
        deed(Toy.ENTROPY, 0, 1),
    ):
        assert ends(make(), request) is error


def test_an_answer_that_is_not_bytes(machine: WasmMachine, handlers: FakeHandlers) -> None:
    not_bytes: list[bytes] = []
    handlers.on_call = lambda frame: not_bytes  # type: ignore[assignment,return-value]  # pyright: ignore
    ends(machine, deed(Toy.CALL, 0, 0, 2048, 64))


def test_a_deep_error_in_a_handler(machine: WasmMachine, handlers: FakeHandlers) -> None:
    def recurse(frame: bytes) -> bytes:
        return recurse(frame)

    handlers.on_call = recurse
    # No garbage is left to be finalized at the deepest point, where a finalizer has no room either.
    gc.collect()
    assert isinstance(ends(machine, deed(Toy.CALL, 0, 0, 2048, 64)), RecursionError)


def test_memory_that_grew_during_a_call(make: Maker, handlers: FakeHandlers) -> None:
    machine = make(memory_limit=1 << 24)

    def grow(frame: bytes) -> bytes:
        machine.restore([], 10 * 65536, machine.stack_pointer)
        machine.write(9 * 65536, b"beyond")
        return b"answer"

    handlers.on_call = grow
    assert answer(machine.step(deed(Toy.CALL, 0, 0, 2048, 64))) == 6
    assert machine.read(2048, 6) == b"answer"
    # The guest now passes spans that lay outside when its step began.
    machine.step(deed(Toy.WRITE, 1, 9 * 65536, 6))
    assert handlers.written == [(1, b"beyond")]
    assert machine.memory_size() == 10 * 65536


def test_memory_that_the_guest_grew_itself(make: Maker, handlers: FakeHandlers) -> None:
    machine = make(memory_limit=1 << 24)
    assert answer(machine.step(deed(Toy.GROW, 6))) == 4
    machine.step(deed(Toy.WRITE, 1, 10 * 65536 - 3, 3))
    assert handlers.written == [(1, bytes(3))]


u32 = st.integers(0, (1 << 32) - 1) | st.integers(SIZE - 20, SIZE + 20) | st.integers(0, 100)


@settings(max_examples=300)
@given(u32, u32, u32, u32, st.binary(max_size=200))
def test_no_numbers_reach_outside_the_memory(a: int, b: int, c: int, d: int, reply: bytes) -> None:
    content = bytearray(SIZE)
    handlers = FakeHandlers()
    handlers.on_call = lambda frame: reply
    host = GuestImports(handlers, 1 << 16)
    host.memory = Memory(lambda: SIZE, lambda size: memoryview(content), lambda pages: False)
    try:
        size = host.call(a, b, c, d)
    except ProtocolError:
        assert handlers.frames == []
        return
    assert a + b <= SIZE
    assert c + d <= SIZE
    assert size == len(reply)
    assert len(content) == SIZE
    if size <= d:
        assert content[c : c + size] == reply
