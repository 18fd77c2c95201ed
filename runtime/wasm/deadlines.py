"""How a running guest is ended from outside: by its deadline or an interrupt.

:class:`Control` holds one guest's signal to stop and, once it was ended, the reason. A computing guest looks at it when
its meter asks it to (:mod:`cloche.runtime.wasm.charging`), or, with the engine's own metering, when the engine's epoch
is bumped: every guest calls back then.

So instead of ticking at a fixed rate, :class:`Watch`, one thread per engine, sleeps until the earliest deadline among
the running guests, and sleeps on while nothing runs. A bump that comes while a guest is looking already is lost on it:
one that must end is sent more of them until it has left. Guests on the main thread look all the time, because that is
when Python can notice a signal such as Ctrl-C. Between runs the thread keeps looking for a short while: waking it for
each of many short runs would cost them more than all else that the host does, as it wants the GIL. Then it ends, so
that an idle process has no wake-ups at all.
"""

import ctypes
import math
import threading
from array import array
from collections.abc import Callable

from cloche.runtime.machine_api import StopRun, StopSignal, now
from cloche.runtime.wasm import native
from cloche.runtime.wasm.meter import Meter
from cloche.runtime.wasm.pausing import PauseSwitch
from cloche.runtime.wasm.traps import StopKind, Stopped

__all__ = ["HEARTBEAT", "Control", "RunningGuest", "Watch", "arm", "here", "must_end"]


class Control:
    """What may end one guest, and what has: its signal and, once it was ended from outside, the reason.

    ``on_main`` is true while the guest runs on the main thread. ``meter`` is the guest's, if it has one of ours, and
    ``pausing`` is there once it was asked to leave.
    """

    __slots__ = ("__weakref__", "meter", "on_main", "pausing", "stop", "stopped")

    def __init__(self, stop: StopSignal | None = None) -> None:
        self.stop = StopSignal() if stop is None else stop
        self.on_main = False
        self.meter: Meter | None = None
        self.pausing: PauseSwitch | None = None
        self.stopped: Stopped | None = None

    def halt(self, error: BaseException) -> Stopped:
        """Record that a handler's exception ended the guest; a StopRun stands for its reason."""
        reason = error.reason if isinstance(error, StopRun) else error
        self.stop.set(reason)
        return self._record(Stopped(StopKind.HOST, reason=reason))

    def due(self) -> Stopped | None:
        """Return and record why the guest must end now; None if it may continue."""
        stop = self.stop
        if stop.reason is not None:
            return self._record(Stopped(StopKind.INTERRUPTED, reason=stop.reason))
        return self._record(Stopped(StopKind.TIME)) if now() >= stop.deadline else None

    def _record(self, stopped: Stopped) -> Stopped:
        if self.stopped is None:
            self.stopped = stopped
        return self.stopped


class RunningGuest:
    """What the engine's callbacks need of a guest that is running: its control. Adapters derive from it."""

    __slots__ = ("control",)

    def __init__(self, control: Control) -> None:
        self.control = control


class _Here(threading.local):
    """The guest that this thread is running, innermost where a handler runs another one.

    A callback always arrives on the thread that entered the guest, so this says whose it is without asking the
    engine, and two threads never see each other's.
    """

    guest: RunningGuest | None = None


here = _Here()


# Seconds between two looks of a guest on the main thread, or of one that must end: how long Ctrl-C may take.
HEARTBEAT = 0.05
# Seconds without a new run after which the thread ends; the next run starts another.
_LINGER = 2.0


_NEXT_LOOK, _ENTERED = 0, 1


class Watch:
    """Bumps an epoch in time for every guest that runs. ``bump`` is called from the watch's thread.

    ``guests`` are the controls of those that run, and ``times`` when the thread looks next and how many have entered:
    the runner in C (runtime/wasm/host) enters and leaves by itself, if it need not wake the thread.
    """

    def __init__(self, bump: Callable[[], None]) -> None:
        self._bump = bump
        self.guests: set[Control] = set()
        self._seen, self._seen_at = 0.0, 0.0
        self._wake = threading.Event()
        # Re-entrant: a signal's handler may interrupt its holder and run a guest of its own.
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        # When the thread looks next. It is infinite while the thread decides, so that a run that starts meanwhile
        # wakes it: a run is added first and reads this second, the thread writes this first and reads the runs second.
        # With it, how many guests have entered. An array, because runs in C read and write it as well.
        self.times = array("d", (math.inf, 0.0))

    def enter(self, control: Control) -> None:
        """Watch a guest from now on. Call just before it computes."""
        meter = control.meter
        if meter is not None:
            # Not a method of the meter: this is part of every run.
            meter.numbers[1] = meter.numbers[2] = 0
            meter.set_running(True)
        self.guests.add(control)
        # Not atomic, and need not be: a lost count is one of two runs at the same moment.
        times = self.times
        times[_ENTERED] += 1
        # Like ``look``, without its function calls: this is part of every run.
        next_look, stop = times[_NEXT_LOOK], control.stop
        often = control.on_main or stop.reason is not None
        if stop.deadline < next_look or (often and next_look > now() + HEARTBEAT):
            self._rouse()

    def leave(self, control: Control) -> None:
        """Watch it no longer."""
        self.guests.discard(control)
        meter = control.meter
        if meter is not None:
            # Nothing is written from other threads once this is done: the guest's memory may go.
            with meter.lock:
                meter.set_running(False)

    def look(self, control: Control) -> None:
        """Take a running guest's new or changed signal into account."""
        if self._bound(control, now()) < self.times[_NEXT_LOOK]:
            self._rouse()

    def ask_all(self) -> None:
        """Have all running guests with a meter look at their signals. From any thread."""
        for control in list(self.guests):
            if control.meter is not None:
                control.meter.ask()

    def running(self) -> int:
        """Return how many guests are running."""
        return len(self.guests)

    def _rouse(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cloche-watch", daemon=True)
                self._thread.start()
            self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.clear()
            self.times[_NEXT_LOOK] = math.inf
            wait = self._tick(now())
            if not self._wake.wait(wait) and self._retire():
                return

    def _tick(self, moment: float) -> float:
        running = list(self.guests)
        look = [control for control in running if control.on_main or control.stop.is_due(moment)]
        for control in look:
            if control.meter is not None:
                control.meter.end() if control.stop.is_due(moment) else control.meter.ask()
        if any(control.meter is None for control in look):
            self._bump()
        self.times[_NEXT_LOOK] = min((self._bound(control, moment) for control in running), default=moment + HEARTBEAT)
        return min(self.times[_NEXT_LOOK] - moment, _LINGER)

    def _retire(self) -> bool:
        with self._lock:
            # In the order that the comment on ``times`` asks for.
            self.times[_NEXT_LOOK] = math.inf
            if self.guests or not self._is_quiet(now()):
                return False
            self._thread = None
            return True

    def _is_quiet(self, moment: float) -> bool:
        if self._seen != self.times[_ENTERED]:
            self._seen, self._seen_at = self.times[_ENTERED], moment
        return moment - self._seen_at >= _LINGER

    @staticmethod
    def _bound(control: Control, moment: float) -> float:
        stop = control.stop
        if stop.is_due(moment):
            return moment + HEARTBEAT
        return min(stop.deadline, moment + HEARTBEAT) if control.on_main else stop.deadline


# The engine's code for "continue, with a new deadline".
_CONTINUE = 0
# Every bump of the epoch is a reason to look: the watch bumps only when a deadline is due or a run is interrupted.
_NEXT_BUMP = 1


def arm(store: int, context: int) -> None:
    """Let a store call back at every bump of its engine's epoch."""
    native.set_epoch_callback(store, _on_epoch, None, None)
    native.set_epoch_deadline(context, _NEXT_BUMP)


def must_end(control: Control) -> bool:
    """Say whether a guest must end whose charge called the host: for lack of fuel, or for its signal."""
    meter = control.meter
    if meter is not None:
        # Before the look, so that whoever asks meanwhile asks for another one.
        meter.answer()
        if meter.is_spent:
            return True
    return not _may_continue(control)


@native.epoch_callback
def _on_epoch(_context: int, _data: int | None, delta: int, kind: int) -> int:
    try:
        guest = here.guest
        return _continue(delta, kind) if guest is not None and _may_continue(guest.control) else _end(b"interrupted")
    except BaseException as error:
        return _end(type(error).__name__.encode())


def _may_continue(control: Control) -> bool:
    if control.due() is not None:
        return False
    pausing = control.pausing
    if pausing is not None:
        pausing.look()
    return True


def _continue(delta: int, kind: int) -> int:
    ctypes.c_uint64.from_address(delta).value = _NEXT_BUMP
    ctypes.c_uint8.from_address(kind).value = _CONTINUE
    return 0


def _end(message: bytes) -> int:
    error: int = native.error_new(message)
    return error
