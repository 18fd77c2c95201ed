"""A session's usual runs in one call of C, and what becomes of one that turns out to be unusual.

The runner (``runtime/wasm/host/runner.c``) does for a run what :class:`Execution` and the machine do: it takes the
session, writes the request, runs the guest without the GIL, and makes the result of a short answer. It is asked first
and declines, with nothing done, unless everything is as it was when it was armed: the same limits, tools, thread and
machine, and nothing that is recorded, budgeted, suspended or paused.

Where the guest calls its first import, the run gets a RunState, in the middle of its step: from then on it is served by
the same code as any other run. Where it does not end with a short value, or has made so many calls that the next run is
to be another thread's, it becomes an Execution, which is concluded like any other.
"""

import itertools
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import get_ident
from typing import Any, NamedTuple, NoReturn

from cloche.runtime.bridge.run_state import RunState
from cloche.runtime.errors import CannotPause, GuestError
from cloche.runtime.limits import Limits
from cloche.runtime.machine_api import StopSignal
from cloche.runtime.result import Result
from cloche.runtime.session.execution import UNLIMITED_FUEL, Done, Execution
from cloche.runtime.session.guest import FRAMES, Running, SessionGuest
from cloche.runtime.session.pausing import BEGUN_WITH_RUN
from cloche.runtime.session.requests import Request
from cloche.runtime.wasm import native
from cloche.runtime.wasm.machine import ImageSource, WasmMachine, require_frames
from cloche.runtime.wasm.signals import Deferral, deferred, main

__all__ = ["FEW_CALLS", "HAS_RUNNERS", "Express", "FreshRuns", "arm", "begin"]

HAS_RUNNERS = native.host is not None
"""Whether there are usual runs in C here at all."""

FEW_CALLS = 2
"""How many calls of tools a run may make so that handing each to a thread costs less than handing over the run."""
_ANY = Request(b"")


class _NoRunner:
    """In place of the runner of a machine that has ended."""

    def run(self, *_: object) -> None:
        """Decline."""

    def collect(self, all: bool) -> tuple[Any, ...]:
        return (0, 0, 0.0, [], 0) if all else (0, 0, 0.0)

    def arm(self, *_: object) -> None: ...


_no_runner = _NoRunner()


class Express:
    """The usual runs of one machine of a session, whose holder it is while one is in progress.

    ``run`` is the runner's: it returns a Result, or None for a run that is to be made in the other way. ``stop`` is the
    signal of the latest run, ``state`` its account once it is served, and ``execution`` what it has become, if it did
    not end in the usual way.
    """

    __slots__ = (
        "__weakref__",
        "_deferral",
        "_guest",
        "_running",
        "_was_served",
        "execution",
        "limits",
        "machine",
        "run",
        "runner",
        "state",
        "stop",
        "terms",
    )

    paused: object = False

    def __init__(
        self, guest: SessionGuest, running: Running, machine: WasmMachine, runner: Any, limits: Limits
    ) -> None:
        self._guest = guest
        self._running = running
        self.machine = machine
        self._deferral: Deferral | None = None
        self.limits = limits
        self.runner = runner
        self.run = runner.run
        self.stop: StopSignal | None = None
        self.state: RunState | None = None
        self.execution: Execution | None = None
        self._was_served = False
        # What the runner was armed with the last time.
        self.terms: tuple[Any, ...] = ()

    def result(self, code: str, done: Done, *, last: bool = False) -> Result[Any] | None:
        """Run a program and return its result; None, with nothing done, if it is to be run in the other way.

        ``done`` is called at the end of a run that has become an execution. After the ``last`` run there is no other
        one like it: ``execution`` is still there then, if it has become one.
        """
        # Raises here, where it is harmless, and not in the middle of a run that has to be concluded.
        require_frames(FRAMES)
        try:
            result: Result[Any] | None = self.run(code, self, done)
            if self._deferral is not None:
                self._leave(None)
        except BaseException as error:
            self.give_up(error)
            raise
        execution = self.execution
        if execution is not None and not last:
            self.execution = None
            arm(self, self._guest, self.limits, execution.run.calls_made > FEW_CALLS)
        return result

    def renew(self) -> bool:
        """Have the machine, and all else, be as before its first run. False if that cannot be.

        Only after a usual run of a session without a journal: nothing else has changed.
        """
        if not self.machine.renew():
            return False
        if self._was_served:
            # So that nothing of it is kept alive.
            self._was_served = False
            self._running.host.begin(RunState(self.limits), None)
        self.runner.collect(True)
        self.runner.arm(*self.terms)
        return True

    def is_of(self, running: Running | None, limits: Limits) -> bool:
        """Return whether these are the runs of that machine within those limits."""
        return self._running is running and self.limits is limits

    def interrupt(self, reason: GuestError) -> bool:
        """From any thread: end the run soon. Returns whether it was still in progress."""
        stop = self.stop
        # The signal first: a run that is served from now on has the same one, and looks at it before it waits.
        if stop is None or self._guest.holder not in (self, self.execution):
            return False
        stop.set(reason)
        state, execution = self.state, self.execution
        if execution is not None:
            return execution.interrupt(reason)
        if state is not None:
            state.interrupt(reason)
        self.machine.wake()
        return True

    def pause(self, is_current: Callable[[], bool], timeout: float | None) -> NoReturn:
        """Raise CannotPause: usual runs were begun with ``run``."""
        raise CannotPause(BEGUN_WITH_RUN)

    def opened(self, stop: StopSignal, started: float) -> None:
        """Serve the guest, which has called its first import. For the runner, in the middle of a run."""
        self._defer()
        self._serve(stop, started)

    def served(self) -> tuple[Any, ...] | None:
        """Return what a run leaves that was served, beside a short value; None if it is to be concluded here.

        The records of its calls, how many, output and errors, how many bytes these are, the answers that it was given,
        and their weight. For the runner.
        """
        run, running = self.state, self._running
        if run is None or (run.hands_over and run.calls_made > FEW_CALLS):
            return None
        answers, weight = running.tape.stop()
        if answers is None:
            if self._guest.keeps:
                return None
            answers = []
        running.host.end()
        self.machine.forget_answer()
        printed = run.output_bytes
        self._guest.count_calls(run.calls_made, printed)
        self.state, self._was_served = None, True
        return run.calls, run.calls_made, *run.output(), printed, answers, weight

    def concluded(
        self, done: Done, frame: bytes, stop: StopSignal, started: float, outcome: int | tuple[int, int]
    ) -> Result[Any]:
        """Conclude a run that did not end with a short value, or that ``served`` has left to this. For the runner.

        ``outcome`` is what the guest answered, or an error and a trap of the engine's.
        """
        try:
            self._defer()
            execution = self._execution(done, frame, stop, started)
            self._guest.collect()
            self._guest.count_run()
            result = execution.conclude(self._running, partial(self.machine.end_run, outcome))
        except BaseException as error:
            self._leave(error)
            raise
        self._leave(None)
        return result

    def give_up(self, error: BaseException) -> None:
        """Do not let the session stay busy, nor keep half of a run, after this was raised out of ``run``."""
        guest, self.state = self._guest, None
        self._leave(error)
        if guest.holder is not None and guest.holder in (self, self.execution):
            # The runs before this one are what the session goes back to.
            guest.collect()
            guest.discard()
            guest.note_loss(error)
            guest.release()

    def retire(self) -> None:
        """Let go of the runner, into which the collector does not look: what ended the guest has frames of this."""
        self.runner, self.run = _no_runner, _no_runner.run

    def _serve(self, stop: StopSignal, started: float) -> RunState:
        run = self.state
        if run is None:
            run = RunState(self.limits)
            run.started, run.stop = started, stop
            run.hands_over = self._guest.tools.blocking()
            self._running.host.begin(run, None)
            self._running.tape.start()
            self.state = run
        return run

    def _execution(self, done: Done, frame: bytes, stop: StopSignal, started: float) -> Execution:
        execution = Execution(self._guest, _ANY, [frame], self._serve(stop, started), done)
        execution.adopt(self._running)
        self.execution = self._guest.holder = execution
        self.state = None
        return execution

    def _defer(self) -> None:
        if self._deferral is None and get_ident() == main.ident:
            deferral = Deferral()
            deferral.control = self.machine.control
            self._deferral = deferral.__enter__()

    def _leave(self, error: BaseException | None) -> None:
        deferral, self._deferral = self._deferral, None
        if deferral is not None:
            deferral.__exit__(None if error is None else type(error), error, None)


def arm(express: Express | None, guest: SessionGuest, limits: Limits, calls_often: bool) -> Express | None:
    """Return what may perform the next runs of a session; None where they are unusual ones.

    ``express`` is what has performed those before, if they were usual. Where tools are ``calls_often`` and may block,
    the whole run is handed over to another thread.
    """
    if not guest.lock.acquire(False):
        return None
    try:
        if guest.running is None:
            # A machine for its first run; one that is made again has more to do than that.
            if guest.spent.runs or guest.ended or not guest.source.fits_here():
                return None
            guest.ready()
        rooms = None if guest.ended or (calls_often and guest.tools.blocking()) else guest.rooms(limits)
        if rooms is None:
            return None
        if express is None or not express.is_of(guest.running, limits):
            express = _made(guest, limits)
        # One that was asked to pause is looked after in Python.
        if express is not None and express.machine.is_usual:
            guest.armed(express)
            fuel = UNLIMITED_FUEL if limits.fuel is None else limits.fuel
            time = -1.0 if limits.time is None else limits.time
            express.terms = (rooms.number, rooms.version, fuel, time, rooms.options, *rooms.journal)
            express.runner.arm(*express.terms)
        return express
    finally:
        guest.release()


def begin(guest: SessionGuest, limits: Limits) -> Express | None:
    """Return what may perform a session's first run, with a machine for it; None if there was one, or it is unusual."""
    if guest.running is not None:
        return None
    with deferred():
        return arm(None, guest, limits, False)


def _made(guest: SessionGuest, limits: Limits) -> Express | None:
    running = guest.running
    if running is None or not isinstance(running.machine, WasmMachine):
        return None
    runner = running.machine.runner(guest, running, guest.lock, guest.tools.version, guest.keeps)
    return None if runner is None else Express(guest, running, running.machine, runner, limits)


MAX_READY = 4
"""Guests of all sandboxes together that are kept ready for fresh runs."""


class _Ready(NamedTuple):
    """A guest that no program has run in yet, with what performs its first run."""

    guest: SessionGuest
    express: Express

    def done(self, execution: Execution, error: BaseException | None) -> None:
        """Take the guest back from a run that has become an execution; ``error`` is why it was lost."""
        if error is not None:
            self.guest.note_loss(error)
        self.guest.release()

    def close(self) -> None:
        self.guest.end("its run is over")


# By sandbox and thread, the latest one last. What is in here is used by no thread: who takes it out has it.
_ready: dict[tuple[int, int], _Ready] = {}
_numbers = itertools.count()


class FreshRuns:
    """Usual runs in fresh guests, for one sandbox: a guest whose run was usual is brought back to where it began.

    So neither it nor a machine, handlers and a session has to be made for the next run of this sandbox on this thread.
    """

    def __init__(self) -> None:
        self._number = next(_numbers)
        self._has_any = HAS_RUNNERS

    def result(self, code: str, make: Callable[[], tuple[Limits, SessionGuest]]) -> Result[Any] | None:
        """Run a program and return its result; None, with nothing done, if it is to be run in the other way.

        ``make`` makes the guest of a session without rollback, with the limits of its runs.
        """
        place = self._number, get_ident()
        ready = _ready.pop(place, None)
        if ready is not None:
            # Now and not when it was brought back: what this thread has done in between is no matter of the guest's.
            ready.express.machine.watch_pages()
        else:
            ready = self._made(make)
        if ready is None:
            return None
        try:
            result = ready.express.result(code, ready.done, last=True)
            usual = result is not None and ready.express.execution is None
            if usual and ready.express.renew():
                _ready[place] = ready
                if len(_ready) > MAX_READY:
                    _drop_oldest()
                return result
        except BaseException:
            ready.close()
            raise
        ready.close()
        return result

    def _made(self, make: Callable[[], tuple[Limits, SessionGuest]]) -> _Ready | None:
        if not self._has_any:
            return None
        limits, guest = make()
        # Before there is a machine, which would be in vain.
        source = guest.source
        self._has_any = isinstance(source, ImageSource) and source.template.has_doors
        if not self._has_any or guest.rooms(limits) is None:
            return None
        express = begin(guest, limits)
        if express is None:
            # Neither the next time: it is a matter of the engine or the platform.
            self._has_any = False
            guest.end("its first run is an unusual one")
            return None
        return _Ready(guest, express)

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if ending():
            # The modules may be gone already, and all memory goes anyway.
            return
        for place in [place for place in tuple(_ready) if place[0] == self._number]:
            ready = _ready.pop(place, None)
            if ready is not None:
                ready.close()


def _drop_oldest() -> None:
    with suppress(StopIteration, RuntimeError, KeyError):
        # Another thread may change it meanwhile, and has then dropped one itself, or will.
        _ready.pop(next(iter(_ready))).close()
