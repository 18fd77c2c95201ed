"""Requests and responses, through both ways into Wasmtime."""

import pytest

from cloche.runtime.errors import (
    ConfigurationError,
    GuestCrashed,
    MemoryExceeded,
    ProtocolError,
    SessionBusy,
    SessionClosed,
)
from cloche.runtime.wasm.engine import Engine
from cloche.runtime.wasm.machine import WasmMachine
from cloche.runtime.wasm.traps import StopKind, Stopped

from .toy import FakeHandlers, Maker, Toy, answer, deed


@pytest.mark.parametrize("size", [4, 5, 1000, 65536])
def test_a_request_comes_back(make: Maker, size: int) -> None:
    request = (deed(Toy.ECHO) + b"0123456789" * 7000)[:size]
    assert make(max_frame=65536).step(request) == request


def test_a_request_for_which_the_guest_has_no_room(make: Maker) -> None:
    machine = make(max_frame=1 << 20)
    with pytest.raises(MemoryExceeded) as caught:
        machine.step(bytes(65537))
    assert (caught.value.used, caught.value.limit) == (4 * 65536, 1 << 20)
    assert not machine.dead
    assert machine.step(deed(Toy.ECHO)) == deed(Toy.ECHO)


def test_a_request_above_the_cap_is_refused(make: Maker) -> None:
    machine = make(max_frame=1000)
    with pytest.raises(ConfigurationError, match="1001 bytes are more than 1000"):
        machine.step(bytes(1001))
    assert not machine.dead


@pytest.mark.parametrize(
    ("pointer", "length"),
    [(4 * 65536, 1), (4 * 65536 - 4, 5), (-1, 1), (-4, 8), (1024, -1), (0, 1 << 16 | 1), (-1, -1)],
)
def test_a_response_outside_the_memory_or_above_the_cap(machine: WasmMachine, pointer: int, length: int) -> None:
    with pytest.raises(Stopped) as caught:
        machine.step(deed(Toy.ANSWER, pointer, length))
    assert caught.value.kind is StopKind.HOST
    assert isinstance(machine.stopped, ProtocolError)
    assert machine.dead


@pytest.mark.parametrize(("limit", "error"), [(1 << 24, GuestCrashed), (1 << 20, MemoryExceeded)])
def test_a_step_function_that_could_not_answer(make: Maker, limit: int, error: type[Exception]) -> None:
    machine = make(memory_limit=limit)
    with pytest.raises(Stopped):
        machine.step(deed(Toy.ANSWER, 0, 0))
    assert type(machine.stopped) is error
    assert machine.dead


def test_an_empty_response(machine: WasmMachine) -> None:
    assert machine.step(deed(Toy.ANSWER, 1024, 0)) == b""


def test_a_response_at_the_very_end_of_memory(machine: WasmMachine) -> None:
    machine.write(4 * 65536 - 3, b"end")
    assert machine.step(deed(Toy.ANSWER, 4 * 65536 - 3, 3)) == b"end"


def test_a_dead_machine_takes_no_step(machine: WasmMachine) -> None:
    with pytest.raises(Stopped):
        machine.step(deed(Toy.UNREACHABLE))
    with pytest.raises(SessionClosed):
        machine.step(deed(Toy.ECHO))


def test_a_handler_may_not_step_its_own_machine(machine: WasmMachine, handlers: FakeHandlers) -> None:
    handlers.on_call = lambda frame: machine.step(deed(Toy.ECHO))
    with pytest.raises(Stopped):
        machine.step(deed(Toy.CALL, 65536, 4, 2048, 64))
    assert isinstance(machine.stopped, SessionBusy)


def test_a_handler_may_not_close_its_own_machine(machine: WasmMachine, handlers: FakeHandlers) -> None:
    def close(frame: bytes) -> bytes:
        machine.close()
        return frame

    handlers.on_call = close
    with pytest.raises(Stopped):
        machine.step(deed(Toy.CALL, 65536, 4, 2048, 64))
    assert isinstance(machine.stopped, SessionBusy)


def test_a_handler_may_run_another_machine(make: Maker, handlers: FakeHandlers) -> None:
    outer, inner = make(), make()

    def run_inner(frame: bytes) -> bytes:
        handlers.on_call = bytes
        inner.step(deed(Toy.CALL, 65536, 4, 2048, 64))
        with pytest.raises(Stopped):
            inner.step(deed(Toy.UNREACHABLE))
        return b"inner ran"

    handlers.on_call = run_inner
    assert answer(outer.step(deed(Toy.CALL, 65536, 4, 2048, 64))) == 9
    assert outer.read(2048, 9) == b"inner ran"
    assert inner.dead
    assert not outer.dead


def test_closing_twice_and_using_after(machine: WasmMachine) -> None:
    machine.close()
    machine.close()
    assert machine.memory_size() == 4 * 65536
    for use in (
        lambda: machine.step(b"x"),
        machine.fuel_left,
        lambda: machine.set_fuel(1),
        lambda: machine.read(0, 1),
        lambda: machine.write(0, b"x"),
        machine.view,
        lambda: machine.restore([], 1, machine.stack_pointer),
        lambda: machine.stack_pointer,
    ):
        with pytest.raises(SessionClosed):
            use()


def test_a_view_taken_before_the_close_is_dead_after_it(machine: WasmMachine) -> None:
    view = machine.view()
    machine.close()
    with pytest.raises(ValueError, match="released"):
        view[0]


def test_fuel_is_counted_and_repeatable(make: Maker) -> None:
    used = []
    for machine in (make(), make()):
        machine.set_fuel(1_000_000)
        machine.step(deed(Toy.ECHO))
        used.append(1_000_000 - machine.fuel_left())
    assert used[0] == used[1] > 0


def test_fuel_needs_an_engine_that_counts_it(make: Maker) -> None:
    machine = make(engine=Engine.shared("epoch"))
    assert machine.step(deed(Toy.ECHO)) == deed(Toy.ECHO)
    with pytest.raises(ConfigurationError):
        machine.set_fuel(1)
    with pytest.raises(ConfigurationError):
        machine.fuel_left()


def test_a_machine_without_metering_runs(make: Maker) -> None:
    assert make(engine=Engine.shared("none")).step(deed(Toy.ECHO)) == deed(Toy.ECHO)


@pytest.mark.parametrize("limit", [-1, 0, 3 * 65536, 4 * 65536 - 1, (1 << 32) + 1, 1 << 63])
def test_a_memory_limit_that_is_none(make: Maker, limit: int) -> None:
    with pytest.raises(ConfigurationError):
        make(memory_limit=limit)


def test_a_memory_limit_that_just_holds_the_image(make: Maker) -> None:
    machine = make(memory_limit=4 * 65536)
    assert answer(machine.step(deed(Toy.GROW, 1))) == -1
    assert answer(machine.step(deed(Toy.GROW, 0))) == 4
