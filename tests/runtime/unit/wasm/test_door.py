import pytest
from hypothesis import given
from hypothesis import strategies as st
from wasmtime import wat2wasm

from cloche.runtime.wasm.module_file import read_door

MODULE = bytes(
    wat2wasm(
        """(module
          (import "cloche" "call" (func (param i32) (result i32)))
          (import "cloche" "clock" (func))
          (memory (export "memory") 1)
          (global (export "pointer") (mut i32) (i32.const 0))
          (func (export "step")))"""
    )
)


def test_imports_and_exports_in_order() -> None:
    door = read_door(MODULE)
    assert door.imports == ("cloche.call", "cloche.clock")
    assert door.exports == (("memory", "memory"), ("global", "pointer"), ("function", "step"))


def test_a_module_without_either() -> None:
    door = read_door(bytes(wat2wasm("(module)")))
    assert (door.imports, door.exports) == ((), ())


def test_an_import_that_is_no_function_is_refused() -> None:
    with pytest.raises(ValueError, match=r"env\.memory is not a function"):
        read_door(bytes(wat2wasm('(module (import "env" "memory" (memory 1)))')))


@given(st.binary().filter(lambda data: not data.startswith(b"\0asm\x01\0\0\0")))
def test_other_bytes_are_no_module(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a WebAssembly module"):
        read_door(data)


@pytest.mark.parametrize("length", range(8, len(MODULE)))
def test_a_module_that_was_cut_never_breaks_the_reader(length: int) -> None:
    imports, problem = _imports_or_problem(MODULE[:length])
    # Cut between two sections it is a shorter module, anywhere else it is damaged.
    assert imports <= {"cloche.call", "cloche.clock"} if not problem else "damaged" in problem


@given(st.data())
def test_a_module_with_a_changed_byte_never_breaks_the_reader(data: st.DataObject) -> None:
    at = data.draw(st.integers(8, len(MODULE) - 1))
    changed = bytearray(MODULE)
    changed[at] = data.draw(st.integers(0, 255))
    _, problem = _imports_or_problem(bytes(changed))
    assert not problem or "damaged" in problem or "not a function" in problem


def _imports_or_problem(module: bytes) -> tuple[set[str], str]:
    try:
        return set(read_door(module).imports), ""
    except ValueError as error:
        return set(), str(error)
