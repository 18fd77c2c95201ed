"""Wasmtime's library without wasmtime-py: the same file, and structures of the same shape."""

import ctypes
from importlib.metadata import version
from typing import Any

import pytest
import wasmtime

from cloche.runtime.wasm import native
from cloche.runtime.wasm.engine import Engine

untyped: Any = wasmtime
bindings = untyped._bindings


def test_structures_are_as_wasmtime_py_has_them() -> None:
    assert ctypes.sizeof(bindings.wasmtime_extern_t) == native.EXTERN_SIZE
    assert bindings.wasmtime_extern_t.of.offset == native.EXTERN_VALUE
    assert ctypes.sizeof(bindings.wasmtime_instance_t) == native.INSTANCE_SIZE
    assert ctypes.sizeof(bindings.wasmtime_val_t) == native.VALUE_SIZE
    value: Any = type(native.value_new())
    assert bindings.wasmtime_val_t.of.offset == value.of.offset


def test_it_is_the_library_that_wasmtime_py_has() -> None:
    here, there = native.store_new, untyped._ffi.dll.wasmtime_store_new
    assert ctypes.cast(here, ctypes.c_void_p).value == ctypes.cast(there, ctypes.c_void_p).value
    assert version("wasmtime") == native.WASMTIME_VERSION


def test_what_the_engine_refuses_is_an_error_with_its_words(engine: Engine) -> None:
    with pytest.raises(native.EngineError, match="magic"):
        native.compile_module(engine.handle, b"not a module")
    with pytest.raises(native.EngineError):
        native.load_module(engine.handle, "/nonexistent")
    with pytest.raises(AttributeError):
        native.new_engine({"no such setting": True})
