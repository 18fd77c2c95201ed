"""Signals that a test sends to itself at a moment that does not depend on the machine's speed."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

__all__ = ["send_within"]

_WAIT = 60.0
# From the first line of the call into the middle of what it does.
_FURTHER_IN = 0.03


def send_within(number: int) -> None:
    """Send this process a signal once the main thread is inside the runtime, whenever that is."""
    threading.Thread(target=_send, args=(number,), daemon=True).start()


def _send(number: int) -> None:
    give_up = time.monotonic() + _WAIT
    while not any(map(_is_runtime, _stack())):
        assert time.monotonic() < give_up
        time.sleep(0.001)
    time.sleep(_FURTHER_IN)
    # To that thread: one that another thread takes would not end what the main thread sleeps in.
    signal.pthread_kill(_main(), number)


def _main() -> int:
    return threading.main_thread().ident or 0


def _stack() -> Iterator[FrameType]:
    frame = sys._current_frames().get(_main())  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_runtime(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith("cloche.runtime.")
