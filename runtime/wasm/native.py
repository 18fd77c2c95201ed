"""Wasmtime's C functions, declared for speed: every pointer is a plain integer.

The library is the one of wasmtime-py, loaded without it: importing that package declares all of its 760 functions,
which takes longer than a guest to start. A process that imports it too has one engine all the same, as it is the same
file. Short functions keep the GIL (``_quick``); those that compile, run a guest or map memory release it.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from os.path import dirname, exists, join
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import wasmtime

__all__ = [
    "DOOR_CALLBACKS",
    "EPOCH_CALLBACK",
    "EXTERN_SIZE",
    "EXTERN_VALUE",
    "IMPORT_CALLBACK",
    "INSTANCE_SIZE",
    "MACHINE",
    "VALUE_SIZE",
    "WASMTIME_VERSION",
    "EngineError",
    "EngineHandle",
    "Module",
    "Owned",
    "Prepared",
    "Signature",
    "call",
    "compile_module",
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
    "load_module",
    "memory_data",
    "memory_grow",
    "memory_size",
    "new_engine",
    "prepare",
    "set_epoch_callback",
    "set_epoch_deadline",
    "set_limits",
    "store_context",
    "store_delete",
    "store_new",
    "take_error",
    "take_trap",
    "to_wasmtime",
    "trap_new",
    "value_new",
]

# A name may not be longer than this to be worth showing: engine messages can quote guest names.
_MAX_MESSAGE = 2_000
_FILES = {"win32": "_wasmtime.dll", "darwin": "_libwasmtime.dylib"}

_pointer = ctypes.c_void_p
_size = ctypes.c_size_t
_u64 = ctypes.c_uint64
_i64 = ctypes.c_int64
_bool = ctypes.c_bool


def _machine() -> str:
    if sys.platform == "win32":
        import platform

        name = platform.machine()
    else:
        name = os.uname().machine
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name.lower(), name)


MACHINE = _machine()
"""The machine's kind, as wasmtime-py names it: "x86_64", "aarch64"."""


def _find() -> tuple[str, str]:
    """Return where Wasmtime's library is, and of which version. Raises ImportError if it is not installed."""
    spec = PathFinder.find_spec("wasmtime")
    if spec is not None and spec.origin is not None:
        package = dirname(spec.origin)
    else:
        # Where something else than a folder of the path gives it.
        import wasmtime

        package = dirname(wasmtime.__file__)
    path = join(package, f"{sys.platform}-{MACHINE}", _FILES.get(sys.platform, "_libwasmtime.so"))
    if not exists(path):
        import wasmtime

        untyped: Any = wasmtime
        path = str(untyped._ffi.dll._name)
    return path, _version(dirname(package))


def _version(folder: str) -> str:
    # The name of the folder with its metadata; the module that reads those takes longer to import than a guest to run.
    for name in os.listdir(folder):
        if name.startswith("wasmtime-") and name.endswith(".dist-info"):
            return name.removeprefix("wasmtime-").removesuffix(".dist-info")
    from importlib.metadata import version

    return version("wasmtime")


_path, WASMTIME_VERSION = _find()
_releasing = ctypes.CDLL(_path)
_keeping = ctypes.PyDLL(_path, handle=_releasing._handle)


class _Content(ctypes.Union):
    _fields_ = (("i32", ctypes.c_int32), ("i64", _i64), ("reference", _u64 * 3))


class _Value(ctypes.Structure):
    """``wasmtime_val_t``."""

    _fields_ = (("kind", ctypes.c_uint8), ("of", _Content))


class _Bytes(ctypes.Structure):
    """``wasm_byte_vec_t``."""

    _fields_ = (("size", _size), ("data", _pointer))


# Of ``wasmtime_extern_t``, of the union in it, and of ``wasmtime_instance_t``; tests compare them with wasmtime-py's.
EXTERN_SIZE, EXTERN_VALUE, INSTANCE_SIZE = 32, 8, 16
VALUE_SIZE = ctypes.sizeof(_Value)

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
value_new: Any = _Value
trap_new = _quick("wasmtime_trap_new", _pointer, ctypes.c_char_p, _size)
error_new = _quick("wasmtime_error_new", _pointer, ctypes.c_char_p)
_functype_new = _quick("wasm_functype_new", _pointer, _pointer, _pointer)
_functype_delete = _quick("wasm_functype_delete", None, _pointer)
_valtype_new = _quick("wasm_valtype_new", _pointer, ctypes.c_uint8)
_valtypes_new = _quick("wasm_valtype_vec_new", None, _pointer, _size, _pointer)
_config_new = _quick("wasm_config_new", _pointer)
_engine_new = _slow("wasm_engine_new_with_config", _pointer, _pointer)
_module_new = _slow("wasmtime_module_new", _pointer, _pointer, ctypes.c_char_p, _size, _pointer)
_module_load = _slow("wasmtime_module_deserialize_file", _pointer, _pointer, ctypes.c_char_p, _pointer)
_module_serialize = _slow("wasmtime_module_serialize", _pointer, _pointer, _pointer)
_module_clone = _quick("wasmtime_module_clone", _pointer, _pointer)
_linker_new = _quick("wasmtime_linker_new", _pointer, _pointer)
_linker_delete = _quick("wasmtime_linker_delete", None, _pointer)
_linker_prepare = _quick("wasmtime_linker_instantiate_pre", _pointer, _pointer, _pointer, _pointer)
_error_message = _quick("wasmtime_error_message", None, _pointer, _pointer)
_error_delete = _quick("wasmtime_error_delete", None, _pointer)
_trap_message = _quick("wasm_trap_message", None, _pointer, _pointer)
_trap_code = _quick("wasmtime_trap_code", _bool, _pointer, _pointer)
_trap_delete = _quick("wasm_trap_delete", None, _pointer)
_bytes_delete = _quick("wasm_byte_vec_delete", None, _pointer)

_KINDS = {"i32": 0, "i64": 1}
# Settings of one byte; all other numbers are of 64 bits.
_ENUMERATIONS = ("strategy", "cranelift_opt_level")


class EngineError(Exception):
    """What the engine says where it refuses something."""


class Owned:
    """Something of the engine's at ``address``, which is freed with this object."""

    __slots__ = ("address",)
    _delete: Any

    def __init__(self, address: int) -> None:
        self.address = address

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        # At the interpreter's end all memory goes anyway, and other objects may still need it.
        if not ending():
            self._delete(self.address)


class EngineHandle(Owned):
    """An engine of one configuration."""

    __slots__ = ()
    _delete = _slow("wasm_engine_delete", None, _pointer)


class Module(Owned):
    """A compiled module."""

    __slots__ = ()
    _delete = _slow("wasmtime_module_delete", None, _pointer)

    def serialize(self) -> bytes:
        """Return the compiled code, for :func:`load_module`. Raises EngineError."""
        content = _Bytes()
        _check(_module_serialize(self.address, ctypes.addressof(content)))
        return _take_bytes(content)


def to_wasmtime(module: Module) -> "wasmtime.Module":
    """Return the same module as wasmtime-py's object, which can say what it imports and exports."""
    import wasmtime

    library: Any = wasmtime
    untyped: Any = ctypes
    clone = untyped.cast(_module_clone(module.address), untyped.POINTER(library._ffi.wasmtime_module_t))
    found: wasmtime.Module = library.Module._from_ptr(clone)
    return found


class Prepared(Owned):
    """A module whose imports are known."""

    __slots__ = ()
    _delete = _slow("wasmtime_instance_pre_delete", None, _pointer)


def new_engine(settings: dict[str, bool | int]) -> EngineHandle:
    """Return an engine of these settings, by the names of the library's functions: "wasm_simd", "strategy".

    Raises AttributeError for a name that the library does not have.
    """
    config = _config_new()
    for name, value in settings.items():
        kind = _bool if isinstance(value, bool) else ctypes.c_uint8 if name in _ENUMERATIONS else _u64
        _quick(f"wasmtime_config_{name}_set", None, _pointer, kind)(config, value)
    return EngineHandle(_engine_new(config))


def compile_module(engine: EngineHandle, content: bytes) -> Module:
    """Compile a module, which takes seconds for a large one. Raises EngineError for one that is not valid."""
    found = _pointer()
    _check(_module_new(engine.address, content, len(content), ctypes.addressof(found)))
    return Module(_address(found))


def load_module(engine: EngineHandle, path: str) -> Module:
    """Map a file of compiled code, which is trusted. Raises EngineError if it is not for this engine or machine."""
    found = _pointer()
    _check(_module_load(engine.address, path.encode(), ctypes.addressof(found)))
    return Module(_address(found))


Signature = tuple[tuple[str, ...], tuple[str, ...]]
"""Parameters and results, as "i32" and "i64"."""


def prepare(
    engine: EngineHandle, module: Module, imports: "dict[str, tuple[Signature, Any]]", namespace: str
) -> Prepared:
    """Resolve a module's imports with these callbacks, by their names. Raises EngineError if one is missing."""
    linker, found = _linker_new(engine.address), _pointer()
    try:
        for name, ((parameters, results), callback) in imports.items():
            kind = _functype_new(_types(parameters), _types(results))
            place = (namespace.encode(), len(namespace), name.encode(), len(name))
            error = define_import(linker, *place, kind, callback, ctypes.addressof(_constant(name)), None)
            _functype_delete(kind)
            _check(error)
        _check(_linker_prepare(linker, module.address, ctypes.addressof(found)))
    finally:
        _linker_delete(linker)
    return Prepared(_address(found))


@cache
def _constant(name: str) -> Any:
    """Return a C string that stays where it is: the context of a callback, by which several imports can share one."""
    return ctypes.create_string_buffer(name.encode())


def _types(names: tuple[str, ...]) -> Any:
    kinds = (_pointer * len(names))(*(_valtype_new(_KINDS[name]) for name in names))
    types = _Bytes()
    _valtypes_new(ctypes.byref(types), len(names), ctypes.byref(kinds))
    return ctypes.byref(types)


def take_error(pointer: int) -> str:
    """Return an engine error's message and free the error."""
    message = _Bytes()
    _error_message(pointer, ctypes.addressof(message))
    _error_delete(pointer)
    return _take_bytes(message).decode("utf-8", "replace")[:_MAX_MESSAGE]


def take_trap(pointer: int) -> tuple[int | None, str]:
    """Return a trap's code, if it has one, and its message, and free the trap."""
    code, message = ctypes.c_uint8(), _Bytes()
    has_code = _trap_code(pointer, ctypes.addressof(code))
    _trap_message(pointer, ctypes.addressof(message))
    _trap_delete(pointer)
    return code.value if has_code else None, _take_bytes(message).rstrip(b"\0").decode("utf-8", "replace")


def _take_bytes(vector: _Bytes) -> bytes:
    content = ctypes.string_at(vector.data, vector.size) if vector.size else b""
    _bytes_delete(ctypes.addressof(vector))
    return content


def _address(pointer: Any) -> int:
    assert pointer.value is not None, "the engine said that it had succeeded"
    return int(pointer.value)


def _check(error: int | None) -> None:
    if error:
        raise EngineError(take_error(error))


# What Python and C say to each other; to be raised on both sides with every change of it.
_HOST_VERSION = 6


def _load_host() -> Any:
    """Return the hot path in C, or None where Python does it all: see docs/decisions."""
    if os.environ.get("CLOCHE_PURE", "0") not in ("", "0"):
        return None
    try:
        found: Any = import_module("cloche._host")
    except ImportError:
        # Not built for this platform, or not in a pure wheel.
        return None
    # One that an older checkout has left behind, or another clock than that of all deadlines.
    if found.VERSION != _HOST_VERSION or abs(found.callbacks()[0] - perf_counter()) > 1:
        return None
    names = ("func_call_unchecked", "trap_new", "memory_data", "memory_data_size")
    found.bind(*(ctypes.cast(_releasing[f"wasmtime_{name}"], _pointer).value for name in names))
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=found.forget)
    return found


host: Any = _load_host()
"""The extension ``cloche._host``, or None: then, and for what it leaves to Python, these modules do the same."""

DOOR_CALLBACKS: dict[str, Any] = (
    {} if host is None else {name: IMPORT_CALLBACK(place) for name, place in host.callbacks()[1].items()}
)
"""Its entries for the imports, by their names."""
