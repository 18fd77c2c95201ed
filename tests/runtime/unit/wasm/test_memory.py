"""A machine's memory and stack pointer as data, through both ways into Wasmtime."""

import pytest

from cloche.runtime.errors import ProtocolError
from cloche.runtime.wasm.machine import WasmMachine
from cloche.runtime.wasm.memory import PAGE

from .toy import Maker, Toy, answer, deed


def test_reading_and_writing(machine: WasmMachine) -> None:
    machine.write(10, b"abc")
    assert machine.read(9, 5) == b"\0abc\0"
    assert machine.read(4 * PAGE, 0) == b""


@pytest.mark.parametrize(("pointer", "length"), [(-1, 1), (0, -1), (4 * PAGE, 1), (4 * PAGE - 1, 2), (1 << 40, 1)])
def test_outside(machine: WasmMachine, pointer: int, length: int) -> None:
    with pytest.raises(ProtocolError):
        machine.read(pointer, length)
    with pytest.raises(ProtocolError):
        machine.write(pointer if length > 0 else -1, bytes(max(length, 1)))


def test_the_view_is_the_memory(machine: WasmMachine) -> None:
    view = machine.view()
    assert (len(view), view.format, view.readonly) == (4 * PAGE, "B", False)
    view[5] = 7
    assert machine.read(5, 1) == b"\7"
    machine.write(5, b"\x08")
    assert view[5] == 8


def test_growing(make: Maker) -> None:
    machine = make(memory_limit=8 * PAGE)
    machine.restore([], 3 * PAGE, machine.stack_pointer)
    assert machine.memory_size() == 4 * PAGE
    machine.restore([], 5 * PAGE + 1, machine.stack_pointer)
    assert machine.memory_size() == len(machine.view()) == 6 * PAGE
    assert answer(machine.step(deed(Toy.GROW, 0))) == 6


def test_growing_beyond_the_limit(make: Maker) -> None:
    machine = make(memory_limit=8 * PAGE)
    with pytest.raises(MemoryError):
        machine.restore([], 8 * PAGE + 1, machine.stack_pointer)
    assert machine.memory_size() == 4 * PAGE
    assert answer(machine.step(deed(Toy.GROW, 5))) == -1
    assert answer(machine.step(deed(Toy.GROW, 4))) == 4


def test_the_memory_does_not_move_when_it_grows(make: Maker) -> None:
    machine = make(memory_limit=4096 * PAGE)
    old = machine.view()
    machine.restore([], 4096 * PAGE, machine.stack_pointer)
    machine.view()[100] = 42
    assert old[100] == 42


@pytest.mark.parametrize("pointer", [0, 16, 65536, 0x7FFF_FFF0, 0x8000_0000, 0xFFFF_FFF0])
def test_the_stack_pointer(machine: WasmMachine, pointer: int) -> None:
    assert machine.stack_pointer == 65536
    machine.restore([], 0, pointer)
    assert machine.stack_pointer == pointer


def test_fresh_machines_share_nothing(make: Maker) -> None:
    first, second = make(), make()
    first.write(0, b"mark")
    first.restore([], 0, 16)
    assert second.read(0, 4) == bytes(4)
    assert second.stack_pointer == 65536
    assert make().read(0, 4) == bytes(4)
