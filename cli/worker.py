"""Guests run beside the main thread, so that Ctrl-C interrupts the run and not the middle of a host call."""

from collections.abc import Callable
from concurrent.futures import wait
from typing import Generic, TypeVar

from cloche.runtime.threads import guest_threads, prepared

__all__ = ["Worker", "run_interruptibly"]

T = TypeVar("T")

# Python delivers Ctrl-C between two bytecodes of the main thread, so the main thread waits in short pieces.
_PIECE = 0.1


class Worker(Generic[T]):
    """One call in a thread that fits a guest, begun when it is first waited for."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._work, self._future = prepared(function)

    def start(self) -> None:
        """Begin, if that was not done before."""
        # Ctrl-C may come when the thread has begun already and this one has not returned from here.
        if not self._work.begun:
            guest_threads.start(self._work)

    def wait(self, seconds: float = _PIECE) -> bool:
        """Wait for at most ``seconds``; return whether the call has ended."""
        self.start()
        return bool(wait([self._future], seconds).done)

    def outcome(self) -> T:
        """Wait for the end; return the call's value or raise its exception."""
        while not self.wait():
            pass
        return self._future.result()


def run_interruptibly(function: Callable[[], T], interrupt: Callable[[], object]) -> T:
    """Return what the function returns; each Ctrl-C meanwhile calls ``interrupt``, which should make it end."""
    worker = Worker(function)
    while True:
        try:
            return worker.outcome()
        except KeyboardInterrupt:
            interrupt()
