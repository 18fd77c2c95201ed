"""Wasmtime's C functions, declared for speed: every pointer is a plain integer.

wasmtime-py's own declarations build a ctypes pointer object for each argument, which costs more than the work.
These are second handles on the same symbols of the library that wasmtime-py has loaded, so there is only one
engine in the process. Short functions keep the GIL (``_quick``); those that run a guest or map memory release it.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from importlib import import_module
from time import perf_counter
from typing import Any, cast

from wasmtime import Trap, WasmtimeError
from wasmtime import _bindings as bindings  # pyright: ignore[reportPrivateUsage]
from wasmtime import _ffi as ffi  # pyright: ignore[reportPrivateUsage]

__all__ = [
    "DOOR_CALLBACKS",
    "EPOCH_CALLBACK",
    "EXTERN_SIZE",
    "EXTERN_VALUE",
    "IMPORT_CALLBACK",
    "INSTANCE_SIZE",
    "VALUE_SIZE",
    "address",
    "bindings",
    "call",
    "define_import",
    "epoch_callback",
    "error_new",
    "find_export",
    "fuel_get",
    "fuel_set",
    "global_get",
    "global_set",
    "host",
    "import_callback",
    "increment_epoch",
    "instantiate",
    "memory_data",
    "memory_grow",
    "memory_size",
    "set_epoch_callback",
    "set_epoch_deadline",
    "set_limits",
    "store_context",
    "store_delete",
    "store_new",
    "take_error",
    "take_trap",
    "trap_new",
    "value_new",
]

# A name may not be longer than this to be worth showing: engine messages can quote guest names.
_MAX_MESSAGE = 2_000

_pointer = ctypes.c_void_p
_size = ctypes.c_size_t
_u64 = ctypes.c_uint64

_releasing: ctypes.CDLL = cast(Any, ffi).dll
_keeping = ctypes.PyDLL(_releasing._name, handle=_releasing._handle)

EXTERN_SIZE = ctypes.sizeof(bindings.wasmtime_extern_t)
EXTERN_VALUE: int = bindings.wasmtime_extern_t.of.offset
INSTANCE_SIZE = ctypes.sizeof(bindings.wasmtime_instance_t)
VALUE_SIZE = ctypes.sizeof(bindings.wasmtime_val_t)

# (env, caller, arguments and results, how many) -> trap or 0
IMPORT_CALLBACK = ctypes.CFUNCTYPE(_size, _pointer, _pointer, _pointer, _size)
# (context, data, *delta, *kind) -> error or 0
EPOCH_CALLBACK = ctypes.CFUNCTYPE(_size, _pointer, _pointer, _pointer, _pointer)


def import_callback(function: Callable[[int | None, int, int, int], int]) -> Any:
    """Turn a function of (env, caller, raw values, how many) into one the engine can call. Keep the result alive."""
    return IMPORT_CALLBACK(function)


def epoch_callback(function: Callable[[int, int | None, int, int], int]) -> Any:
    """Turn a function of (context, data, delta address, kind address) into one the engine can call."""
    return EPOCH_CALLBACK(function)


def _declare(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    function = library[name]
    function.restype = result
    function.argtypes = list(arguments)
    return function


def _quick(name: str, result: Any, *arguments: Any) -> Any:
    return _declare(_keeping, name, result, *arguments)


def _slow(name: str, result: Any, *arguments: Any) -> Any:
    return _declare(_releasing, name, result, *arguments)


_i64 = ctypes.c_int64

store_new = _quick("wasmtime_store_new", _pointer, _pointer, _pointer, _pointer)
store_context = _quick("wasmtime_store_context", _pointer, _pointer)
store_delete = _slow("wasmtime_store_delete", None, _pointer)
set_limits = _quick("wasmtime_store_limiter", None, _pointer, _i64, _i64, _i64, _i64, _i64)
set_epoch_callback = _quick(
    "wasmtime_store_epoch_deadline_callback", None, _pointer, EPOCH_CALLBACK, _pointer, _pointer
)
set_epoch_deadline = _quick("wasmtime_context_set_epoch_deadline", None, _pointer, _u64)
increment_epoch = _quick("wasmtime_engine_increment_epoch", None, _pointer)
fuel_set = _quick("wasmtime_context_set_fuel", _pointer, _pointer, _u64)
fuel_get = _quick("wasmtime_context_get_fuel", _pointer, _pointer, _pointer)
define_import = _quick(
    "wasmtime_linker_define_func_unchecked",
    _pointer,
    _pointer,
    ctypes.c_char_p,
    _size,
    ctypes.c_char_p,
    _size,
    _pointer,
    IMPORT_CALLBACK,
    _pointer,
    _pointer,
)
instantiate = _slow("wasmtime_instance_pre_instantiate", _pointer, _pointer, _pointer, _pointer, _pointer)
find_export = _quick(
    "wasmtime_instance_export_get", ctypes.c_bool, _pointer, _pointer, ctypes.c_char_p, _size, _pointer
)
call = _slow("wasmtime_func_call_unchecked", _pointer, _pointer, _pointer, _pointer, _size, _pointer)
memory_data = _quick("wasmtime_memory_data", _pointer, _pointer, _pointer)
memory_size = _quick("wasmtime_memory_data_size", _size, _pointer, _pointer)
memory_grow = _slow("wasmtime_memory_grow", _pointer, _pointer, _pointer, _u64, _pointer)
global_get = _quick("wasmtime_global_get", None, _pointer, _pointer, _pointer)
global_set = _quick("wasmtime_global_set", _pointer, _pointer, _pointer, _pointer)
value_new: Any = bindings.wasmtime_val_t
trap_new = _quick("wasmtime_trap_new", _pointer, ctypes.c_char_p, _size)
error_new = _quick("wasmtime_error_new", _pointer, ctypes.c_char_p)


def address(pointer: Any) -> int:
    """Return the address that one of wasmtime-py's pointers holds. Raises ValueError for null."""
    value = ctypes.cast(pointer, _pointer).value
    if value is None:
        raise ValueError("a null pointer")
    return value


def take_error(pointer: int) -> str:
    """Return an engine error's message and free the error."""
    error: Any = WasmtimeError
    return str(error._from_ptr(_typed(pointer, bindings.wasmtime_error_t)))[:_MAX_MESSAGE]


def take_trap(pointer: int) -> Trap:
    """Return a trap as wasmtime-py's object, which owns it from now on."""
    trap: Any = Trap
    owned: Trap = trap._from_ptr(_typed(pointer, bindings.wasm_trap_t))
    return owned


def _typed(pointer: int, kind: Any) -> Any:
    untyped: Any = ctypes
    return untyped.cast(pointer, untyped.POINTER(kind))


# What Python and C say to each other; to be raised on both sides with every change of it.
_HOST_VERSION = 2


def _load_host() -> Any:
    """Return the hot path in C, or None where Python does it all: see docs/decisions."""
    if sys.platform != "linux" or os.environ.get("CLOCHE_PURE", "0") not in ("", "0"):
        return None
    try:
        found: Any = import_module("cloche._host")
    except ImportError:
        # Not built for this platform.
        return None
    # One that an older checkout has left behind, or another clock than that of all deadlines.
    if found.VERSION != _HOST_VERSION or abs(found.now() - perf_counter()) > 1:
        return None
    names = ("func_call_unchecked", "trap_new", "memory_data", "memory_data_size")
    found.bind(*(ctypes.cast(_releasing[f"wasmtime_{name}"], _pointer).value for name in names))
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=found.forget)
    return found


host: Any = _load_host()
"""The extension ``cloche._host``, or None: then, and for what it leaves to Python, these modules do the same."""

DOOR_CALLBACKS: dict[str, Any] = (
    {} if host is None else {name: IMPORT_CALLBACK(place) for name, place in host.callbacks().items()}
)
"""Its entries for the imports, by their names."""
