"""One run from its request to its result, on whichever thread it is performed."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from cloche.runtime.bridge.pending import Answer, PendingCalls
from cloche.runtime.bridge.protocol import (
    FINISHED,
    NOTHING,
    FailureReport,
    FinishedResponse,
    Response,
    WaitingResponse,
    parse_response,
)
from cloche.runtime.bridge.run_state import RunState, now
from cloche.runtime.errors import (
    CallerError,
    FuelExhausted,
    GuestCrashed,
    GuestError,
    GuestException,
    MemoryExceeded,
    ProtocolError,
    ResultTooLarge,
    SessionClosed,
    StackOverflow,
    UnserializableValue,
)
from cloche.runtime.limits import Limits
from cloche.runtime.machine_api import Machine, StopRun
from cloche.runtime.result import Result, Usage
from cloche.runtime.session.guest import Running, SessionGuest, Step
from cloche.runtime.session.suspended import Suspended
from cloche.runtime.wasm.traps import StopKind, Stopped

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "GRACE",
    "UNLIMITED_FUEL",
    "Done",
    "Ending",
    "Execution",
    "Job",
    "Overtaken",
    "Resumption",
    "as_error",
    "check_answer",
    "check_finished",
    "error_of_failure",
    "error_of_stop",
]


# The largest piece of memory that the interpreter asks for by itself.
_ARENA = 1 << 20
# Characters become at most four bytes, and a report has a few short fields beside its texts.
_PER_CHARACTER = 4
_REPORT = 4096


def check_answer(response: bytes, limits: Limits, waiting: PendingCalls | None, most: int | None = None) -> Response:
    """Return a checked response. Raises ProtocolError; ``most`` replaces the cap on the value's encoded bytes.

    A program is suspended only where calls of it wait, and for just those.
    """
    if response == NOTHING:
        return FINISHED
    cap = (limits.result if most is None else most) + _PER_CHARACTER * (limits.message + limits.traceback) + _REPORT
    if len(response) > cap:
        raise ProtocolError(f"a response of {len(response)} bytes, where {cap} is the most")
    answer = parse_response(response)
    if isinstance(answer, WaitingResponse):
        if waiting is None:
            raise ProtocolError("the program was suspended, which nobody asked for")
        waiting.settle(answer)
    return answer


def check_finished(response: bytes, limits: Limits) -> FinishedResponse:
    """Return a checked response that cannot be a suspension. Raises ProtocolError."""
    answer = check_answer(response, limits, None)
    assert isinstance(answer, FinishedResponse)
    return answer


def error_of_stop(stopped: Stopped, run: RunState) -> BaseException:
    """Return why a guest was ended: a GuestError for the result, or an exception that is the caller's own."""
    match stopped.kind:
        case StopKind.HOST | StopKind.INTERRUPTED:
            return stopped.reason or run.stop_reason or GuestCrashed(str(stopped))
        case StopKind.TIME:
            return run.time_exceeded()
        case StopKind.FUEL:
            limit = run.limits.fuel or 0
            return FuelExhausted(limit, limit)
        case StopKind.STACK:
            return StackOverflow()
        case _:
            return GuestCrashed(str(stopped))


def error_of_failure(failure: FailureReport, limits: Limits, memory: int, most: int | None = None) -> GuestError:
    """Return the error for a failure that the guest reported; its texts are cut to the limits once more.

    ``most`` replaces the cap on the value's encoded bytes.
    """
    message = failure.message[: limits.message]
    if failure.kind == "unserializable":
        return UnserializableValue(message)
    if failure.kind == "too_large":
        cap = limits.result if most is None else most
        return ResultTooLarge(cap, cap)
    if _is_out_of_memory(failure, limits, memory):
        return MemoryExceeded(memory, limits.memory)
    return GuestException(failure.type_name, message, failure.traceback[: limits.traceback], failure.line)


def _is_out_of_memory(failure: FailureReport, limits: Limits, memory: int) -> bool:
    if failure.module != "builtins":
        return False
    # The interpreter's own MemoryError has no message; one that a program or a parser raised has. A SystemError is
    # what is left of it where the interpreter could not even make that.
    full = memory + _ARENA > limits.memory
    return (failure.type_name == "MemoryError" and not failure.message) or (failure.type_name == "SystemError" and full)


GRACE = 0.1
"""Seconds past the deadline after which a run counts as stuck."""

UNLIMITED_FUEL = 1 << 62
"""More than any program can use in a year, and less than the engine's signed 64-bit counter."""

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


class Ending:
    """How the guest left it: with an answer, or ended by an error."""

    def __init__(
        self, answer: Response | None, error: BaseException | None, seconds: float, fuel: int | None = None
    ) -> None:
        self.answer = answer
        self.error = error
        self.seconds = seconds
        self.fuel = fuel


class Execution:
    """Performs a job once. It is settled exactly once: by :meth:`perform`, or by :meth:`abandon`.

    ``paused`` says, once it is settled, whether a program is suspended: False, or True until whoever is told that the
    execution is done puts something better there.
    """

    _body: Running | None = None
    _settled = False

    def __init__(
        self,
        guest: SessionGuest,
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
        self._lock = threading.Lock()
        self.paused = paused

    @property
    def is_overdue(self) -> bool:
        """Whether the guest was started and its time is over by more than any guest takes to notice."""
        return self._body is not None and now() > self.run.deadline + GRACE

    def perform(self, *, roomy: bool = False) -> Result[Any]:
        """Run the guest on this thread and return the result, or raise what is not the guest's doing.

        ``roomy`` says that this thread's stack is known to have room for it. Raises Overtaken if the run was abandoned
        meanwhile.
        """
        try:
            body = self._guest.ready()
        except BaseException as error:
            self.cancel(error)
            raise
        self.run.start()
        steps: list[Step] = []
        ending = self._drive(body, steps, roomy)
        if not self._settle():
            body.machine.close()
            raise Overtaken
        return self._conclude(body, ending, steps)

    def conclude(self, body: Running, ending: Ending, steps: list[Step]) -> Result[Any]:
        """Settle a run that was performed by somebody else, as :meth:`perform` does."""
        self._body, self._settled = body, True
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

    def _stop(self, reason: GuestError) -> None:
        self.run.interrupt(reason)
        if self._body is not None:
            self._body.machine.interrupt(reason)

    def _settle(self) -> bool:
        with self._lock:
            first, self._settled = not self._settled, True
            return first

    def _drive(self, body: Running, steps: list[Step], roomy: bool) -> Ending:
        run, machine = self.run, body.machine
        fuel = self._set_limits(machine)
        body.host.begin(run, self._loop)
        if self._guest.recorder is not None:
            self._begin_record(body, fuel)
        # From here on an interrupt finds the machine; one that came before is found when the first step is due.
        self._body = body
        answer, error = None, None
        try:
            answer = self._perform_job(body, steps, roomy)
        except BaseException as raised:
            error = as_error(raised, run)
        body.host.end()
        used = None if fuel is None else (run.carried.fuel or 0) + fuel - machine.fuel_left()
        return Ending(answer, error, now() - run.started, used)

    def _set_limits(self, machine: Machine) -> int | None:
        """Set the machine's limits and return the fuel it was given; None if it does not count fuel."""
        limits, carried, guest = self.run.limits, self.run.carried, self._guest
        fuel = None
        if guest.metered:
            fuel = UNLIMITED_FUEL if limits.fuel is None else max(0, limits.fuel - (carried.fuel or 0))
        machine.allow(fuel, None if limits.time is None else max(0.0, limits.time - carried.wall))
        if fuel is not None and guest.world.rate:
            guest.world.begin(lambda: fuel - machine.fuel_left())
        return fuel

    def _perform_job(self, body: Running, steps: list[Step], roomy: bool) -> Response:
        run, job = self.run, self._job
        if run.stop_reason is not None:
            raise StopRun(run.stop_reason)
        if len(job.requests) != 1 or job.resumption is not None:
            self._prepare(body, steps)
        last = job.requests[-1] if job.resumption is None else self._resumption(body, job.resumption)
        answer = check_answer(self._step(body, last, steps, roomy), run.limits, run.waiting, job.most)
        if run.waiting is not None and isinstance(answer, WaitingResponse):
            body.host.drain()
        if run.listener is not None:
            run.flush()
        return answer

    def _prepare(self, body: Running, steps: list[Step]) -> None:
        """Make the requests that come before the last one."""
        leading = self._job.requests if self._job.resumption is not None else self._job.requests[:-1]
        for request in leading:
            if check_finished(self._step(body, request, steps), self.run.limits).failure is not None:
                raise ProtocolError("the interpreter refused its own settings")

    def _resumption(self, body: Running, resumption: Resumption) -> bytes:
        """Return the request to resume a program. Calls that were approved are made now, within its limits."""
        request = body.host.resume(*resumption)
        if self.run.record is not None and self._guest.recorder is not None:
            self._guest.recorder.resumed(self.run.record, [request])
        return request

    def _step(self, body: Running, request: bytes, steps: list[Step], roomy: bool = False) -> bytes:
        guest, tape = self._guest, body.tape
        if guest.keeps:
            tape.start()
        response = body.machine.step(request, roomy=roomy)
        if guest.keeps:
            steps.append((request, tape.stop(), response))
        if self.run.record is not None and guest.recorder is not None:
            guest.recorder.answered(self.run.record, response)
        return response

    def _begin_record(self, body: Running, fuel: int | None) -> None:
        recorder, run, job = self._guest.recorder, self.run, self._job
        if recorder is None or body.ear is None:
            return
        if run.record is None:
            run.record = recorder.begin(self._guest.tools.specs(), job.requests, fuel, job.code)
        else:
            recorder.resumed(run.record, job.requests)
        body.ear.run = run.record

    def _end_record(self, body: Running | None, ending: Ending, error: BaseException | None, lost: bool) -> None:
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

    def _conclude(self, body: Running, ending: Ending, steps: list[Step]) -> Result[Any]:
        guest, error, answer = self._guest, ending.error, ending.answer
        memory = guest.memory_seen = body.machine.memory_size()
        if answer is not None and isinstance(answer, FinishedResponse) and answer.failure is not None:
            error = error_of_failure(answer.failure, self.run.limits, memory, self._job.most)
        lost = error is not None and self._is_lost(body, ending, error)
        if lost:
            guest.lose()
            body.machine.close()
        elif answer is not None:
            self._keep(body, ending, steps)
        usage = self._account(ending, memory)
        self.paused = isinstance(answer, WaitingResponse)
        if guest.recorder is not None:
            self._end_record(body, ending, error, lost)
        self._done(self, error if lost else None)
        return self._result(ending, error, usage, lost)

    def _is_lost(self, body: Running, ending: Ending, error: BaseException) -> bool:
        if isinstance(error, MemoryExceeded) and not body.machine.dead:
            # The guest is sound, but would keep all that memory, which never shrinks, for as long as it lives.
            return self._guest.keeps
        # A program whose answers were not delivered could not be given them again.
        harmless = isinstance(error, CallerError) and self._job.resumption is None
        return ending.answer is None and (body.machine.dead or not harmless)

    def _keep(self, body: Running, ending: Ending, steps: list[Step]) -> None:
        if isinstance(ending.answer, WaitingResponse):
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
        ending = Ending(None, error, seconds)
        usage = self._account(ending, self._guest.memory_seen)
        self._end_record(self._body, ending, error, lost=True)
        self._done(self, error)
        return self._result(ending, error, usage, lost=True)

    def _account(self, ending: Ending, memory: int) -> Usage:
        """Return what was used, and add it to what the session has used: before anyone else may use the session."""
        run = self.run
        usage = Usage(ending.fuel, ending.seconds, memory, run.output_bytes, run.calls_made)
        self._guest.spent = self._guest.spent.plus(usage.since(run.carried) if run.carried.wall else usage)
        run.carried = usage
        return usage

    def _result(self, ending: Ending, error: BaseException | None, usage: Usage, lost: bool) -> Result[Any]:
        if error is not None and not isinstance(error, GuestError):
            raise error
        run = self.run
        value = ending.answer.value if isinstance(ending.answer, FinishedResponse) else None
        rolled_back = lost and self._guest.keeps
        return Result(value, error, *run.output(), usage, run.calls, rolled_back)


def as_error(raised: BaseException, run: RunState) -> BaseException:
    """Return why a guest was left other than with an answer: a GuestError, or an exception that is the caller's own."""
    if isinstance(raised, Stopped):
        return error_of_stop(raised, run)
    return raised.reason if isinstance(raised, StopRun) else raised
