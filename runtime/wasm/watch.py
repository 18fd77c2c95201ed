"""Wakes computing guests when their deadline is due: one thread per engine, asleep while nothing runs.

Every guest stops to look at each bump of its engine's epoch. So instead of ticking at a fixed rate, the watch sleeps
until the earliest deadline among the running guests. A bump that comes while a guest is looking already is lost on it:
one that must end is sent more of them until it has left. Guests on the main thread look all the time, because that is
when Python can notice a signal such as Ctrl-C. Between runs the thread goes on looking for a short while:
waking it for each of many short runs would cost them more than all else that the host does, as it wants the GIL.
Then it ends, so that an idle process has no wake-ups at all.
"""

import math
import threading
from collections.abc import Callable
from time import monotonic

from cloche.runtime.wasm.control import Control

__all__ = ["HEARTBEAT", "Watch"]

# Seconds between two looks of a guest on the main thread, or of one that must end: how long Ctrl-C may take.
HEARTBEAT = 0.05
# Seconds without a new run after which the thread ends; the next run starts another.
_LINGER = 2.0


class Watch:
    """Bumps an epoch in time for every guest that runs. ``bump`` is called from the watch's thread."""

    def __init__(self, bump: Callable[[], None]) -> None:
        self._bump = bump
        self._running: set[Control] = set()
        self._entered = 0
        self._seen, self._seen_at = 0, 0.0
        self._wake = threading.Event()
        # Re-entrant: a signal's handler may interrupt its holder and run a guest of its own.
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        # When the thread looks next. It is infinite while the thread decides, so that a run that starts meanwhile
        # wakes it: a run is added first and reads this second, the thread writes this first and reads the runs second.
        self._next_look = math.inf

    def enter(self, control: Control) -> None:
        """Watch a guest from now on. Call just before it computes."""
        self._running.add(control)
        # Not atomic, and need not be: a lost count is one of two runs at the same moment.
        self._entered += 1
        # Like ``look``, without its function calls: this is part of every run.
        next_look, often = self._next_look, control.on_main or control.fired
        if control.deadline < next_look or (often and next_look > monotonic() + HEARTBEAT):
            self._rouse()

    def leave(self, control: Control) -> None:
        """Watch it no longer."""
        self._running.discard(control)

    def look(self, control: Control) -> None:
        """Take a running guest's changed deadline into account."""
        if self._bound(control, monotonic()) < self._next_look:
            self._rouse()

    def running(self) -> int:
        """Return how many guests are running."""
        return len(self._running)

    def _rouse(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cloche-watch", daemon=True)
                self._thread.start()
            self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.clear()
            self._next_look = math.inf
            wait = self._tick(monotonic())
            if not self._wake.wait(wait) and self._retire():
                return

    def _tick(self, now: float) -> float:
        running = list(self._running)
        for control in running:
            control.fired = control.fired or control.deadline <= now
        if any(control.on_main or control.fired for control in running):
            self._bump()
        self._next_look = min((self._bound(control, now) for control in running), default=now + HEARTBEAT)
        return min(self._next_look - now, _LINGER)

    def _retire(self) -> bool:
        with self._lock:
            # In the order that the comment on ``_next_look`` asks for.
            self._next_look = math.inf
            if self._running or not self._is_quiet(monotonic()):
                return False
            self._thread = None
            return True

    def _is_quiet(self, now: float) -> bool:
        if self._seen != self._entered:
            self._seen, self._seen_at = self._entered, now
        return now - self._seen_at >= _LINGER

    @staticmethod
    def _bound(control: Control, now: float) -> float:
        if control.fired:
            return now + HEARTBEAT
        return min(control.deadline, now + HEARTBEAT) if control.on_main else control.deadline
