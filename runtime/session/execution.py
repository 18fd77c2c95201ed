"""One run from its request to its result, on whichever thread it is performed."""

from _thread import LockType, allocate_lock
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cloche.runtime.bridge.host_memory import SHORT
from cloche.runtime.bridge.pending import PendingCalls
from cloche.runtime.bridge.protocol import (
    AS_IT_IS,
    FINISHED,
    NOTHING,
    FinishedResponse,
    Reading,
    Response,
    WaitingResponse,
    parse_response,
)
from cloche.runtime.bridge.run_state import NO_USAGE, InterruptedStep, RunState
from cloche.runtime.bridge.transcript import join_answers
from cloche.runtime.errors import (
    CallerError,
    CannotPause,
    ClocheError,
    GuestCrashed,
    GuestError,
    MemoryExceeded,
    ProtocolError,
    SessionClosed,
)
from cloche.runtime.machine_api import PAUSED, StopRun, now
from cloche.runtime.result import Result, Usage
from cloche.runtime.session.guest import Running, SessionGuest, Step
from cloche.runtime.session.pausing import BEGUN_WITH_RUN, PauseRequest
from cloche.runtime.session.requests import Request, error_of_failure, error_of_stop, exit_code
from cloche.runtime.session.resting import Rest, resting
from cloche.runtime.values import MalformedValue
from cloche.runtime.wasm.signals import signal_behind
from cloche.runtime.wasm.traps import Stopped
from cloche.runtime.work import WorkEnded

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "GRACE",
    "UNLIMITED_FUEL",
    "Done",
    "Execution",
    "Overtaken",
    "check_answer",
]

# A character becomes four bytes or fewer, and a report has a few short fields beside its texts.
_PER_CHARACTER = 4
_REPORT = 4096


def check_answer(
    response: bytes, run: RunState, waiting: PendingCalls | None, max_bytes: int | None = None
) -> Response:
    """Return a checked response. Raises ProtocolError; ``max_bytes`` replaces the cap on the value's encoded bytes.

    A program is suspended only where calls of it wait, and for just those. Raises StopRun where the value takes too
    much of the host's memory, and WorkEnded where the time is over before it is read.
    """
    limits = run.limits
    if response == NOTHING:
        return FINISHED
    # Only an answer of four parts has displays.
    shown = limits.displays if response[:1] == b"\x94" else 0
    cap = (limits.result if max_bytes is None else max_bytes) + shown + _REPORT
    cap += _PER_CHARACTER * (limits.message + limits.traceback)
    if len(response) > cap:
        raise ProtocolError(f"a response of {len(response)} bytes is larger than {cap}")
    try:
        answer = parse_response(response, AS_IT_IS if len(response) <= SHORT else _reading(response, run))
    except Exception as error:
        if isinstance(error, StopRun | ClocheError) or signal_behind(error):
            raise
        # What nothing foresaw came of what the guest sent, and ends its run only.
        raise GuestCrashed(f"the host could not read its answer: {type(error).__name__}") from error
    if isinstance(answer, WaitingResponse):
        if waiting is None:
            raise ProtocolError("the program was suspended in a run that cannot be")
        waiting.settle(answer)
    return answer


def _reading(response: bytes, run: RunState) -> Reading:
    try:
        cost, look = run.memory.measure(response)
    except MalformedValue as error:
        raise ProtocolError(f"a malformed response: {error}") from None
    run.memory.add(cost)
    return Reading(2 * run.limits.host_memory, look)


GRACE = 0.1
"""Seconds past the deadline after which a run counts as stuck."""

UNLIMITED_FUEL = 1 << 62
"""More than any program can use in a year, and less than the engine's signed 64-bit counter."""

Done = Callable[["Execution", BaseException | None], None]
"""Called when a run is settled, on whichever thread: with the error if the guest was lost, else with None."""


# Two that ask for a pause at once share one request.
_making_request = allocate_lock()


class Overtaken(Exception):
    """The run was settled by :meth:`Execution.cancel` or :meth:`Execution.abandon` before its thread came back."""


class _Ending:
    """How the guest was left: with an answer, or ended by an error; ``steps`` are the requests that ended well."""

    # Defaults and no slots: one is made for each run, which sets two or three of them.
    answer: Response | None = None
    paused = False
    error: BaseException | None = None
    fuel: int | None = None
    seconds = 0.0

    def __init__(self) -> None:
        self.steps: list[Step] = []


class Execution:
    """Performs a request's frames once. It is settled exactly once: by :meth:`perform`, or by :meth:`abandon`.

    ``paused`` is true, once it is settled, if a program is suspended: the session puts that program there.
    ``leave`` settles it at once from another thread, where that is possible: see ``Detached``.
    ``pausing`` is there once its program was asked to pause.
    ``begun`` is there for a run that may be cancelled first: whoever acquires it performs the run, or cancels it.
    """

    paused: object = False
    leave: Callable[[GuestError], bool] | None = None
    pausing: PauseRequest | None = None
    begun: LockType | None = None
    _running: Running | None = None
    _exit_code: int | None = None
    _fuel: int | None = None
    # Of a run that a driver has: how it is going to end, once its guest has been entered.
    _ending: _Ending | None = None
    _rest: Rest | None = None

    def __init__(
        self,
        guest: SessionGuest,
        request: Request,
        frames: list[bytes],
        run: RunState,
        done: Done,
        loop: "asyncio.AbstractEventLoop | None" = None,
    ) -> None:
        self.run = run
        self._guest = guest
        self._request = request
        self._frames = frames
        self._done = done
        self._loop = loop
        # Whoever acquires it settles the run; it is never released.
        self._settled = allocate_lock()

    @property
    def kept(self) -> int | None:
        """How many programs that wait keep their guests, before this one rests; None if it never does."""
        return self._guest.resting

    @property
    def is_overdue(self) -> bool:
        """Whether the guest was started and its time is over by more than any guest takes to notice."""
        return self._running is not None and now() > self.run.stop.deadline + GRACE

    @property
    def can_leave(self) -> bool:
        """Whether its guest can leave its thread at a call that has no answer yet."""
        return self._guest.source.can_leave

    def time_exceeded(self) -> GuestError:
        """Return the error for a run whose time is over."""
        return self.run.time_exceeded()

    @property
    def can_pause(self) -> bool:
        """Whether its program was started in a way that lets it wait."""
        return self.run.waiting is not None and self.run.waiting.allowed

    def pause(self, is_current: Callable[[], bool], timeout: float | None) -> None:
        """From any thread: have the program paused, and wait until it is, or until ``is_current()`` is false.

        Raises CannotPause, also after ``timeout`` seconds.
        """
        if not self.can_pause:
            raise CannotPause(BEGUN_WITH_RUN)
        if not self._guest.source.can_pause:
            raise CannotPause("its guest image says nothing about pausing: build it again with make guest")
        self._pause_request().wait(is_current, lambda: self.run.doing, timeout)

    def _pause_request(self) -> PauseRequest:
        with _making_request:
            if self.pausing is None:
                self.pausing = PauseRequest()
            return self.pausing

    def perform(self, *, stack_checked: bool = False) -> Result[Any]:
        """Run the guest on this thread and return the result, or raise what is not the guest's doing.

        ``stack_checked`` says that this thread's stack is known to have room for it. Raises Overtaken if the run was
        cancelled before, or abandoned meanwhile.
        """
        run = self.run
        if self.begun is not None and not self.begun.acquire(False):
            raise Overtaken
        running = self._open()
        ending = _Ending()
        try:
            ending.answer = self._exchange(running, ending.steps, stack_checked)
            ending.paused = ending.answer is None
        except BaseException as raised:
            ending.error = _as_error(raised, run)
        self._close(running, ending)
        if not self._settled.acquire(False):
            running.machine.close()
            raise Overtaken
        return self._conclude(running, ending)

    def adopt(self, running: Running) -> None:
        """Conclude a step that was begun, and served, elsewhere: see ``express.py``."""
        self._running = running

    def conclude(self, running: Running, end_step: Callable[[], bytes]) -> Result[Any]:
        """Conclude a step that was adopted as :meth:`perform` does; ``end_step`` returns its response, or raises."""
        ending = _Ending()
        try:
            response = end_step()
            if self._guest.keeps:
                ending.steps.append((self._frames[0], running.tape.stop(), response))
            ending.answer = FINISHED if response == NOTHING else check_answer(response, self.run, self.run.waiting)
        except BaseException as raised:
            ending.error = _as_error(raised, self.run)
        limit = self.run.limits.fuel
        self._fuel = UNLIMITED_FUEL if limit is None else limit
        self._close(running, ending)
        self._settled.acquire(False)
        return self._conclude(running, ending)

    def advance(self) -> Result[Any] | None:
        """Do as :meth:`perform`, until the run ends or its guest has left this thread: None then, and it can be
        advanced again, on any thread with room for a guest, or dropped. It has left to wait if ``run.wait`` is there.
        """
        run, ending = self.run, self._ending
        if ending is None or self._running is None:
            running, self._ending = self._open(), _Ending()
            ending = self._ending
        else:
            running = self._running
        try:
            if self._rest is not None:
                self._end_rest(running)
            ending.answer = self._exchange(running, ending.steps, True)
            ending.paused = ending.answer is None
            if ending.paused and not (self.pausing is not None and self.pausing.stands and run.wait is None):
                return None
        except BaseException as raised:
            ending.error, ending.paused = _as_error(raised, run), False
        self._close(running, ending)
        if not self._settled.acquire(False):
            running.machine.close()
            raise Overtaken
        return self._conclude(running, ending)

    def begin_rest(self) -> None:
        """Between two turns: leave the guest to others until the next one, if it may."""
        running = self._running
        if running is not None and self._rest is None and not running.machine.dead:
            self._rest = resting.begin(running.machine, self._guest.source)

    def _end_rest(self, running: Running | None) -> None:
        rest, self._rest = self._rest, None
        if rest is None:
            return
        resting.end(rest, None if running is None else running.machine)
        if running is not None:
            # Not the same any more for who keeps its guest's parts: see ``express.py``.
            self._running = self._guest.running = running._replace()

    def drop(self, error: BaseException) -> Result[Any] | None:
        """Settle a run that stands: it was not advanced yet, or has left its thread. None if it was settled already."""
        if not self._settled.acquire(False):
            return None
        running, ending = self._running, self._ending
        if running is None or ending is None:
            self.run.driver = None
            self._done(self, None)
            return None
        self._end_rest(None)
        ending.error, ending.answer, ending.paused = error, None, False
        for record in self.run.calls:
            record.end("abandoned", now() - record.started)
        self._close(running, ending)
        return self._conclude(running, ending)

    def leave_out(self, seconds: float) -> None:
        """Do not count some time that has just passed: the run could have continued, and others had their turn."""
        run = self.run
        run.started += seconds
        run.stop.deadline += seconds
        self._guest.environment.leave_out(seconds)

    def cancel(self) -> None:
        """Settle a run that is not being performed yet: it never will be."""
        if self.begun is not None and self.begun.acquire(False) and self._settled.acquire(False):
            self._done(self, None)

    def interrupt(self, reason: GuestError) -> bool:
        """From any thread: end the run soon, even if a tool blocks it. Returns whether it was still in progress."""
        leave = self.leave
        if leave is not None and self.run.doing:
            return leave(reason)
        in_progress = not self._settled.locked()
        if in_progress:
            self._stop(reason)
            # The tool may have been entered in between; see the handlers, which look in the opposite order.
            if leave is not None and self.run.doing:
                leave(reason)
        return in_progress

    def abandon(self, error: GuestError) -> Result[Any] | None:
        """From another thread: settle a run whose thread may be stuck, and return its result.

        The thread is left to itself: its guest ends as soon as it computes again. None if the run was settled already,
        or has not started: then it is interrupted and will be settled soon.
        """
        self._stop(error)
        if self._running is None or not self._settled.acquire(False):
            return None
        return self._conclude_abandoned(error)

    def _stop(self, reason: GuestError) -> None:
        self.run.interrupt(reason)
        if self._running is not None:
            self._running.machine.wake()

    def _open(self) -> Running:
        """Prepare the guest for the run, and return it."""
        guest, run, limits = self._guest, self.run, self.run.limits
        made_now = guest.running is None
        try:
            running = guest.ready()
        except BaseException as error:
            if self._settled.acquire(False):
                self._done(self, error if isinstance(error, SessionClosed) else None)
            raise
        if made_now:
            run.start()
        fuel, machine = None, running.machine
        if guest.metered:
            fuel = UNLIMITED_FUEL if limits.fuel is None else max(0, limits.fuel - (run.carried.fuel or 0))
        self._fuel = fuel
        machine.allow(fuel, run.stop)
        if fuel is not None and guest.environment.rate:
            guest.environment.begin(lambda: fuel - machine.fuel_left())
        running.host.begin(run, self._loop)
        if guest.recorder is not None:
            self._begin_record(running, fuel)
        # From here on an interrupt finds the machine; one that came before is found when the first step is due.
        self._running = running
        return running

    def _close(self, running: Running, ending: _Ending) -> None:
        """Take note of what the guest has used, once it was left for good."""
        run, fuel = self.run, self._fuel
        running.host.end()
        run.driver = None
        ending.seconds = now() - run.started
        if fuel is not None:
            ending.fuel = (run.carried.fuel or 0) + fuel - running.machine.fuel_left()

    def _exchange(self, running: Running, steps: list[Step], stack_checked: bool) -> Response | None:
        """Return the guest's answer; None if the program was paused."""
        run, request, frames = self.run, self._request, self._frames
        if run.stop.reason is not None:
            raise StopRun(run.stop.reason)
        if run.driver is not None and run.interrupted_step is not None:
            last = b""
        else:
            last = frames[0] if len(frames) == 1 and request.answers is None else self._prepare(running, steps)
        if run.driver is not None or self.can_pause:
            response = self._step_program(running, last, steps, stack_checked)
            if response is PAUSED:
                return None
        else:
            response = self._step(running, last, steps, stack_checked)
        answer = FINISHED if response == NOTHING else check_answer(response, run, run.waiting, request.max_bytes)
        if run.waiting is not None and isinstance(answer, WaitingResponse):
            running.host.drain()
        if run.listener is not None:
            run.flush()
        return answer

    def _prepare(self, running: Running, steps: list[Step]) -> bytes:
        """Exchange the frames that come before the last one, and return that.

        To resume a program is the last one: calls that were approved are made now, within the run's limits.
        """
        request, frames = self._request, self._frames
        for frame in frames if request.answers is not None else frames[:-1]:
            response = self._step(running, frame, steps, False)
            answer = check_answer(response, self.run, None)
            if not isinstance(answer, FinishedResponse) or answer.failure is not None:
                raise ProtocolError("the interpreter refused its own settings")
        if request.answers is None:
            return frames[-1]
        last = running.host.resume(request.answers, self._guest.run_options(self.run.limits))
        if self.run.record is not None and self._guest.recorder is not None:
            self._guest.recorder.resumed(self.run.record, [last])
        return last

    def _step(self, running: Running, frame: bytes, steps: list[Step], stack_checked: bool) -> bytes:
        guest, tape = self._guest, running.tape
        if not guest.keeps:
            response = running.machine.step(frame, stack_checked=stack_checked)
        else:
            tape.start()
            response = running.machine.step(frame, stack_checked=stack_checked)
            steps.append((frame, tape.stop(), response))
        if self.run.record is not None and guest.recorder is not None:
            guest.recorder.answered(self.run.record, response)
        return response

    def _step_program(self, running: Running, frame: bytes, steps: list[Step], stack_checked: bool) -> bytes:
        """Do as ``_step``, with a program that may be paused meanwhile, or was: all its parts are one step."""
        run, guest, tape, machine = self.run, self._guest, running.tape, running.machine
        before, run.interrupted_step = run.interrupted_step, None
        guest.environment.start_clock()
        pausing = self._pause_request()
        pausing.enter(machine)
        tape.start()
        try:
            response = machine.step(frame, stack_checked=stack_checked)
            while response is PAUSED and run.driver is None and not pausing.stands:
                # It left when it was asked no longer.
                response = machine.step(b"", stack_checked=stack_checked)
        finally:
            pausing.leave()
        answers = tape.stop()
        if before is not None:
            frame, answers = before.request, join_answers(before.answers, answers)
        if response is PAUSED:
            run.interrupted_step = InterruptedStep(frame, answers)
            if run.driver is None:
                guest.environment.stop_clock()
            return response
        if guest.keeps:
            steps.append((frame, answers, response))
        if run.record is not None and guest.recorder is not None:
            guest.recorder.answered(run.record, response)
        return response

    def _begin_record(self, running: Running, fuel: int | None) -> None:
        recorder, run = self._guest.recorder, self.run
        if recorder is None or running.recording is None:
            return
        if run.record is None:
            run.record = recorder.begin(self._guest.tools.specs(), self._frames, fuel, self._request.code)
        elif run.interrupted_step is None:
            recorder.resumed(run.record, self._frames)
        running.recording.run = run.record

    def _end_record(self, running: Running | None, ending: _Ending, error: BaseException | None, lost: bool) -> None:
        record, recorder = self.run.record, self._guest.recorder
        if record is None or recorder is None:
            return
        if running is not None and running.recording is not None:
            running.recording.run = None
        if self.paused:
            # What comes after belongs to the same run: it is lost with it, too.
            return
        record.output, record.errors = self.run.stdout.content(), self.run.stderr.content()
        record.error = None if error is None else [type(error).__name__, str(error)]
        record.used, record.lost = ending.fuel, lost
        recorder.end(record)

    def _conclude(self, running: Running, ending: _Ending) -> Result[Any]:
        guest, run, error, answer = self._guest, self.run, ending.error, ending.answer
        memory = guest.memory_seen = running.machine.memory_size()
        if answer is not FINISHED and isinstance(answer, FinishedResponse) and answer.failure is not None:
            error = error_of_failure(answer.failure, run.limits, memory, self._request.max_bytes)
            self._exit_code = exit_code(answer.failure)
        lost = error is not None and self._is_lost(running, ending, error)
        self.paused = False
        if lost:
            guest.lose()
            running.machine.close()
        elif isinstance(answer, FinishedResponse):
            guest.commit(running, ending.steps, ending.fuel, ending.seconds, run.carried.fuel or 0)
        elif answer is not None or ending.paused:
            self.paused = True
            guest.hold(ending.steps)
        usage = Usage(ending.fuel, ending.seconds, memory, run.output_bytes if run.streams else 0, run.calls_made)
        # Before anyone else may use the session.
        guest.spend(usage if run.carried is NO_USAGE else usage.since(run.carried))
        run.carried = usage
        if guest.recorder is not None:
            self._end_record(running, ending, error, lost)
        self._done(self, error if lost else None)
        return self._result(ending, error, usage, lost)

    def _is_lost(self, running: Running, ending: _Ending, error: BaseException) -> bool:
        if isinstance(error, MemoryExceeded) and not running.machine.dead:
            # The guest is sound, but would keep all that memory, which never shrinks, for as long as it lives.
            return self._guest.keeps
        # A program whose answers were not delivered could not be given them again.
        harmless = isinstance(error, CallerError) and self._request.answers is None
        return ending.answer is None and not ending.paused and (running.machine.dead or not harmless)

    def _conclude_abandoned(self, error: GuestError) -> Result[Any]:
        guest, run, ending = self._guest, self.run, _Ending()
        run.driver = None
        ending.error, ending.seconds = error, now() - run.started
        for record in run.calls:
            record.end("abandoned", now() - record.started)
        guest.lose()
        self.paused = False
        usage = Usage(None, ending.seconds, guest.memory_seen, run.output_bytes, run.calls_made)
        guest.spend(usage if run.carried is NO_USAGE else usage.since(run.carried))
        run.carried = usage
        self._end_record(self._running, ending, error, lost=True)
        self._done(self, error)
        return self._result(ending, error, usage, lost=True)

    def _result(self, ending: _Ending, error: BaseException | None, usage: Usage, lost: bool) -> Result[Any]:
        if error is not None and not isinstance(error, GuestError):
            raise error
        run, answer = self.run, ending.answer
        value, shown = (answer.value, answer.displays) if isinstance(answer, FinishedResponse) else (None, ())
        stdout, stderr = run.output() if run.streams else ("", "")
        if self._exit_code == 0:
            error = None
        lost = lost and self._guest.keeps
        return Result(value, error, stdout, stderr, usage, run.calls, lost, self._exit_code, shown)


def _as_error(raised: BaseException, run: RunState) -> BaseException:
    """Return why a guest was left other than with an answer: a GuestError, or an exception that is the caller's own."""
    if isinstance(raised, Stopped):
        return error_of_stop(raised, run)
    if isinstance(raised, WorkEnded):
        return run.stop.reason or run.time_exceeded()
    return raised.reason if isinstance(raised, StopRun) else raised
