from __future__ import annotations

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from cloche.runtime.wasm import module_file
from cloche.runtime.wasm.module_file import ModuleSection, Reader, Section

WAT = """
(module
  (import "cloche" "clock" (func (param i32) (result i64)))
  (memory (export "memory") 1)
  (global (export "__stack_pointer") (mut i32) (i32.const 64))
  (func (export "cloche_inbox") (param i32) (result i32) (i32.load (i32.const 70000)))
  (func (export "cloche_step") (param i32) (result i64) (i64.const 7))
  (func (export "cloche_bake_start") (result i32) (i32.const 0))
  (data (i32.const 8) "linked"))
"""


@given(st.integers(min_value=0, max_value=2**32 - 1))
def test_unsigned_numbers_round_trip(value: int) -> None:
    assert Reader(module_file.leb(value)).number() == value


@given(st.binary(max_size=64), st.integers(min_value=0, max_value=2**31 - 1))
def test_a_data_section_is_accepted_by_the_engine(data: bytes, offset: int) -> None:
    memory = Section(ModuleSection.MEMORY, module_file.memory_section(65536))
    module = module_file.assemble([memory, Section(ModuleSection.DATA, module_file.data_section(data, offset))])
    wasmtime.Module.validate(wasmtime.Engine(), module)


def test_sections_reassemble_to_the_same_bytes() -> None:
    module = bytes(wasmtime.wat2wasm(WAT))
    assert module_file.assemble(list(module_file.sections(module))) == module


def test_imports_are_listed_in_order() -> None:
    assert module_file.imports(bytes(wasmtime.wat2wasm(WAT))) == [("cloche", "clock")]


@pytest.fixture
def rewritten() -> bytes:
    memory = bytearray(2 * 65536)
    memory[70000:70004] = (1234).to_bytes(4, "little")
    return module_file.rewritten(bytes(wasmtime.wat2wasm(WAT)), bytes(memory), 0x1000)


def test_a_rewritten_module_starts_from_the_given_memory_and_stack(rewritten: bytes) -> None:
    engine = wasmtime.Engine()
    store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
    kind = wasmtime.FuncType([wasmtime.ValType.i32()], [wasmtime.ValType.i64()])
    linker.define_func("cloche", "clock", kind, lambda _: 0)
    exports = linker.instantiate(store, wasmtime.Module(engine, rewritten)).exports(store)
    inbox, pointer = exports["cloche_inbox"], exports["__stack_pointer"]
    assert isinstance(inbox, wasmtime.Func)
    assert isinstance(pointer, wasmtime.Global)
    assert inbox(store, 0) == 1234
    assert pointer.value(store) == 0x1000


def test_a_rewritten_module_keeps_only_the_run_time_exports(rewritten: bytes) -> None:
    names = [export.name for export in wasmtime.Module(wasmtime.Engine(), rewritten).exports]
    assert set(names) == module_file.EXPORTS


def test_a_second_mutable_global_is_refused() -> None:
    two = "(module (memory 1) (global (mut i32) (i32.const 1)) (global (mut i32) (i32.const 2)))"
    with pytest.raises(AssertionError, match="2 mutable globals"):
        module_file.rewritten(bytes(wasmtime.wat2wasm(two)), bytes(65536), 0)


WITH_TABLE = """
(module
  (type $number (func (result i32)))
  (table 4 funcref)
  (elem (i32.const 1) $one $two $three)
  (func $unnamed)
  (func $one (result i32) (i32.const 1))
  (func $two (result i32) (i32.const 2))
  (func $three (result i32) (i32.const 3))
  (func (export "at") (param i32) (result i32) (call_indirect (type $number) (local.get 0))))
"""


def test_what_a_table_has_is_found() -> None:
    assert module_file.addressed(bytes(wasmtime.wat2wasm(WITH_TABLE))) == (1, [1, 2, 3])


@pytest.mark.parametrize("often", [[], [3], [2, 3, 1]])
def test_functions_that_are_declared_first_are_called_as_before(often: list[int]) -> None:
    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    module = module_file.clustered(bytes(wasmtime.wat2wasm(WITH_TABLE)), often)
    (payload,) = (part.payload for part in module_file.sections(module) if part.id == ModuleSection.ELEMENT)
    assert payload[1:-8] == (bytes([3, 0, len(often), *often]) if often else b"")
    at = wasmtime.Instance(store, wasmtime.Module(engine, module), []).exports(store)["at"]
    assert isinstance(at, wasmtime.Func)
    assert [at(store, place) for place in (1, 2, 3)] == [1, 2, 3]


def test_a_table_can_be_exported() -> None:
    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    module = module_file.with_table(bytes(wasmtime.wat2wasm(WITH_TABLE)), "all")
    exports = wasmtime.Instance(store, wasmtime.Module(engine, module), []).exports(store)
    table = exports["all"]
    assert isinstance(table, wasmtime.Table)
    assert table.size(store) == 4
    assert isinstance(exports["at"], wasmtime.Func)
