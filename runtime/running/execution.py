"""One run from its request to its result, on whichever thread it is performed."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from cloche.runtime.bridge.protocol import Finished, Response, Waiting
from cloche.runtime.errors import CallerError, GuestError, MemoryExceeded, ProtocolError, SessionClosed
from cloche.runtime.result import Result, Usage
from cloche.runtime.running.outcome import check_answer, check_finished, error_of_failure, error_of_stop
from cloche.runtime.running.run_state import RunState, now
from cloche.runtime.running.session_guest import Body, Guest, Step
from cloche.runtime.seam import Machine, StopRun
from cloche.runtime.suspension.answers import Answer
from cloche.runtime.suspension.suspended import Suspended
from cloche.runtime.wasm.traps import Stopped

if TYPE_CHECKING:
    import asyncio

__all__ = ["GRACE", "Done", "Execution", "Job", "Overtaken", "Resumption"]

GRACE = 0.1
"""Seconds past the deadline after which a run counts as stuck."""

# More than any program can use in a year, and less than the engine's signed 64-bit counter.
_UNLIMITED_FUEL = 1 << 62

Done = Callable[["Execution", BaseException | None], None]
"""Called when a run is settled, on whichever thread: with the error if the guest was lost, else with None."""


Paused = Suspended | bool


class Overtaken(Exception):
    """The run was settled by :meth:`Execution.abandon` before its thread came back; nobody waits for it."""


class Resumption(NamedTuple):
    """How a suspended program goes on: the answers to its calls, and the options of the request."""

    answers: dict[int, Answer]
    options: dict[str, Any]


class Job(NamedTuple):
    """Requests to perform in order; the last one's value is the result.

    ``most`` caps that value's encoded bytes, where it is not the limit of results. ``code`` is the
    program, if one is run: that takes from the session's budget. With a ``resumption``, what comes last is to resume
    a program.
    """

    requests: list[bytes]
    most: int | None = None
    code: str | None = None
    resumption: Resumption | None = None

    @property
    def leading(self) -> list[bytes]:
        """The requests before the last one."""
        return self.requests if self.resumption is not None else self.requests[:-1]


class _Ending(NamedTuple):
    """How the guest left it: with an answer, or ended by an error."""

    answer: Response | None
    error: BaseException | None
    seconds: float
    fuel: int | None


class Execution:
    """Performs a job once. It is settled exactly once: by :meth:`perform`, or by :meth:`abandon`.

    ``paused`` says, once it is settled, whether a program is suspended: False, or True until whoever is told that the
    execution is done puts something better there.
    """

    __slots__ = ("_body", "_done", "_guest", "_job", "_lock", "_loop", "_settled", "paused", "run")

    def __init__(
        self,
        guest: Guest,
        job: Job,
        run: RunState,
        done: Done,
        loop: "asyncio.AbstractEventLoop | None" = None,
        paused: Paused = False,
    ) -> None:
        self.run = run
        self._guest = guest
        self._job = job
        self._done = done
        self._loop = loop
        self._body: Body | None = None
        self._lock = threading.Lock()
        self._settled = False
        self.paused = paused

    @property
    def is_overdue(self) -> bool:
        """Whether the guest was started and its time is over by more than any guest takes to notice."""
        return self._body is not None and now() > self.run.deadline + GRACE

    def perform(self) -> Result[Any]:
        """Run the guest on this thread and return the result, or raise what is not the guest's doing.

        Raises Overtaken if the run was abandoned meanwhile.
        """
        body = self._ready()
        steps: list[Step] = []
        ending = self._drive(body, steps)
        if not self._settle():
            body.machine.close()
            raise Overtaken
        return self._conclude(body, ending, steps)

    def cancel(self, error: BaseException) -> None:
        """Settle a run that was never performed."""
        if self._settle():
            self._done(self, error if isinstance(error, SessionClosed) else None)

    def interrupt(self, reason: GuestError) -> bool:
        """From any thread: end the run soon. Returns whether it was still going on."""
        with self._lock:
            if not self._settled:
                self._stop(reason)
            return not self._settled

    def abandon(self, error: GuestError) -> Result[Any] | None:
        """From another thread: settle a run whose thread may be stuck, and return its result.

        The thread is left to itself: its guest ends as soon as it computes again. None if the run was settled already,
        or has not started: then it is interrupted and will be settled soon.
        """
        with self._lock:
            if self._settled:
                return None
            self._stop(error)
            if self._body is None:
                return None
            self._settled = True
        return self._conclude_abandoned(error)

    def _ready(self) -> Body:
        try:
            body = self._guest.ready()
        except BaseException as error:
            self.cancel(error)
            raise
        self.run.start()
        return body

    def _stop(self, reason: GuestError) -> None:
        self.run.interrupt(reason)
        if self._body is not None:
            self._body.machine.interrupt(reason)

    def _settle(self) -> bool:
        with self._lock:
            first, self._settled = not self._settled, True
            return first

    def _drive(self, body: Body, steps: list[Step]) -> _Ending:
        fuel = self._set_limits(body.machine)
        body.host.begin(self.run, self._loop)
        if self._guest.recorder is not None:
            self._begin_record(body, fuel)
        # From here on an interrupt finds the machine; one that came before is found when the first step is due.
        self._body = body
        answer, error = None, None
        try:
            answer = self._perform_job(body, steps)
        except Stopped as stopped:
            error = error_of_stop(stopped, self.run)
        except StopRun as stop:
            error = stop.reason
        except BaseException as other:
            error = other
        body.host.end()
        used = None if fuel is None else (self.run.carried.fuel or 0) + fuel - body.machine.fuel_left()
        return _Ending(answer, error, now() - self.run.started, used)

    def _set_limits(self, machine: Machine) -> int | None:
        """Set the machine's limits and return the fuel it was given; None if it does not count fuel."""
        limits, carried = self.run.limits, self.run.carried
        machine.set_deadline(None if limits.time is None else max(0.0, limits.time - carried.wall))
        if not self._guest.source.metered:
            return None
        fuel = _UNLIMITED_FUEL if limits.fuel is None else max(0, limits.fuel - (carried.fuel or 0))
        machine.set_fuel(fuel)
        if self._guest.world.counts_fuel:
            self._guest.world.begin(lambda: fuel - machine.fuel_left())
        return fuel

    def _perform_job(self, body: Body, steps: list[Step]) -> Response:
        run = self.run
        if run.stop_reason is not None:
            raise StopRun(run.stop_reason)
        for request in self._job.leading:
            if check_finished(self._step(body, request, steps), run.limits).failure is not None:
                raise ProtocolError("the interpreter refused its own settings")
        response = self._step(body, self._last_request(body), steps)
        answer = check_answer(response, run.limits, run.waiting, self._job.most)
        if isinstance(answer, Waiting):
            body.host.drain()
        if run.listener is not None:
            run.flush()
        return answer

    def _last_request(self, body: Body) -> bytes:
        """Return the last request. To resume a program, calls that were approved are made now, within its limits."""
        resumption = self._job.resumption
        if resumption is None:
            return self._job.requests[-1]
        request = body.host.resume(*resumption)
        if self.run.record is not None and self._guest.recorder is not None:
            self._guest.recorder.resumed(self.run.record, [request])
        return request

    def _step(self, body: Body, request: bytes, steps: list[Step]) -> bytes:
        if self._guest.keeps:
            body.tape.start()
        response = body.machine.step(request)
        if self._guest.keeps:
            steps.append(Step(request, body.tape.stop(), response))
        if self.run.record is not None and self._guest.recorder is not None:
            self._guest.recorder.answered(self.run.record, response)
        return response

    def _begin_record(self, body: Body, fuel: int | None) -> None:
        recorder, run, job = self._guest.recorder, self.run, self._job
        if recorder is None or body.ear is None:
            return
        if run.record is None:
            run.record = recorder.begin(self._guest.tools.specs(), job.requests, fuel, job.code)
        else:
            recorder.resumed(run.record, job.requests)
        body.ear.run = run.record

    def _end_record(self, body: Body | None, ending: _Ending, error: BaseException | None, lost: bool) -> None:
        record, recorder = self.run.record, self._guest.recorder
        if record is None or recorder is None:
            return
        if body is not None and body.ear is not None:
            body.ear.run = None
        if self.paused:
            # What comes after belongs to the same run: it is lost with it, too.
            return
        record.output, record.errors = self.run.stdout.content(), self.run.stderr.content()
        record.error = None if error is None else [type(error).__name__, str(error)]
        record.used, record.lost = ending.fuel, lost
        recorder.end(record)

    def _conclude(self, body: Body, ending: _Ending, steps: list[Step]) -> Result[Any]:
        memory = self._guest.memory_seen = body.machine.memory_size()
        error, answer = ending.error, ending.answer
        if isinstance(answer, Finished) and answer.failure is not None:
            error = error_of_failure(answer.failure, self.run.limits, memory, self._job.most)
        lost = self._is_lost(body, ending, error)
        if lost:
            self._guest.lose()
            body.machine.close()
        elif answer is not None:
            self._keep(body, ending, steps)
        usage = self._account(ending, memory)
        self.paused = isinstance(answer, Waiting)
        if self._guest.recorder is not None:
            self._end_record(body, ending, error, lost)
        self._done(self, error if lost else None)
        return self._result(ending, error, usage, lost)

    def _is_lost(self, body: Body, ending: _Ending, error: BaseException | None) -> bool:
        if isinstance(error, MemoryExceeded) and not body.machine.dead:
            # The guest is sound, but would keep all that memory, which never shrinks, for as long as it lives.
            return self._guest.keeps
        # A program whose answers were not delivered could not be given them again.
        harmless = isinstance(error, CallerError) and self._job.resumption is None
        return ending.answer is None and (body.machine.dead or not harmless)

    def _keep(self, body: Body, ending: _Ending, steps: list[Step]) -> None:
        if isinstance(ending.answer, Waiting):
            self._guest.hold(steps)
        else:
            self._guest.commit(body, steps, ending.fuel, ending.seconds)
        if self.run.stop_reason is not None:
            # It came too late to end this run, and must not end the next one.
            body.machine.withdraw(self.run.stop_reason)
            self.run.stop_reason = None

    def _conclude_abandoned(self, error: GuestError) -> Result[Any]:
        seconds = now() - self.run.started
        for record in self.run.calls:
            record.end("abandoned", now() - record.started)
        self._guest.lose()
        self.paused = False
        ending = _Ending(None, error, seconds, None)
        usage = self._account(ending, self._guest.memory_seen)
        self._end_record(self._body, ending, error, lost=True)
        self._done(self, error)
        return self._result(ending, error, usage, lost=True)

    def _account(self, ending: _Ending, memory: int) -> Usage:
        """Return what was used, and add it to what the session has used: before anyone else may use the session."""
        run = self.run
        usage = Usage(ending.fuel, ending.seconds, memory, len(run.stdout) + len(run.stderr), run.calls_made)
        self._guest.spent = self._guest.spent.plus(usage.since(run.carried) if run.carried.wall else usage)
        run.carried = usage
        return usage

    def _result(self, ending: _Ending, error: BaseException | None, usage: Usage, lost: bool) -> Result[Any]:
        if error is not None and not isinstance(error, GuestError):
            raise error
        run = self.run
        value = ending.answer.value if isinstance(ending.answer, Finished) else None
        rolled_back = lost and self._guest.keeps
        return Result(value, error, run.stdout.text(), run.stderr.text(), usage, run.calls, rolled_back)
