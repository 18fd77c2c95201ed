"""Signals that arrive on the main thread while it works for a session.

Python runs a signal's handler at the next Python instruction of the main thread, between any two lines. Two places
must not see an exception there. With a guest running, that instruction is the first one of a callback from WebAssembly,
before any ``try`` of ours: an exception such as KeyboardInterrupt would be lost inside ctypes, which then hands an
undefined pointer to the engine. And between two lines that take a session and note who has it, an exception would leave
the session taken for ever.

So from before a session is taken until after it is released the handlers are wrapped. Each still runs at once. What it
raises is raised at once, too, where that is safe and wanted: in a tool or another function of the user's, and where we
wait for something. Everywhere else it ends the guest that runs, and is raised at the end.
"""

import importlib
import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from threading import get_ident
from types import FrameType, TracebackType
from typing import Any, Self

from cloche.runtime.wasm.deadlines import Control
from cloche.runtime.wasm.traps import Stopped

__all__ = ["OPEN", "SHUT", "Deferral", "acquire", "deferred", "main", "signal_behind"]

_Handler = Callable[[int, FrameType | None], object]

# Those that programs commonly give a handler of their own; Python itself gives one to SIGINT only.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGUSR1", "SIGUSR2", "SIGBREAK")
_NUMBERS = tuple(int(getattr(signal, name)) for name in _NAMES if hasattr(signal, name))
# The C functions behind ``signal``: its Python layer builds enum members, ten times as slow.
_module: Any = importlib.import_module("_signal")
_signal, _getsignal = _module.signal, _module.getsignal

OPEN = frozenset(
    {
        "cloche.runtime.bridge.calls.start_call",
        "cloche.runtime.bridge.pending.settle_answer",
        "cloche.runtime.bridge.pending.wants",
        "cloche.runtime.bridge.pending.check",
        "cloche.runtime.bridge.run_state.emit",
        "cloche.runtime.bridge.run_state.wait_for",
        "cloche.runtime.threads.call_on_thread",
        "cloche.runtime.wasm.signals.acquire",
    }
)
"""Functions that call the user's code, or wait: what a handler raises inside is raised there."""
SHUT = ("cloche.runtime.values.", "cloche.host_tools.arguments", "cloche.host_tools.convert")
"""Modules that take any exception for a fault of the value at hand: what is raised inside would be swallowed."""
# Where a guest is served by handlers of another kind than ours.
_SERVED = frozenset(f"cloche.runtime.wasm.imports.{name}" for name in ("call", "write", "clock", "entropy"))
_RUNTIME = "cloche.runtime."


class _Main:
    """The thread on which Python runs signal handlers: in a forked child, the one that forked.

    ``deferral`` is the innermost one of that thread, and ``handlers`` the user's, by signal, while there is one;
    ``late`` is what they raised after the last one had ended, before they were back in their places.
    """

    def __init__(self) -> None:
        self.ident = threading.main_thread().ident
        self.deferral: Deferral | None = None
        self.handlers: dict[int, _Handler] = {}
        self.late: BaseException | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._find)

    def _find(self) -> None:
        self.ident = threading.get_ident()


class _Latest:
    """What a signal's handler raised inside a tool, until the outermost deferral of the main thread is left."""

    error: BaseException | None = None


_latest = _Latest()


def signal_behind(error: BaseException) -> BaseException | None:
    """Return what a signal's handler raised while a tool ran, if that is this exception: it is the user's.

    Or if it is behind one of our own, such as a policy that could not decide; None for any other exception.
    """
    latest, behind, looked_at = _latest.error, error, 0
    while latest is not None and looked_at < _MAX_BEHIND:
        if behind is latest:
            return latest
        context = behind.__cause__ or behind.__context__
        if context is None or not type(behind).__module__.startswith("cloche."):
            return None
        behind, looked_at = context, looked_at + 1
    return None


_MAX_BEHIND = 20


class Deferral:
    """Wraps the main thread's signal handlers while it is entered; at its end, what they raised is raised.

    ``control`` is that of the guest that runs within it, if one does; ``raised`` is what is to be raised at the end,
    and ends a guest that is about to run. A deferral within another one, as of a tool that uses a sandbox, takes its
    place meanwhile.
    """

    # Defaults here: one is made for each run, and most of them keep one or both.
    control: Control | None = None
    raised: BaseException | None = None

    def __enter__(self) -> Self:
        before = self._before = main.deferral
        try:
            main.deferral = self
            if before is not None:
                return self
            main.late = None
            main.handlers = handlers = {}
            for number in _NUMBERS:
                handler = _getsignal(number)
                if callable(handler):
                    # Noted first: a signal that comes in between finds the handler still in its place.
                    handlers[number] = handler
                    _signal(number, _on_signal)
        except BaseException:
            # Of a handler that was not wrapped yet.
            main.deferral = before
            _unwrap()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        main.deferral = self._before
        if self._before is None:
            _latest.error = None
            # All else is done: from here on a handler that is back in its place may raise between any two lines.
            try:
                for number, handler in main.handlers.items():
                    # A tool may have set its own meanwhile.
                    if _getsignal(number) is _on_signal:
                        _signal(number, handler)
            except BaseException:
                _unwrap()
                raise
            if main.late is not None and self.raised is None:
                self.raised = main.late
        if self.raised is not None:
            self._deliver(error)

    def keep(self, raised: BaseException) -> None:
        """Take what a handler raised, and end the guest that runs."""
        self.raised = raised
        if self.control is not None:
            self.control.stop.set(raised)

    def raise_now(self) -> None:
        """Raise what was kept, if anything was."""
        raised, self.raised = self.raised, None
        if raised is not None:
            raise raised

    def _deliver(self, error: BaseException | None) -> None:
        raised, self.raised = self.raised, None
        if raised is None or error is raised or (isinstance(error, Stopped) and error.reason is raised):
            return
        control = self.control
        # It came too late to end this guest, and must not end it the next time.
        if control is not None and control.stop.reason is raised:
            control.stop.reason = None
        if self._before is not None:
            # A tool is about to raise it, and it is not the tool's.
            _latest.error = raised
        raise raised


def _unwrap() -> None:
    """Put the rest of the handlers back: one that is in its place has raised before the next one was."""
    try:
        for number, handler in main.handlers.items():
            if _getsignal(number) is _on_signal:
                _signal(number, handler)
    except BaseException:
        _unwrap()
        raise


def _on_signal(number: int, frame: FrameType | None) -> None:
    handler, is_open = main.handlers[number], _is_open(frame)
    try:
        handler(number, frame)
    except BaseException as error:
        if main.deferral is None:
            main.late = error
        elif is_open:
            _latest.error = error
            raise
        else:
            main.deferral.keep(error)


main = _Main()
_NOTHING: AbstractContextManager[None] = nullcontext()


def deferred() -> AbstractContextManager[object]:
    """Return what defers signals on the main thread while it is entered, and does nothing on others."""
    return Deferral() if get_ident() == main.ident else _NOTHING


def acquire(lock: Any, timeout: float) -> bool:
    """Acquire a lock, as ``lock.acquire(True, timeout)``; what a signal's handler raises ends the wait."""
    deferral = main.deferral
    if deferral is not None and get_ident() == main.ident:
        deferral.raise_now()
    acquired: bool = lock.acquire(True, timeout)
    return acquired


def _is_open(frame: FrameType | None) -> bool:
    """Return whether an exception may be raised where the main thread is: in the user's code, or where we wait.

    What decides is the innermost function of the runtime: one of :data:`OPEN`, or not.
    """
    innermost, found = frame, None
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            # The garbage collector runs a finalizer anywhere, and Python drops what is raised there.
            return False
        if found is None:
            module = str(frame.f_globals.get("__name__", ""))
            if module.startswith(SHUT):
                return False
            found = frame if module.startswith(_RUNTIME) else None
        frame = frame.f_back
    if found is None:
        return True
    name = f"{found.f_globals['__name__']}.{found.f_code.co_name}"
    return name in OPEN or (found is not innermost and name in _SERVED)
