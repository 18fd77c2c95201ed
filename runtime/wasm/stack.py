"""How much native stack the calling thread has: WebAssembly runs on it, and overrunning it kills the process."""

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from cloche.runtime.errors import ConfigurationError

__all__ = ["HOST_ROOM", "fits", "in_greenlet", "known_stack", "require_room", "stack_room", "stack_size"]

# What the host's own handlers may use below the deepest point of the guest.
HOST_ROOM = 1 << 20
# What a thread has already used where its stack pointer cannot be read: enough for Python's deepest recursion.
_ASSUMED_USED = 1 << 20
# POSIX's smallest default among the systems we know (musl); CPython asks for more than that where it can.
_ASSUMED_SIZE = 1 << 20
# A struct ucontext_t is 968 bytes on x86-64 and 4,560 on AArch64.
_CONTEXT_SIZE = 8_192
# Where glibc's getcontext stores the stack pointer, in bytes from the start of ucontext_t.
_STACK_POINTER_AT = {"x86_64": 160, "aarch64": 432}
_POINTER_AT = _STACK_POINTER_AT.get(os.uname().machine) if sys.platform == "linux" else None


class _Bounds(threading.local):
    """The calling thread's stack: its lowest address (0 if unknown) and size, and scratch room to read registers."""

    def __init__(self) -> None:
        self.low, self.size = _measure()
        self.context = ctypes.create_string_buffer(_CONTEXT_SIZE)
        self.pointer = ctypes.c_uint64.from_buffer(self.context, _POINTER_AT or 0)


def stack_size() -> int:
    """Return the size of the calling thread's stack in bytes, or a cautious guess where it is unknown."""
    return _bounds.size


def stack_room() -> int:
    """Return how many bytes of stack the calling thread has left; never too many."""
    bounds = _bounds
    if _getcontext is None or bounds.low == 0:
        return max(0, bounds.size - _ASSUMED_USED)
    _getcontext(bounds.context)
    room: int = bounds.pointer.value - bounds.low
    # Outside the thread's own stack (a coroutine library's, a signal stack): nothing is known about its end.
    return room if 0 <= room <= bounds.size else 0


def known_stack() -> tuple[int, int] | None:
    """Return the calling thread's stack, its lowest address and its size; None where the system does not tell.

    C, which knows where on the stack it is, needs no more; :func:`fits` may have to guess all the same.
    """
    bounds = _bounds
    return None if bounds.low == 0 else (bounds.low, bounds.size)


def in_greenlet() -> bool:
    """Return whether this is a greenlet other than the thread's own.

    While another one runs, its stack is copied away, and the engine would not find the guest that it was running.
    """
    greenlet: Any = sys.modules.get("greenlet")
    return greenlet is not None and greenlet.getcurrent().parent is not None


def fits(wasm_stack: int) -> bool:
    """Return whether the calling thread can run a guest with so many bytes of wasm stack, here."""
    if "greenlet" in sys.modules and in_greenlet():
        return False
    bounds = _bounds
    if _getcontext is None or bounds.low == 0:
        return stack_room() >= wasm_stack + HOST_ROOM
    # As in ``stack_room``, without the call: this is part of every run.
    _getcontext(bounds.context)
    return wasm_stack + HOST_ROOM <= bounds.pointer.value - bounds.low <= bounds.size


def require_room(wasm_stack: int) -> None:
    """Raise ConfigurationError unless the calling thread can run a guest with so many bytes of wasm stack."""
    if not fits(wasm_stack):
        if in_greenlet():
            raise ConfigurationError("greenlet", "a guest cannot run in a greenlet: call it from a thread of its own")
        raise ConfigurationError(
            "thread stack",
            f"this thread has {stack_room():,} bytes left and a guest needs {wasm_stack + HOST_ROOM:,}: start it after "
            f"threading.stack_size({2 * (wasm_stack + HOST_ROOM)}), or run from a less deeply nested place",
        )


def _measure() -> tuple[int, int]:
    try:
        return _MEASURES[sys.platform]()
    except (KeyError, OSError, AttributeError):
        return 0, threading.stack_size() or _ASSUMED_SIZE


def _measure_linux() -> tuple[int, int]:
    library: Any = ctypes.CDLL(None)
    attributes = ctypes.create_string_buffer(256)
    low, size = ctypes.c_void_p(), ctypes.c_size_t()
    library.pthread_self.restype = ctypes.c_void_p
    _check(library.pthread_getattr_np(ctypes.c_void_p(library.pthread_self()), attributes))
    try:
        _check(library.pthread_attr_getstack(attributes, ctypes.byref(low), ctypes.byref(size)))
    finally:
        library.pthread_attr_destroy(attributes)
    return low.value or 0, size.value


def _measure_mac() -> tuple[int, int]:
    library: Any = ctypes.CDLL(None)
    library.pthread_self.restype = library.pthread_get_stackaddr_np.restype = ctypes.c_void_p
    library.pthread_get_stacksize_np.restype = ctypes.c_size_t
    thread = ctypes.c_void_p(library.pthread_self())
    size: int = library.pthread_get_stacksize_np(thread)
    # The address is that of its upper end.
    top: int = library.pthread_get_stackaddr_np(thread) or 0
    return max(0, top - size), size


def _check(error: int) -> None:
    if error:
        raise OSError(error, "cannot read this thread's stack")


def _find_getcontext() -> Any:
    if _POINTER_AT is None:
        return None
    # PyDLL keeps the GIL, which is cheaper than the call itself.
    library = ctypes.PyDLL(None)
    # Only glibc's layout is known.
    return getattr(library, "getcontext", None) if hasattr(library, "gnu_get_libc_version") else None


_MEASURES: dict[str, Callable[[], tuple[int, int]]] = {"linux": _measure_linux, "darwin": _measure_mac}
_getcontext = _find_getcontext()
_bounds = _Bounds()
