"""Every way a guest can end, told apart, through both ways into Wasmtime."""

import pytest
import wasmtime

from cloche.runtime.wasm.machine import WasmMachine
from cloche.runtime.wasm.traps import StopKind, Stopped, kind_of

from .toy import Toy, deed

ENDS = [
    (deed(Toy.RECURSE), StopKind.STACK),
    (deed(Toy.UNREACHABLE), StopKind.UNREACHABLE),
    (deed(Toy.OUT_OF_BOUNDS), StopKind.MEMORY),
    (deed(Toy.FILL, 0, 0, -1), StopKind.MEMORY),
    (deed(Toy.DIVIDE, 0), StopKind.ARITHMETIC),
    (deed(Toy.OVERFLOW, -1), StopKind.ARITHMETIC),
    (deed(Toy.CONVERT), StopKind.ARITHMETIC),
    (deed(Toy.CALL_NULL), StopKind.CALL),
    (deed(Toy.CALL_WRONG), StopKind.CALL),
    (deed(Toy.TABLE_OUT_OF_BOUNDS), StopKind.TABLE),
]
# All others come from features that are switched off.
CODES = {
    "STACK_OVERFLOW": StopKind.STACK,
    "MEMORY_OUT_OF_BOUNDS": StopKind.MEMORY,
    "HEAP_MISALIGNED": StopKind.MEMORY,
    "ALLOCATION_TOO_LARGE": StopKind.MEMORY,
    "TABLE_OUT_OF_BOUNDS": StopKind.TABLE,
    "INDIRECT_CALL_TO_NULL": StopKind.CALL,
    "BAD_SIGNATURE": StopKind.CALL,
    "NULL_REFERENCE": StopKind.CALL,
    "INTEGER_OVERFLOW": StopKind.ARITHMETIC,
    "INTEGER_DIVISION_BY_ZERO": StopKind.ARITHMETIC,
    "BAD_CONVERSION_TO_INTEGER": StopKind.ARITHMETIC,
    "UNREACHABLE": StopKind.UNREACHABLE,
    "UNCAUGHT_EXCEPTION": StopKind.UNREACHABLE,
    "INTERRUPT": StopKind.INTERRUPTED,
    "OUT_OF_FUEL": StopKind.FUEL,
}


@pytest.mark.parametrize(("request_", "kind"), ENDS)
def test_a_trap_has_its_kind(machine: WasmMachine, request_: bytes, kind: StopKind) -> None:
    with pytest.raises(Stopped) as caught:
        machine.step(request_)
    assert caught.value.kind is kind
    assert caught.value.code is not None
    assert caught.value.reason is None
    assert machine.stopped is caught.value
    assert machine.dead


def test_running_out_of_fuel(machine: WasmMachine) -> None:
    machine.set_fuel(10_000)
    with pytest.raises(Stopped) as caught:
        machine.step(deed(Toy.LOOP))
    assert caught.value.kind is StopKind.FUEL
    assert machine.fuel_left() == 0


def test_no_fuel_at_all(machine: WasmMachine) -> None:
    machine.set_fuel(0)
    with pytest.raises(Stopped) as caught:
        machine.step(deed(Toy.ECHO))
    assert caught.value.kind is StopKind.FUEL


@pytest.mark.parametrize("code", list(wasmtime.TrapCode), ids=lambda code: code.name)
def test_every_trap_code_of_the_engine_has_a_kind(code: wasmtime.TrapCode) -> None:
    assert kind_of(int(code.value)) is CODES.get(code.name, StopKind.ENGINE)


def test_a_trap_without_a_code() -> None:
    assert kind_of(None) is StopKind.UNKNOWN
    assert kind_of(255) is StopKind.UNKNOWN


def test_what_a_stop_says() -> None:
    assert str(Stopped(StopKind.TIME)) == "the deadline passed"
    assert str(Stopped(StopKind.MEMORY, "wasm trap")) == "an access outside the memory: wasm trap"
    assert str(Stopped(StopKind.HOST, reason=ValueError("secret"))) == "a host handler ended the run: ValueError"
