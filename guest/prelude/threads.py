"""What the standard library's threads ask of the interpreter: starting, waiting, and what they wait for.

Threads take turns in one interpreter (``guest/c/threads.c``). One runs until it waits, or until it has computed for a
slice while another could run. Locks are CPython's own, and everything above them is the standard library, unchanged.
"""

import _thread
import concurrent.futures.thread
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import _cloche
from cloche_guest import calls
from cloche_guest.sources import snippet_frame
from cloche_guest.unsupported.reasons import put

__all__ = ["finish", "install", "sleep"]

_MAX_SHOWN = 8
_leave = _cloche.suspend
_unpark = _cloche.unpark
_count = _cloche.count_threads
_sleep = time.sleep
_interrupt: Callable[..., None] = _thread.interrupt_main
_END = object()
_MAIN = threading.get_ident()


class _ThreadHandle:
    """What ``threading.Thread`` asks about the thread that stands behind it."""

    def __init__(self) -> None:
        self.ident = 0
        self.begun = self._done = False

    def is_done(self) -> bool:
        """Tell whether it has ended."""
        if not self._done and self.begun:
            self._done = not _cloche.is_alive(self.ident)
        return self._done

    def _set_done(self) -> None:
        if not self.begun:
            raise RuntimeError("thread not started")
        self._done = True
        while _unpark(self):
            pass

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, or for so many seconds; a negative number waits without an end."""
        if not self.begun:
            raise RuntimeError("thread not started")
        if self.is_done():
            return
        if self.ident == threading.get_ident():
            raise RuntimeError("Cannot join current thread")
        # These calls are where the thread is left.
        if timeout is None or timeout < 0:
            while not self.is_done():
                _leave((self, None))
        else:
            _leave((self, timeout))

    def __repr__(self) -> str:
        return f"<_ThreadHandle object: ident={self.ident}>"


_ThreadHandle.__module__ = "_thread"


def _make_thread_handle(ident: int) -> _ThreadHandle:
    handle = _ThreadHandle()
    handle.ident, handle.begun = ident, True
    return handle


def _start_joinable_thread(function: Callable[[], object], handle: object = None, daemon: bool = True) -> _ThreadHandle:
    if not callable(function):
        raise TypeError("thread function must be callable")
    if handle is None:
        handle = _ThreadHandle()
    elif not isinstance(handle, _ThreadHandle):
        raise TypeError("'handle' must be a _ThreadHandle")
    if handle.begun:
        raise RuntimeError("thread already started")
    sys.audit("_thread.start_joinable_thread", function, daemon, handle)
    handle.begun = True
    try:
        handle.ident = _cloche.spawn(function, handle, daemon, _idle)
    except BaseException:
        handle.begun = False
        raise
    return handle


class _Unraisable:
    """What ``sys.unraisablehook`` is called with."""

    def __init__(self, error: BaseException, message: str) -> None:
        self.exc_type, self.exc_value, self.exc_traceback = type(error), error, error.__traceback__
        self.err_msg, self.object = message, None


def _start_new_thread(function: Callable[..., object], args: Any, kwargs: Any = None, /) -> int:
    if not callable(function):
        raise TypeError("first arg must be callable")
    if not isinstance(args, tuple):
        raise TypeError("2nd arg must be a tuple")
    if kwargs is not None and not isinstance(kwargs, dict):
        raise TypeError("optional 3rd arg must be a dictionary")
    sys.audit("_thread.start_new_thread", function, args, kwargs)

    def run() -> None:
        try:
            function(*args, **(kwargs or {}))
        except SystemExit:
            pass
        except BaseException as error:
            message = f"Exception ignored in thread started by {function!r}"
            sys.unraisablehook(_Unraisable(error, message))  # type: ignore[arg-type]

    return _start_joinable_thread(run).ident


def sleep(seconds: float, /) -> None:
    """Stand in for ``time.sleep``: other threads run meanwhile."""
    if not _count():
        return _sleep(seconds)
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    _leave((None, float(seconds)))
    return None


def _interrupt_main(signum: int = signal.SIGINT, /) -> None:
    _interrupt(signum)
    _cloche.interrupt()


def _native_id(thread: threading.Thread | None = None) -> int:
    """Stand in for ``threading.get_native_id``: as elsewhere, the main thread's is the process's."""
    return os.getpid() + (threading.get_ident() if thread is None else thread.ident or 0) - _MAIN


def _known_native_id(thread: threading.Thread) -> int | None:
    return None if thread.ident is None else _native_id(thread)


def _current_frames() -> dict[int, FrameType]:
    """Stand in for ``sys._current_frames``."""
    frames = {ident: frame for ident, frame, *_ in _cloche.threads() if frame is not None}
    return frames | {threading.get_ident(): sys._getframe(1)}  # pyright: ignore[reportPrivateUsage]


def _idle(seconds: float | None) -> bool | Exception:
    """Wait for the host where no thread can run: for outcomes of calls, or for so many seconds.

    Return whether something came, or the error to raise where nothing ever will.
    """
    if calls.has_routes():
        return calls.deliver(seconds)
    if seconds is None:
        return RuntimeError(f"deadlock: every thread waits for another: {_places(_cloche.threads())}")
    if seconds > 0:
        calls.sleep(seconds)
    return False


def _places(threads: list[tuple[Any, ...]]) -> str:
    """Say where these threads stand, by their names and lines."""
    active: dict[int, threading.Thread] = vars(threading)["_active"]
    shown: list[str] = []
    for ident, frame, _, is_pinned, _ in threads[:_MAX_SHOWN]:
        own = snippet_frame(frame)
        thread = active.get(ident)
        place = f" at line {own.f_lineno} of {own.f_code.co_filename}" if own is not None else ""
        below = ", below built-in code" if is_pinned else ""
        shown.append(f"{thread.name if thread else f'thread {ident}'}{place}{below}")
    rest = len(threads) - len(shown)
    return "; ".join(shown) + (f"; and {rest} more" if rest else "")


def finish(*, is_last: bool) -> str | None:
    """Run the threads that a program has left, but for daemons, as long as any of them can do something.

    Return what to say of those that wait without an end, or None. They stay, and can be woken by the next program;
    those that have built-in code below them are ended.
    """
    if not _count():
        return None
    if is_last:
        # As at the end of a process: the workers of executors are told to end.
        for callback in reversed(vars(threading)["_threading_atexits"]):
            callback()
    _cloche.settle_threads(True)
    try:
        _leave((_END, None))
    finally:
        _cloche.settle_threads(False)
    left = [each for each in _cloche.threads()[1:] if each[2] and not each[4] and not _is_idle_worker(each[1])]
    return _places(left) if left else None


def _is_idle_worker(frame: FrameType | None) -> bool:
    """Tell whether a thread is an executor's, and waits for work."""
    executors: Any = vars(concurrent.futures.thread)
    while frame is not None and frame.f_code is not executors["_WorkItem"].run.__code__:
        if frame.f_code is executors["_worker"].__code__:
            return True
        frame = frame.f_back
    return False


def install() -> None:
    """Put these in place of the functions that start threads of the operating system."""
    parts: dict[str, Any] = {
        "_ThreadHandle": _ThreadHandle,
        "_make_thread_handle": _make_thread_handle,
        "start_joinable_thread": _start_joinable_thread,
    }
    put(_thread, **parts, start_new_thread=_start_new_thread, start_new=_start_new_thread, _count=_count)
    put(_thread, interrupt_main=_interrupt_main)
    del parts["start_joinable_thread"]
    put(threading, **parts, _start_joinable_thread=_start_joinable_thread)
    main: Any = threading.main_thread()
    main._handle = _make_thread_handle(main.ident)
    put(threading, get_native_id=_native_id)
    put(threading.Thread, native_id=property(_known_native_id))
    put(sleep, __self__=time, __wrapped__=_sleep, __text_signature__=getattr(_sleep, "__text_signature__", None))
    put(time, sleep=sleep)
    put(sys, _current_frames=_current_frames)
    # The C class waits where no thread can be left.
    put(queue, SimpleQueue=vars(queue)["_PySimpleQueue"])
