"""Signals that arrive while the main thread runs a guest.

Python runs a signal's handler at the next Python instruction of the main thread. With a guest running, that is the
first instruction of a callback from WebAssembly, before any ``try`` of ours: an exception raised there, such as
KeyboardInterrupt, would be lost inside ctypes, which then hands an undefined pointer to the engine. So for the length
of a step the handlers are wrapped: each still runs at once, but what it raises becomes an interrupt of the guest.
"""

import importlib
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from cloche.runtime.wasm.deadlines import Control
from cloche.runtime.wasm.imports import GuestImports
from cloche.runtime.wasm.traps import Stopped

__all__ = ["Deferral", "is_from_signal", "main"]

_Handler = Callable[[int, FrameType | None], object]

# Those that programs commonly give a handler of their own; Python itself gives one to SIGINT only.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGUSR1", "SIGUSR2", "SIGBREAK")
_NUMBERS = tuple(int(getattr(signal, name)) for name in _NAMES if hasattr(signal, name))
# The C functions behind ``signal``: its Python layer builds enum members, ten times as slow.
_module: Any = importlib.import_module("_signal")
_signal, _getsignal = _module.signal, _module.getsignal


class _Main:
    """The thread on which Python runs signal handlers: in a forked child, the one that forked."""

    def __init__(self) -> None:
        self.ident = threading.main_thread().ident
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._find)

    def _find(self) -> None:
        self.ident = threading.get_ident()


main = _Main()


class _Latest:
    """What a signal's handler raised inside a tool, until the outermost guest of the main thread has been left."""

    error: BaseException | None = None
    depth = 0


_latest = _Latest()


def is_from_signal(error: BaseException) -> bool:
    """Say whether a signal's handler raised this very exception while a tool ran: it is the user's, not the tool's."""
    return error is _latest.error


class Deferral:
    """Wraps the main thread's signal handlers until :meth:`leave`, which delivers late what they raised."""

    def __init__(self, control: Control, host: GuestImports) -> None:
        self._control = control
        self._host = host
        self._raised: BaseException | None = None
        self._saved: dict[int, _Handler] = {}
        self._wrapper: _Handler | None = self._handle
        _latest.depth += 1
        for number in _NUMBERS:
            handler = _getsignal(number)
            if callable(handler):
                self._saved[number] = handler
                _signal(number, self._wrapper)

    def leave(self, error: BaseException | None = None) -> None:
        """Put the handlers back, and raise what they raised meanwhile, unless ``error`` was about that already."""
        _latest.depth -= 1
        if not _latest.depth:
            _latest.error = None
        for number, handler in self._saved.items():
            # A tool may have set its own meanwhile.
            if _getsignal(number) is self._wrapper:
                _signal(number, handler)
        # The bound method and this object hold each other.
        self._wrapper = None
        if self._raised is not None:
            self._deliver(error)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._host.in_handler and not _is_in_finalizer(frame):
            # A tool is running, inside our ``try``: interrupt it where it is.
            self._interrupt_tool(number, frame)
            return
        try:
            self._saved[number](number, frame)
        except BaseException as error:
            self._raised = error
            self._control.stop.set(error)

    def _interrupt_tool(self, number: int, frame: FrameType | None) -> None:
        try:
            self._saved[number](number, frame)
        except BaseException as error:
            _latest.error = error
            raise

    def _deliver(self, error: BaseException | None) -> None:
        raised, self._raised = self._raised, None
        if raised is None or (isinstance(error, Stopped) and error.reason is raised):
            return
        # It came too late to end this guest, and must not end it the next time.
        if self._control.stop.reason is raised:
            self._control.stop.reason = None
        raise raised


def _is_in_finalizer(frame: FrameType | None) -> bool:
    """Return whether Python would drop what is raised here: the garbage collector runs a finalizer anywhere."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False
