"""A guest that keeps its state from run to run."""

import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from cloche.runtime.bridge.pending import Answer, PendingCalls, SuspendRule, cancel_pending
from cloche.runtime.bridge.protocol import FinishedResponse
from cloche.runtime.bridge.run_state import Listener, RunState, now
from cloche.runtime.errors import ConfigurationError, Interrupted, SessionBusy, SessionClosed
from cloche.runtime.limits import Limits, Spent, parse_count
from cloche.runtime.machine_api import Machine
from cloche.runtime.result import Event, Finished, Result, Usage
from cloche.runtime.session import requests
from cloche.runtime.session.capture import make_twin, take_snapshot
from cloche.runtime.session.detached import Detached, EventFeed
from cloche.runtime.session.execution import UNLIMITED_FUEL, Ending, Execution, Job, as_error, check_answer
from cloche.runtime.session.guest import Running, SessionGuest, Step
from cloche.runtime.session.pauses import SuspendedOrigin, SuspendedSlot
from cloche.runtime.session.suspended import Outcome, Suspended, SuspendedControl
from cloche.runtime.snapshots.snapshot import Snapshot
from cloche.runtime.threads import guest_threads

if TYPE_CHECKING:
    import asyncio

__all__ = ["Contents", "GuestPath", "Session", "Starts", "Turns", "UsualRun", "UsualRuns"]


T = TypeVar("T")


class Turns:
    """A guest that one caller at a time has jobs done in. ``Session`` sets the attributes when it is made."""

    _guest: SessionGuest
    _limits: Limits
    _pauses: SuspendedSlot
    _busy: threading.Lock
    _ended: str
    _current: "Execution | Detached | UsualRun | None"

    def interrupt(self) -> bool:
        """From any thread: end the run that is going on; its error is Interrupted. Returns whether there was one."""
        return self._interrupt(Interrupted())

    def close(self) -> None:
        """End the session and free its memory, interrupting a run that is going on. Safe to call twice."""
        self._ended = self._ended or "it was closed"
        if self._busy.acquire(blocking=False):
            self._guest.close()
            self._busy.release()
        else:
            self._interrupt(Interrupted("the session was closed"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def _wait(
        self, job: requests.MakeJob, limits: Limits | None = None, listener: Listener | None = None
    ) -> Result[Any]:
        return self._performed(self._begin(job, limits, listener, None))[1]

    def _performed(self, execution: Execution) -> tuple[Execution, Result[Any]]:
        return execution, self._perform(execution)

    def _perform(self, execution: Execution) -> Result[Any]:
        if not self._fits_here():
            return self._detach(execution).wait()
        try:
            return execution.perform(roomy=True)
        except BaseException:
            # Ctrl-C between two of our own lines: never leave the session busy.
            execution.abandon(Interrupted())
            raise

    def _fits_here(self) -> bool:
        """Return whether a run may be performed on this thread: it has room, and no tool may have to be left behind."""
        return not self._guest.tools.blocking() and self._guest.source.fits_here()

    async def _await(
        self, job: requests.MakeJob, limits: Limits | None = None, listener: Listener | None = None
    ) -> Result[Any]:
        import asyncio

        execution = self._begin(job, limits, listener, asyncio.get_running_loop())
        return await self._detach(execution).wait_async()

    def _begin(
        self,
        make_job: requests.MakeJob,
        limits: Limits | None,
        listener: Listener | None,
        loop: "asyncio.AbstractEventLoop | None",
        waiting: PendingCalls | None = None,
    ) -> Execution:
        limits, guest = self._limits if limits is None else self._checked(limits), self._guest
        self._take()
        try:
            if self._pauses.current is not None:
                self._pauses.check_none()
            job = make_job(guest, limits)
            if guest.budget is not None and job.code is not None:
                limits = guest.affordable(limits)
            if waiting is None and guest.can_suspend is not None:
                waiting = PendingCalls.none_in(guest.tools)
            run = RunState(limits, listener, waiting)
            execution = self._current = Execution(guest, job, run, self._done, loop)
        except BaseException:
            self._busy.release()
            raise
        return execution

    @contextmanager
    def _taking(self) -> Generator[None]:
        """Take the session for one caller, who keeps it unless this raises."""
        self._take()
        try:
            yield
        except BaseException:
            self._busy.release()
            raise

    def _take(self) -> None:
        if not self._busy.acquire(blocking=False):
            raise SessionBusy
        if self._ended:
            self._busy.release()
            raise SessionClosed(self._ended)

    def _detach(self, execution: Execution) -> Detached:
        try:
            detached = self._current = Detached(execution)
        except BaseException as error:
            execution.cancel(error)
            raise
        return detached

    def _done(self, execution: Execution, error: BaseException | None) -> None:
        """Take the session back from a run that was settled; ``error`` is why its guest was lost."""
        self._note_loss(error)
        if not self._ended:
            self._pauses.settle(execution, error)
        self._release()

    def _note_loss(self, error: BaseException | None) -> None:
        """End the session if its guest was lost for good."""
        if isinstance(error, SessionClosed):
            self._ended = self._ended or error.reason
        elif error is not None and not self._guest.keeps:
            self._ended = self._ended or f"its last run was ended by {type(error).__name__} and rollback is off"

    def _release(self) -> None:
        if self._ended:
            self._guest.close()
        self._current = None
        self._busy.release()

    def _at_rest(self, work: Callable[[], T]) -> T:
        """Do something with the guest while nobody runs it."""
        if not self._busy.acquire(blocking=False):
            raise SessionBusy
        try:
            if self._ended:
                raise SessionClosed(self._ended)
            # A guest that was rolled back repeats what it has done, for which this thread's stack may be too small.
            return work() if self._guest.source.fits_here() else guest_threads.submit(work).result()
        except SessionClosed as error:
            self._ended = self._ended or error.reason
            raise
        finally:
            if self._ended:
                self._guest.close()
            self._busy.release()

    def _interrupt(self, reason: Interrupted) -> bool:
        current = self._current
        return current is not None and current.interrupt(reason)

    def _checked(self, limits: Limits) -> Limits:
        if limits.memory != self._guest.memory:
            raise ConfigurationError(
                "memory",
                f"a session's memory limit is set when it is made: pass Limits(memory={self._guest.memory}, ...)",
            )
        return limits


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
            if (
                isinstance(ending.answer, FinishedResponse)
                and ending.answer.failure is None
                and run.stop_reason is None
            ):
                return self._end_well(body, run, ending, steps)
            return Execution(self._guest, Job([request], code=code), run, self._done).conclude(body, ending, steps)
        except BaseException as error:
            if self._current is current:
                # The guest could not be had, or a Ctrl-C came between two of our own lines.
                self._guest.discard()
                self._note_loss(error)
                self._release()
            raise

    def _drive(self, request: bytes, body: Running, run: RunState, steps: list[Step]) -> Ending:
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

    def _end_well(self, body: Running, run: RunState, ending: Ending, steps: list[Step]) -> Result[Any]:
        guest, machine = self._guest, body.machine
        guest.commit(body, steps, ending.fuel, ending.seconds)
        memory = guest.memory_seen = machine.memory_size()
        usage = Usage(ending.fuel, ending.seconds, memory, run.output_bytes, run.calls_made)
        guest.spent = guest.spent.plus(usage)
        self._release()
        assert isinstance(ending.answer, FinishedResponse)
        return Result(ending.answer.value, None, *run.output(), usage, run.calls)


GuestPath = str | PathLike[str]


class Contents(Turns):
    """The variables and files of a session."""

    def set(self, name: str, value: Any) -> None:
        """Set a variable. Raises TypeError if the value cannot cross, or the GuestError that prevented it."""
        self._wait(requests.set_variable(name, value)).unwrap()

    async def aset(self, name: str, value: Any) -> None:
        """Like :meth:`set`."""
        (await self._await(requests.set_variable(name, value))).unwrap()

    def get(self, name: str) -> Any:
        """Return a variable's value. Raises GuestException (NameError) if there is none, or UnserializableValue."""
        return self._wait(requests.get_variable(name)).unwrap()

    async def aget(self, name: str) -> Any:
        """Like :meth:`get`."""
        return (await self._await(requests.get_variable(name))).unwrap()

    def put_file(self, path: GuestPath, data: bytes | str) -> None:
        """Write a file in the guest, making its folders. A relative path lies in /work; text is written as UTF-8.

        Raises GuestException (OSError) where there is no room.
        """
        self._wait(requests.put_file(fspath(path), data)).unwrap()

    async def aput_file(self, path: GuestPath, data: bytes | str) -> None:
        """Like :meth:`put_file`."""
        (await self._await(requests.put_file(fspath(path), data))).unwrap()

    def get_file(self, path: GuestPath) -> bytes:
        """Return a file's content. Raises GuestException (FileNotFoundError or another OSError)."""
        return requests.as_bytes(self._wait(requests.get_file(fspath(path))).unwrap())

    async def aget_file(self, path: GuestPath) -> bytes:
        """Like :meth:`get_file`."""
        return requests.as_bytes((await self._await(requests.get_file(fspath(path)))).unwrap())

    def list_files(self, path: GuestPath = "/work") -> list[str]:
        """Return the absolute paths of all files below a folder, sorted. Raises GuestException (FileNotFoundError)."""
        return requests.as_paths(self._wait(requests.list_files(fspath(path))).unwrap())

    async def alist_files(self, path: GuestPath = "/work") -> list[str]:
        """Like :meth:`list_files`."""
        return requests.as_paths((await self._await(requests.list_files(fspath(path)))).unwrap())


class Starts(Turns):
    """The part of a session that starts programs which may be suspended."""

    def start(
        self,
        code: str,
        *,
        limits: Limits | None = None,
        on_event: Listener | None = None,
        suspend: SuspendRule | None = None,
        step: bool = False,
    ) -> Outcome:
        """Run a program until it ends or has to wait; return its Result, or the Suspended program.

        It waits at calls of tools that suspend or need approval, at calls for which ``suspend(name, args, kwargs)``
        is true, and with ``step`` at every call. All other calls are made at once. While it waits, the session can do
        nothing else: another run raises SessionSuspended. Its limits count on when it goes on; waiting costs no time.

        The other arguments and errors are those of :meth:`run`. What ``suspend`` raises ends the run and is raised.
        """
        waiting = PendingCalls(self._guest.tools, allowed=True, rule=suspend, every=step)
        return self._outcome(*self._performed(self._begin(requests.run(code), limits, on_event, None, waiting)))

    async def astart(
        self,
        code: str,
        *,
        limits: Limits | None = None,
        on_event: Listener | None = None,
        suspend: SuspendRule | None = None,
        step: bool = False,
    ) -> Outcome:
        """Like :meth:`start`, on another thread. Coroutine tools run on this loop. Being cancelled ends the run."""
        import asyncio

        waiting = PendingCalls(self._guest.tools, allowed=True, rule=suspend, every=step)
        loop = asyncio.get_running_loop()
        execution = self._begin(requests.run(code), limits, on_event, loop, waiting)
        return self._outcome(execution, await self._detach(execution).wait_async())

    @property
    def suspended(self) -> Suspended | None:
        """The program that is suspended in this session, or None."""
        return self._pauses.current

    def _control(self) -> SuspendedControl:
        return SuspendedControl(self._go_on, self._ago_on, self._give_up)

    def _begin_again(
        self,
        suspended: Suspended,
        answers: dict[int, Answer],
        listener: Listener | None,
        loop: "asyncio.AbstractEventLoop | None",
    ) -> Execution:
        with self._taking():
            self._pauses.check(suspended)
            run = suspended.run
            self._guest.affordable(run.limits)
            job = requests.resume(answers)(self._guest, run.limits)
            execution = self._current = Execution(self._guest, job, run, self._done, loop, suspended)
            self._pauses.current, run.listener = None, listener
        return execution

    def _go_on(self, suspended: Suspended, answers: dict[int, Answer], listener: Listener | None) -> Outcome:
        return self._outcome(*self._performed(self._begin_again(suspended, answers, listener, None)))

    async def _ago_on(self, suspended: Suspended, answers: dict[int, Answer], listener: Listener | None) -> Outcome:
        import asyncio

        execution = self._begin_again(suspended, answers, listener, asyncio.get_running_loop())
        return self._outcome(execution, await self._detach(execution).wait_async())

    def _give_up(self, suspended: Suspended) -> None:
        with self._taking():
            self._pauses.check(suspended)
            self._pauses.forget()
            self._guest.discard()
            if not self._guest.keeps:
                self._ended = "its suspended program was given up and rollback is off"
                self._guest.close()
            self._busy.release()
        for held in suspended.held.values():
            cancel_pending(self._guest.tools, held)

    def _outcome(self, execution: Execution, result: Result[Any]) -> Outcome:
        return execution.paused if isinstance(execution.paused, Suspended) else result


_MAX_FORKS = 10_000


class Session(UsualRuns, Starts, Contents):
    """One interpreter in a sandbox, with the variables, functions, imports and files that its programs make.

    Made by :meth:`Sandbox.session`. Used by one caller at a time: another one gets SessionBusy. Each method has a twin
    for async callers, named with an ``a`` in front. As a context manager, it is closed at the end.

    After a run that was ended by a limit, a trap or an interrupt, the session is back where that run began, and the
    result says so in ``rolled_back``. A run that ends with an ordinary exception leaves what it has done, as in a REPL.
    A session made with ``rollback=False`` instead ends with such a run.
    """

    def __init__(self, guest: SessionGuest, limits: Limits, origin: SuspendedOrigin | None = None) -> None:
        self._guest = guest
        self._limits = limits
        self._busy = threading.Lock()
        self._ended = ""
        self._current = None
        self._pauses = SuspendedSlot(self, guest, self._control())
        if origin is not None:
            self._pauses.adopt(origin)

    def run(self, code: str, *, limits: Limits | None = None, on_event: Listener | None = None) -> Result[Any]:
        """Run a program and return its result; what the program does wrong is on the result, not raised.

        ``limits`` replace the session's for this run; their ``memory`` must be the session's own. ``on_event`` is
        called with each event while the guest stands still, on the guest's thread; what it raises ends the run and is
        raised here.

        Raises SessionBusy, SessionClosed, and BlockedTools where too many tools are stuck.
        """
        if limits is None and on_event is None and type(code) is str:
            result = self._run_usual(code)
            if result is not None:
                return result
        return self._wait(requests.run(code), limits, on_event)

    async def arun(self, code: str, *, limits: Limits | None = None, on_event: Listener | None = None) -> Result[Any]:
        """Like :meth:`run`, on another thread. Coroutine tools run on this loop. Being cancelled ends the run."""
        return await self._await(requests.run(code), limits, on_event)

    async def stream(self, code: str, *, limits: Limits | None = None) -> AsyncGenerator[Event, None]:
        """Run a program and yield its events as they happen, Finished last. Leaving the iteration ends the run."""
        import asyncio

        feed = EventFeed(asyncio.get_running_loop())
        task = asyncio.ensure_future(self.arun(code, limits=limits, on_event=feed.put))
        task.add_done_callback(feed.end)
        try:
            async for event in feed:
                yield event
            yield Finished(await task)
        finally:
            task.cancel()
            # Waited for, so that the session can be used again right after.
            await asyncio.wait({task})

    @property
    def spent(self) -> Spent:
        """What the session has used in all its runs so far, those before it was restored or forked included."""
        return self._guest.spent

    def snapshot(self, *, key: bytes | None = None, tenant: str | None = None) -> Snapshot:
        """Return the session as a value, from which :meth:`Sandbox.restore` makes sessions in any process.

        With a ``key`` (at least 16 random bytes) it is sealed, and restored only with that key; with a ``tenant``,
        only for that one. The session goes on as if nothing had happened.

        Raises SessionBusy, SessionClosed, or ConfigurationError for the key.
        """
        return self._at_rest(lambda: self._snapshot(key, tenant))

    async def asnapshot(self, *, key: bytes | None = None, tenant: str | None = None) -> Snapshot:
        """Like :meth:`snapshot`, on another thread."""
        import asyncio

        return await asyncio.to_thread(self.snapshot, key=key, tenant=tenant)

    @overload
    def fork(self) -> "Session": ...

    @overload
    def fork(self, n: int) -> "list[Session]": ...

    def fork(self, n: int | None = None) -> "Session | list[Session]":
        """Return another session in the state of this one, or a list of ``n`` of them; all go on independently.

        A fork draws random numbers of its own, unless the sandbox has a seed: then all draw the same. Its budget is
        what is left of this session's, for each of them.

        Raises SessionBusy, SessionClosed, or ConfigurationError for a number below 0.
        """
        forks = self._at_rest(lambda: self._forks(parse_count("n", 1 if n is None else n, most=_MAX_FORKS, least=0)))
        return forks[0] if n is None else forks

    @overload
    async def afork(self) -> "Session": ...

    @overload
    async def afork(self, n: int) -> "list[Session]": ...

    async def afork(self, n: int | None = None) -> "Session | list[Session]":
        """Like :meth:`fork`, on another thread."""
        import asyncio

        forks = await asyncio.to_thread(self.fork, 1 if n is None else n)
        return forks[0] if n is None else forks

    def __repr__(self) -> str:
        at_rest = "idle" if self._pauses.current is None else "suspended"
        state = f"ended: {self._ended}" if self._ended else "running" if self._busy.locked() else at_rest
        return f"<Session {state}, {self.spent.runs} runs>"

    def _snapshot(self, key: bytes | None, tenant: str | None) -> Snapshot:
        origin = self._pauses.as_origin()
        suspension = None if origin is None else origin.suspension
        return take_snapshot(self._guest, key=key, tenant=tenant, suspension=suspension)

    def _forks(self, n: int) -> "list[Session]":
        checkpoint, origin = self._guest.checkpoint(), self._pauses.as_origin()
        return [Session(make_twin(self._guest, checkpoint), self._limits, origin) for _ in range(n)]
