"""The one door: what an image may import and must export, checked before any guest is made of it."""

import wasmtime

from cloche.runtime.errors import ImageError
from cloche.runtime.wasm.imports import IMPORTS

__all__ = ["EXPORTS", "check_door"]

# name -> (parameters, results) of the functions an image must export.
EXPORTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "cloche_inbox": (("i32",), ("i32",)),
    "cloche_step": (("i32",), ("i64",)),
}


def check_door(module: wasmtime.Module) -> int:
    """Return the pages of memory that a fresh guest has.

    Raises ImageError if the module imports anything but the bridge's functions, or lacks an export. The unchecked
    calls rely on it: they trust that the types are these.
    """
    for each in module.imports:
        if each.module != "cloche" or each.name not in IMPORTS:
            raise ImageError(f"the image imports {each.module}.{each.name}, which is not part of the bridge")
        _check_function(each.name, each.type, IMPORTS[each.name])
    return _check_exports(module)


def _check_exports(module: wasmtime.Module) -> int:
    found = {each.name: each.type for each in module.exports}
    for name, signature in EXPORTS.items():
        _check_function(name, found.get(name), signature)
    pointer, memory = found.get("__stack_pointer"), found.get("memory")
    if not isinstance(pointer, wasmtime.GlobalType) or str(pointer.content) != "i32" or not pointer.mutable:
        raise ImageError("the image does not export __stack_pointer as a mutable i32")
    if not isinstance(memory, wasmtime.MemoryType) or memory.is_64:
        raise ImageError("the image does not export a 32-bit memory")
    return memory.limits.min


def _check_function(name: str, found: object, signature: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    if not isinstance(found, wasmtime.FuncType):
        raise ImageError(f"the image has no function {name}")
    actual = (tuple(map(str, found.params)), tuple(map(str, found.results)))
    if actual != signature:
        raise ImageError(f"the image's function {name} is of type {actual} instead of {signature}")
