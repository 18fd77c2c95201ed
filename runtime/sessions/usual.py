"""The usual run of a program, all in one place: to the host its steps and objects cost more than itself to the guest.

A run is a usual one where nobody listens or records, no tool blocks or suspends, nothing is suspended or counted beyond
the run's own limits, and this thread has room for the guest. Of what an :class:`Execution` does, only this is then left
to do, in two thirds of the time (docs/decisions/012). What does not end well is handed to an Execution after all.
"""

import threading
from typing import Any

from cloche.runtime.bridge.protocol import Finished
from cloche.runtime.result import Result, Usage
from cloche.runtime.running.execution import UNLIMITED_FUEL, Ending, Execution, Job, as_error
from cloche.runtime.running.outcome import check_answer
from cloche.runtime.running.run_state import RunState, now
from cloche.runtime.running.session_guest import Body, Step
from cloche.runtime.seam import Machine
from cloche.runtime.sessions.turns import Turns

__all__ = ["UsualRun", "UsualRuns"]


class UsualRun:
    """A usual run while it lasts: all that another thread can do with it is to interrupt it."""

    def __init__(self, run: RunState, machine: Machine) -> None:
        self._run = run
        self._machine = machine
        self._lock = threading.Lock()
        self._over = False

    def interrupt(self, reason: BaseException) -> bool:
        """End the run soon. Returns whether it was still going on."""
        with self._lock:
            if not self._over:
                self._run.interrupt(reason)
                self._machine.interrupt(reason)
            return not self._over

    def end(self) -> None:
        """Take no more interrupts."""
        with self._lock:
            self._over = True


class UsualRuns(Turns):
    """How a session runs a program that needs nothing special."""

    def _run_usual(self, code: str) -> Result[Any] | None:
        """Run a program and return its result; None, with nothing done, if this is not a usual run."""
        guest = self._guest
        if not self._busy.acquire(blocking=False):
            return None
        if self._ended or not (self._pauses.is_idle and guest.is_plain()) or not self._fits_here():
            self._busy.release()
            return None
        return self._perform_usual(code)

    def _perform_usual(self, code: str) -> Result[Any]:
        current: UsualRun | None = None
        try:
            request, body = self._guest.run_request(code, self._limits), self._guest.ready()
            run = RunState(self._limits)
            current = self._current = UsualRun(run, body.machine)
            steps: list[Step] = []
            ending = self._drive(request, body, run, steps)
            current.end()
            if isinstance(ending.answer, Finished) and ending.answer.failure is None and run.stop_reason is None:
                return self._end_well(body, run, ending, steps)
            return Execution(self._guest, Job([request], code=code), run, self._done).conclude(body, ending, steps)
        except BaseException as error:
            if self._current is current:
                # The guest could not be had, or a Ctrl-C came between two of our own lines.
                self._guest.discard()
                self._note_loss(error)
                self._release()
            raise

    def _drive(self, request: bytes, body: Body, run: RunState, steps: list[Step]) -> Ending:
        machine, host, tape, limits = body.machine, body.host, body.tape, run.limits
        fuel = (UNLIMITED_FUEL if limits.fuel is None else limits.fuel) if self._guest.metered else None
        machine.allow(fuel, limits.time)
        host.begin(run, None)
        answer, error = None, None
        try:
            tape.start()
            response = machine.step(request, roomy=True)
            steps.append((request, tape.stop(), response))
            answer = check_answer(response, limits, None)
        except BaseException as raised:
            error = as_error(raised, run)
        host.end()
        return Ending(answer, error, now() - run.started, None if fuel is None else fuel - machine.fuel_left())

    def _end_well(self, body: Body, run: RunState, ending: Ending, steps: list[Step]) -> Result[Any]:
        guest, machine = self._guest, body.machine
        guest.commit(body, steps, ending.fuel, ending.seconds)
        memory = guest.memory_seen = machine.memory_size()
        usage = Usage(ending.fuel, ending.seconds, memory, run.output_bytes, run.calls_made)
        guest.spent = guest.spent.plus(usage)
        self._release()
        assert isinstance(ending.answer, Finished)
        return Result(ending.answer.value, None, *run.output(), usage, run.calls)
