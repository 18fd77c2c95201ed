"""A thread for what nobody waits for, such as making guests of earlier runs ready for the next ones."""

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

__all__ = ["Background", "background"]

_Work = Callable[[], object]


class Background:
    """Does one thing after the other, on a thread that is started with the first and sleeps when there is none."""

    def __init__(self) -> None:
        self._start_over()
        if hasattr(os, "register_at_fork"):
            # The child has no thread; what was left to do is left undone.
            os.register_at_fork(after_in_child=self._start_over)

    def do(self, work: _Work) -> None:
        """Have something done soon. What it raises is shown like any thread's error, and ends nothing."""
        if not self._started:
            with self._lock:
                if not self._started:
                    self._start()
        self._queue.put(work)

    def _start_over(self) -> None:
        self._lock = threading.Lock()
        self._queue: SimpleQueue[_Work] = SimpleQueue()
        self._started: bool = False

    def _start(self) -> None:
        threading.Thread(target=_serve, args=(self._queue,), name="cloche-background", daemon=True).start()
        self._started = True


def _serve(queue: "SimpleQueue[_Work]") -> None:
    while True:
        try:
            queue.get()()
        except Exception as error:
            threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, None)))


background = Background()
"""The process's one."""
