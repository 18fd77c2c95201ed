"""Who may end a running guest, and the record of who did."""

import math
import threading
from time import monotonic

from cloche.runtime.seam import StopRun
from cloche.runtime.wasm.traps import StopKind, Stopped

__all__ = ["Active", "Control", "here"]


class Control:
    """One guest's deadline, pending interrupt and, once it was ended from outside, the reason.

    ``deadline`` is a time of the monotonic clock (infinite for none); ``fired`` is true once the engine was told that
    the guest must end; ``on_main`` while the guest runs on the main thread.
    """

    __slots__ = ("__weakref__", "_interrupt", "deadline", "fired", "on_main", "stopped")

    def __init__(self) -> None:
        self._interrupt: BaseException | None = None
        self.deadline = math.inf
        self.fired = False
        self.on_main = False
        self.stopped: Stopped | None = None

    def set_deadline(self, seconds: float | None) -> None:
        """Set the deadline to so many seconds from now; None for none."""
        self.deadline = math.inf if seconds is None else monotonic() + seconds
        self.fired = False

    def interrupt(self, reason: BaseException) -> None:
        """Ask for the guest's end; the first reason stays. Does not wake the guest: see the engine's epoch."""
        if self._interrupt is None:
            self._interrupt = reason
        self.fired = True

    def withdraw(self, reason: BaseException) -> None:
        """Take back an interrupt that came too late to end anything."""
        if self._interrupt is reason:
            self._interrupt = None
            self.fired = False

    def halt(self, error: BaseException) -> Stopped:
        """Record that a handler's exception ended the guest; a StopRun stands for its reason."""
        reason = error.reason if isinstance(error, StopRun) else error
        return self._record(Stopped(StopKind.HOST, reason=reason))

    def due(self) -> Stopped | None:
        """Return and record why the guest must end now; None if it may go on."""
        if self._interrupt is not None:
            return self._record(Stopped(StopKind.INTERRUPTED, reason=self._interrupt))
        if monotonic() >= self.deadline:
            return self._record(Stopped(StopKind.TIME))
        return None

    def _record(self, stopped: Stopped) -> Stopped:
        if self.stopped is None:
            self.stopped = stopped
        return self.stopped


class Active:
    """What the engine's callbacks need of a guest that is running: its control. Adapters derive from it."""

    __slots__ = ("control",)

    def __init__(self, control: Control) -> None:
        self.control = control


class _Here(threading.local):
    """The guest that this thread is running, innermost where a handler runs another one.

    A callback always arrives on the thread that entered the guest, so this says whose it is without asking the
    engine, and two threads never see each other's.
    """

    guest: Active | None = None


here = _Here()
