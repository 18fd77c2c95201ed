"""What the engine calls when a guest calls an import: five entries that let nothing out but a number.

Each catches everything, because an exception that leaves a ctypes callback makes it return an undefined pointer.
Signals, the one thing that can raise before a callback's first line, are kept away by
:mod:`cloche.runtime.wasm.signals`, and the recursion limit by ``Machine``.
"""

import ctypes
from typing import Any

from cloche.runtime.wasm import native
from cloche.runtime.wasm.control import Active, Control, here
from cloche.runtime.wasm.imports import ImportHost

__all__ = ["CALLBACKS", "Served"]


class Served(Active):
    """A guest whose imports are served by ``host``; None while it serves nobody."""

    __slots__ = ("host",)

    def __init__(self, control: Control, host: ImportHost | None) -> None:
        super().__init__(control)
        self.host = host


# A raw value takes 16 bytes and a 32-bit number its first 4: the arguments are every fourth of these words.
_Arguments = ctypes.c_uint32 * 16


def _host() -> ImportHost:
    guest = here.guest
    if not isinstance(guest, Served) or guest.host is None:
        raise RuntimeError("a guest called an import while this thread was running none")
    return guest.host


def _halt(error: BaseException) -> int:
    guest = here.guest
    if guest is not None:
        guest.control.halt(error)
    trap: int = native.trap_new(b"stopped", 7)
    return trap


@native.import_callback
def _on_call(_env: int | None, _caller: int, values: int, _count: int) -> int:
    try:
        words = _Arguments.from_address(values)
        # Without the help of ``_host``: where there is no guest, or no host, the attribute is what is missing.
        guest: Any = here.guest
        words[0] = guest.host.call(words[0], words[4], words[8], words[12])
        return 0
    except BaseException as error:
        return _halt(error)


@native.import_callback
def _on_take(_env: int | None, _caller: int, values: int, _count: int) -> int:
    try:
        _host().take(_Arguments.from_address(values)[0])
        return 0
    except BaseException as error:
        return _halt(error)


@native.import_callback
def _on_write(_env: int | None, _caller: int, values: int, _count: int) -> int:
    try:
        words = _Arguments.from_address(values)
        _host().write(words[0], words[4], words[8])
        return 0
    except BaseException as error:
        return _halt(error)


@native.import_callback
def _on_clock(_env: int | None, _caller: int, values: int, _count: int) -> int:
    try:
        now = _host().clock(_Arguments.from_address(values)[0])
        ctypes.c_int64.from_address(values).value = now
        return 0
    except BaseException as error:
        return _halt(error)


@native.import_callback
def _on_entropy(_env: int | None, _caller: int, values: int, _count: int) -> int:
    try:
        words = _Arguments.from_address(values)
        _host().entropy(words[0], words[4])
        return 0
    except BaseException as error:
        return _halt(error)


CALLBACKS = {"call": _on_call, "take": _on_take, "write": _on_write, "clock": _on_clock, "entropy": _on_entropy}
"""The engine's entry for each import, by its name. Kept for as long as the process lives."""
