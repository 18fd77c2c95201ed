"""Having a program leave where it computes: the request, how long it is repeated, and what to say if it fails."""

from _thread import allocate_lock
from collections.abc import Callable
from math import inf

from cloche.runtime.errors import CannotPause
from cloche.runtime.machine_api import Machine, Place, now

__all__ = ["BEGUN_WITH_RUN", "PauseRequest"]

BEGUN_WITH_RUN = "it was begun with run(), which cannot wait: begin it with session.start()"
"""Why most programs cannot be paused."""

# Seconds between two requests to the machine, at first and at most; and to find out why a program does not leave.
_PATIENCE, _MAX_PATIENCE = 0.001, 0.004
_LOCATING = 0.1


class _Latch:
    """Is set once. A lock and no Event: whoever waits has it sooner, and whoever sets it is sooner done."""

    def __init__(self) -> None:
        self.is_set = False
        self._lock = allocate_lock()
        self._lock.acquire()

    def set(self) -> None:
        """Let all go on that wait. By whoever has the execution alone."""
        if not self.is_set:
            self.is_set = True
            self._lock.release()

    def wait(self, seconds: float) -> bool:
        """Wait for it, at most so long. Returns whether it was set."""
        if not self.is_set and self._lock.acquire(timeout=seconds):
            # For the others that wait.
            self._lock.release()
        return self.is_set


class PauseRequest:
    """The wish that one execution's program be paused, shared by all that ask and by the thread that runs it.

    ``stands`` is true while the wish does, ``over`` is set when the execution is settled.
    """

    def __init__(self) -> None:
        self.over = _Latch()
        self.stands = False
        self._lock = allocate_lock()
        self._machine: Machine | None = None

    def ask(self) -> None:
        """From any thread: have the program leave as soon as it can. Ask again until it has."""
        with self._lock:
            self.stands = True
            if self._machine is not None:
                self._machine.pause()

    def nudge(self) -> None:
        """From any thread: have the program leave once, for its turn is over. It is not paused for that."""
        with self._lock:
            if self._machine is not None:
                self._machine.pause()

    def withdraw(self) -> None:
        """From any thread: ask no longer."""
        with self._lock:
            self.stands = False
            if self._machine is not None:
                self._machine.unpause()

    def enter(self, machine: Machine) -> None:
        """Pass the wish on to the machine from now on, before it runs the program."""
        with self._lock:
            self._machine = machine
            if self.stands:
                machine.pause()

    def leave(self) -> None:
        """Have nothing more to do with the machine: its program has been left."""
        with self._lock:
            machine, self._machine = self._machine, None
            if machine is not None:
                machine.unpause()

    def wait(self, is_current: Callable[[], bool], doing: Callable[[], str], timeout: float | None) -> None:
        """Ask until the program has left, or ``is_current()`` says that this execution is over.

        ``doing()`` names the tool that the program waits for, or is empty. Raises CannotPause after ``timeout``
        seconds, None for no bound; then it asks no longer.
        """
        until, patience = inf if timeout is None else now() + timeout, _PATIENCE
        try:
            self.ask()
            while is_current() and not self.over.wait(max(0.0, min(patience, until - now()))):
                self.ask()
                patience = min(2 * patience, _MAX_PATIENCE)
                if now() >= until:
                    self._give_up(doing(), timeout or 0.0)
        finally:
            self.withdraw()

    def _give_up(self, doing: str, timeout: float) -> None:
        """Raise CannotPause, with what stands in the way, unless the program leaves meanwhile."""
        until = now() + _LOCATING
        places = self._locate()
        while places is None and not doing and now() < until and not self.over.wait(_PATIENCE):
            places = self._locate()
        if not self.over.is_set:
            raise CannotPause(_obstacle(doing, places or [], timeout))

    def _locate(self) -> list[Place] | None:
        with self._lock:
            return None if self._machine is None else self._machine.locate()


def _obstacle(doing: str, places: list[Place], timeout: float) -> str:
    within = f"within {timeout:.3g} s"
    if doing:
        return f"it waits for {doing}, which has not returned {within}, and can be left only after that"
    # The program's own lines say more than those of the libraries that they call.
    for place in sorted(places, key=lambda place: not place.filename.startswith("<run")):
        at = f"line {place.line} of {place.filename}, in {place.function}"
        return f"the built-in code that was called at {at}, has not returned {within}, and cannot be left"
    return f"it did not come to a place where it can be left {within}"
