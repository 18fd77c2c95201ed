"""A guest that keeps its state from run to run, and the program that may be suspended in it."""
# A Suspended is a part of its session, and has it do what only a suspended program needs.
# pyright: reportPrivateUsage=false

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from functools import partial
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, TypeVar, overload

from cloche.runtime._imports import later
from cloche.runtime.bridge.pending import PendingCalls, SuspendedCall, SuspendRule, as_suspended_call, cancel_pending
from cloche.runtime.bridge.run_state import Listener, RunState
from cloche.runtime.errors import Interrupted, NotSuspended, SessionSuspended
from cloche.runtime.limits import Limits, Spent, parse_count
from cloche.runtime.result import Event, Finished, Result, Usage
from cloche.runtime.session import requests
from cloche.runtime.session.detached import perform_here
from cloche.runtime.session.execution import Execution
from cloche.runtime.session.express import FEW_CALLS, HAS_RUNNERS, Express, arm, begin
from cloche.runtime.session.guest import SessionGuest
from cloche.runtime.threads import guest_threads
from cloche.runtime.wasm.signals import deferred

# What most processes do without is imported when it is first used: it would take longer than their first run.
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop as Loop

    from cloche.runtime.driving.scheduler import Scheduler
    from cloche.runtime.session import capture, driven, pauses
    from cloche.runtime.session.pauses import Answers, GivenAnswers, SuspendedOrigin
    from cloche.runtime.snapshots.snapshot import Snapshot
else:
    capture, driven, pauses = (later(f"cloche.runtime.session.{name}") for name in ("capture", "driven", "pauses"))

__all__ = ["GuestPath", "Outcome", "Session", "Suspended"]

T = TypeVar("T")
GuestPath = str | PathLike[str]


class Session:
    """One interpreter in a sandbox, with the variables, functions, imports and files that its programs make.

    Made by :meth:`Sandbox.session`. Used by one caller at a time: another one gets SessionBusy. Each method has a twin
    for async callers, named with an ``a`` in front. As a context manager, it is closed at the end.

    After a run that was ended by a limit, a trap or an interrupt, the session is back where that run began, and the
    result says so in ``rolled_back``. A run that ends with an ordinary exception leaves what it has done, as in a REPL.
    A session made with ``rollback=False`` instead ends with such a run.
    """

    def __init__(
        self,
        guest: SessionGuest,
        limits: Limits,
        origin: "SuspendedOrigin | None" = None,
        single_run: bool = False,
        *,
        scheduler: "Scheduler | None" = None,
        account: str = "",
    ) -> None:
        self._guest = guest
        self._limits = limits
        self._single_run = single_run
        self._scheduler = scheduler
        self._account = account
        self._calls_often = False
        self._suspended: Suspended | None = None
        self._origin: SuspendedOrigin | None = None
        self._express: Express | None = None
        if origin is not None:
            self._adopt(origin)

    def run(
        self,
        code: str,
        *,
        stdin: str | None = None,
        limits: Limits | None = None,
        on_event: Listener | None = None,
    ) -> Result[Any]:
        """Run a program and return its result; what the program does wrong is on the result, not raised.

        ``stdin`` is what it can read from ``sys.stdin`` and by ``input()``; default nothing. ``limits`` replace the
        session's for this run; their ``memory`` must be the session's own. ``on_event`` is called with each event while
        the guest stands still, on the guest's thread; what it raises ends the run and is raised here.

        Raises SessionBusy, SessionClosed, and BlockedTools where too many tools are stuck.
        """
        usual = HAS_RUNNERS and stdin is None and limits is None and on_event is None and type(code) is str
        if usual and not (self._single_run and requests.winds_up(code)):
            express = self._express = self._express or begin(self._guest, self._limits)
            if express is not None and (made := express.result(code, self._done)) is not None:
                return made
        program = requests.RunProgram(code, stdin, self._single_run)
        with deferred():
            result = perform_here(self._guest, self._begin(program, limits, on_event), self._calls_often)
            if usual and not self._single_run and self._suspended is None and self._origin is None:
                self._express = arm(self._express, self._guest, self._limits, self._calls_often)
        return result

    async def arun(
        self,
        code: str,
        *,
        stdin: str | None = None,
        limits: Limits | None = None,
        on_event: Listener | None = None,
        account: str | None = None,
    ) -> Result[Any]:
        """Like :meth:`run`, on the scheduler's threads, in turns with others; while it waits it has none.

        Coroutine tools run on this loop. Being cancelled ends the run. ``account`` is charged, default the session's.
        """
        return await self._aexchange(requests.RunProgram(code, stdin, self._single_run), limits, on_event, account)

    async def stream(
        self, code: str, *, stdin: str | None = None, limits: Limits | None = None, account: str | None = None
    ) -> AsyncGenerator[Event, None]:
        """Run as :meth:`arun` does, and yield events as they happen, Finished last. Leaving the iteration ends it."""
        import asyncio

        feed = driven.EventFeed(asyncio.get_running_loop())
        task = asyncio.ensure_future(self.arun(code, stdin=stdin, limits=limits, on_event=feed.put, account=account))
        task.add_done_callback(feed.end)
        try:
            async for event in feed:
                yield event
            yield Finished(await task)
        finally:
            task.cancel()
            # Waited for, so that the session can be used again right after.
            await asyncio.wait({task})

    def start(
        self,
        code: str,
        *,
        stdin: str | None = None,
        limits: Limits | None = None,
        on_event: Listener | None = None,
        suspend: SuspendRule | None = None,
        step: bool = False,
    ) -> "Outcome":
        """Run a program until it ends or has to wait; return its Result, or the Suspended program.

        It waits at calls of tools that suspend or need approval, at calls for which ``suspend(name, args, kwargs)``
        is true, and with ``step`` at every call. All other calls are made at once. While it waits, the session can do
        nothing else: another run raises SessionSuspended. What it has used counts when it is resumed; the time that it
        waits does not.

        The other arguments and errors are those of :meth:`run`. What ``suspend`` raises ends the run and is raised.
        """
        pending = PendingCalls(self._guest.tools, allowed=True, rule=suspend, every=step)
        program = requests.RunProgram(code, stdin, self._single_run)
        with deferred():
            execution = self._begin(program, limits, on_event, pending=pending)
            return _outcome(execution, perform_here(self._guest, execution, self._calls_often))

    async def astart(
        self,
        code: str,
        *,
        stdin: str | None = None,
        limits: Limits | None = None,
        on_event: Listener | None = None,
        suspend: SuspendRule | None = None,
        step: bool = False,
        account: str | None = None,
    ) -> "Outcome":
        """Like :meth:`start`, driven as by :meth:`arun`, with ``account``. Being cancelled ends the run."""
        pending = PendingCalls(self._guest.tools, allowed=True, rule=suspend, every=step)
        program = requests.RunProgram(code, stdin, self._single_run)
        begin = partial(self._begin, program, limits, on_event, pending=pending)
        return _outcome(*await driven.perform_async(begin, self._scheduler, account or self._account))

    @property
    def suspended(self) -> "Suspended | None":
        """The program that is suspended in this session, or None."""
        return self._suspended

    def set(self, name: str, value: Any) -> None:
        """Set a variable. Raises TypeError if the value cannot cross, or the GuestError that prevented it."""
        self._ask(requests.set_variable, name, value)

    async def aset(self, name: str, value: Any) -> None:
        """Like :meth:`set`."""
        await self._aask(requests.set_variable, name, value)

    def get(self, name: str) -> Any:
        """Return a variable's value. Raises GuestException (NameError) if there is none, or UnserializableValue."""
        return self._ask(requests.get_variable, name)

    async def aget(self, name: str) -> Any:
        """Like :meth:`get`."""
        return await self._aask(requests.get_variable, name)

    def put_file(self, path: GuestPath, data: bytes | str) -> None:
        """Write a file in the guest, making its folders. A relative path lies in /work; text is written as UTF-8.

        Raises GuestException (OSError) where there is no room.
        """
        self._ask(requests.put_file, fspath(path), data)

    async def aput_file(self, path: GuestPath, data: bytes | str) -> None:
        """Like :meth:`put_file`."""
        await self._aask(requests.put_file, fspath(path), data)

    def get_file(self, path: GuestPath) -> bytes:
        """Return a file's content. Raises GuestException (FileNotFoundError or another OSError)."""
        return requests.as_bytes(self._ask(requests.get_file, fspath(path)))

    async def aget_file(self, path: GuestPath) -> bytes:
        """Like :meth:`get_file`."""
        return requests.as_bytes(await self._aask(requests.get_file, fspath(path)))

    def list_files(self, path: GuestPath = "/work") -> list[str]:
        """Return the absolute paths of all files below a folder, sorted. Raises GuestException (FileNotFoundError)."""
        return requests.as_paths(self._ask(requests.list_files, fspath(path)))

    async def alist_files(self, path: GuestPath = "/work") -> list[str]:
        """Like :meth:`list_files`."""
        return requests.as_paths(await self._aask(requests.list_files, fspath(path)))

    @property
    def spent(self) -> Spent:
        """What the session has used in all its runs so far, those before it was restored or forked included."""
        return self._guest.spent

    def snapshot(self, *, key: bytes | None = None, tenant: str | None = None) -> "Snapshot":
        """Return the session as a value, from which :meth:`Sandbox.restore` makes sessions in any process.

        With a ``key`` (at least 16 random bytes) it is sealed, and restored only with that key; with a ``tenant``,
        only for that one. The session is not changed by it.

        Raises SessionBusy, SessionClosed, or ConfigurationError for the key.
        """
        return self._guest.at_rest(lambda: self._snapshot(key, tenant))

    async def asnapshot(self, *, key: bytes | None = None, tenant: str | None = None) -> "Snapshot":
        """Like :meth:`snapshot`, on another thread."""
        import asyncio

        return await asyncio.to_thread(self.snapshot, key=key, tenant=tenant)

    @overload
    def fork(self) -> "Session": ...

    @overload
    def fork(self, n: int) -> "list[Session]": ...

    def fork(self, n: int | None = None) -> "Session | list[Session]":
        """Return another session in the state of this one, or a list of ``n`` of them; each independent of the others.

        A fork draws random numbers of its own, unless the sandbox has a seed: then all draw the same. Its budget is
        what is left of this session's, for each of them.

        Raises SessionBusy, SessionClosed, or ConfigurationError for a number below 0.
        """
        count = 1 if n is None else n
        forks = self._guest.at_rest(lambda: self._forks(parse_count("n", count, maximum=10_000, minimum=0)))
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

    def pause(self, timeout: float | None = 1.0) -> "Suspended | None":
        """From any thread: have the program in progress leave where it computes, and return it, as ``start`` does too.

        A program that waits for calls is returned as well; None means that there is none, or that it ended first. One
        that has not left within ``timeout`` seconds, None for no bound, is asked no longer and continues.

        Raises CannotPause, which says what stands in the way, also for a program that was not begun with :meth:`start`.
        """
        execution = self._guest.holder
        if execution is None:
            return self._suspended
        execution.pause(lambda: self._guest.holder is execution, timeout)
        return execution.paused if isinstance(execution.paused, Suspended) else None

    async def apause(self, timeout: float | None = 1.0) -> "Suspended | None":
        """Like :meth:`pause`, waiting on another thread."""
        import asyncio

        return await asyncio.to_thread(self.pause, timeout)

    def interrupt(self) -> bool:
        """From any thread: end the run that is in progress; its error is Interrupted. Returns whether there was one."""
        run = self._guest.holder
        return run is not None and run.interrupt(Interrupted())

    def close(self) -> None:
        """End the session and free its memory, interrupting a run that is in progress. Safe to call twice."""
        self._guest.end("it was closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        guest, at_rest = self._guest, "idle" if self._suspended is None else "suspended"
        state = f"ended: {guest.ended}" if guest.ended else "running" if guest.is_taken else at_rest
        return f"<Session {state}, {self.spent.runs} runs>"

    # A run, from its beginning to the moment when the session is free again.

    def _begin(
        self,
        request: requests.Request,
        limits: Limits | None = None,
        listener: Listener | None = None,
        loop: "Loop | None" = None,
        pending: PendingCalls | None = None,
    ) -> Execution:
        limits, guest = self._limits if limits is None else self._guest.checked(limits), self._guest
        guest.take()
        try:
            if self._suspended is not None:
                raise SessionSuspended(self._suspended.waits_for())
            if guest_threads.left_behind and guest.tools.blocking():
                guest_threads.check()
            frames = request.frames(guest, limits)
            if guest.budget is not None and request.code is not None:
                limits = guest.affordable(limits)
            if pending is None and guest.can_suspend is not None and guest.can_suspend.any_suspends():
                pending = PendingCalls(guest.tools, allowed=False)
            if pending is not None and guest.environment.is_repeatable:
                pending.mark = guest.mark_of_run()
            run = RunState(limits, listener, pending)
            execution = guest.holder = Execution(guest, request, frames, run, self._done, loop)
        except BaseException:
            guest.release()
            raise
        return execution

    def _ask(self, make: Callable[..., requests.Request], *args: Any) -> Any:
        with deferred():
            return perform_here(self._guest, self._begin(make(*args)), self._calls_often).unwrap()

    async def _aask(self, make: Callable[..., requests.Request], *args: Any) -> Any:
        with deferred():
            request = make(*args)
        return (await self._aexchange(request)).unwrap()

    async def _aexchange(
        self,
        request: requests.Request,
        limits: Limits | None = None,
        listener: Listener | None = None,
        account: str | None = None,
    ) -> Result[Any]:
        begin = partial(self._begin, request, limits, listener)
        return (await driven.perform_async(begin, self._scheduler, account or self._account))[1]

    def _done(self, execution: Execution, error: BaseException | None) -> None:
        """Take the session back from a run that was settled; ``error`` is why its guest was lost."""
        guest = self._guest
        self._calls_often = execution.run.calls_made > FEW_CALLS
        if error is not None:
            guest.note_loss(error)
        if (execution.paused or self._origin is not None) and not guest.ended:
            self._note_suspension(execution, error)
        guest.release()
        # Looked at last: whoever asks for a pause sets it before looking whether the session is still taken.
        if execution.pausing is not None:
            execution.pausing.over.set()

    # The suspended program. Used by whoever has taken the session.

    def _resume(self, suspended: "Suspended", answers: "GivenAnswers", listener: Listener | None) -> "Outcome":
        with deferred():
            execution = self._begin_again(suspended, answers, listener, None)
            return _outcome(execution, perform_here(self._guest, execution, self._calls_often))

    async def _aresume(self, suspended: "Suspended", answers: "GivenAnswers", listener: Listener | None) -> "Outcome":
        begin = partial(self._begin_again, suspended, answers, listener)
        return _outcome(*await driven.perform_async(begin, self._scheduler, self._account))

    def _begin_again(
        self, suspended: "Suspended", answers: "GivenAnswers", listener: Listener | None, loop: "Loop | None"
    ) -> Execution:
        guest, run = self._guest, suspended.run
        request = requests.ContinuePaused() if answers is None else requests.Resume(answers)
        with guest.taken():
            self._check_suspended(suspended)
            guest.affordable(run.limits)
            frames = request.frames(guest, run.limits)
            execution = Execution(guest, request, frames, run, self._done, loop)
            execution.paused = suspended
            run.resume(listener)
            self._suspended, guest.holder = None, execution
        return execution

    def _cancel(self, suspended: "Suspended") -> None:
        guest = self._guest
        with deferred(), guest.taken():
            self._check_suspended(suspended)
            self._suspended = self._origin = None
            guest.discard()
            if not guest.keeps:
                guest.ended = "its suspended program was cancelled and rollback is off"
            guest.release()
        for pending in suspended.held.values():
            cancel_pending(guest.tools, pending)

    def _check_suspended(self, suspended: "Suspended") -> None:
        if self._suspended is not suspended:
            raise NotSuspended

    def _note_suspension(self, execution: Execution, error: BaseException | None) -> None:
        """Take note of a run that is over; ``error`` is why its guest was lost."""
        if execution.paused:
            # A program that was never resumed after all is the same as before.
            same = execution.paused if isinstance(execution.paused, Suspended) else None
            self._suspended = execution.paused = same or Suspended(self, execution.run)
        elif error is None:
            self._origin = None
        elif self._origin is not None:
            # The guest is back where the snapshot left it: in the middle of the same program.
            self._adopt(self._origin)

    def _adopt(self, origin: "SuspendedOrigin") -> None:
        """Have a program suspended that was so in a snapshot. Raises SnapshotCorrupt."""
        run = pauses.run_from_plain(origin.suspension, self._guest.tools, self._guest.memory, origin.rule)
        self._origin, self._suspended = origin, Suspended(self, run)

    def _as_origin(self) -> "SuspendedOrigin | None":
        """Return the suspended program as a value, from which other sessions can begin; None if there is none."""
        timeless, suspended = self._guest.environment.is_repeatable, self._suspended
        return None if suspended is None else pauses.SuspendedOrigin.of(suspended.run, timeless=timeless)

    def _snapshot(self, key: bytes | None, tenant: str | None) -> "Snapshot":
        origin = self._as_origin()
        return capture.take_snapshot(self._guest, key=key, tenant=tenant, suspension=origin and origin.suspension)

    def _forks(self, n: int) -> "list[Session]":
        checkpoint, origin = self._guest.checkpoint(), self._as_origin()
        like: dict[str, Any] = {"scheduler": self._scheduler, "account": self._account}
        return [Session(capture.make_twin(self._guest, checkpoint), self._limits, origin, **like) for _ in range(n)]


class Suspended:
    """A program that was started with :meth:`Session.start` and waits in the middle: for its tool calls, or paused.

    ``kind`` is "call", or "paused" if :meth:`Session.pause` had it leave where it computed: then it waits for nothing,
    ``calls`` is empty, and :meth:`resume` without answers lets it continue.

    Nothing of it runs meanwhile; all of it is in the session's memory, and in :meth:`snapshot`. Each way to resume it
    answers some or all of ``calls`` and returns what :meth:`Session.start` returns: a Result, or the next Suspended.
    Calls that got no answer keep waiting, and the program runs as far as it can without them. It is resumed once: a
    second time raises NotSuspended. Each method has a twin for async callers, named with an ``a`` in front.

    All of them raise ConfigurationError for ids that do not wait, SessionBusy, SessionClosed, and BudgetSpent.
    """

    def __init__(self, session: "Session", run: RunState) -> None:
        self._session = session
        self.run = run
        """The account of the run; for the session."""
        self.held = dict(run.waiting.held) if run.waiting is not None else {}
        """The calls that it waits for, as they were sent; for the session."""
        self.kind: Literal["call", "paused"] = "call" if run.interrupted_step is None else "paused"
        """What it waits for: answers to its calls, or nothing."""
        waits = self.held.values() if self.kind == "call" else ()
        self.calls: tuple[SuspendedCall, ...] = tuple(map(as_suspended_call, waits))

    @property
    def session(self) -> "Session":
        """The session that the program runs in."""
        return self._session

    @property
    def stdout(self) -> str:
        """What the program has printed so far."""
        return self.run.stdout.text()

    @property
    def stderr(self) -> str:
        """What it has printed to stderr so far."""
        return self.run.stderr.text()

    @property
    def usage(self) -> Usage:
        """What it has used so far. The time that it waits is not counted."""
        return self.run.carried

    def resume(
        self,
        values: Mapping[int, Any] | None = None,
        *,
        errors: Mapping[int, BaseException] | None = None,
        approve: Iterable[int] | Mapping[int, Mapping[str, Any] | None] = (),
        deny: Mapping[int, str] | None = None,
        on_event: Listener | None = None,
    ) -> "Outcome":
        """Let calls return these ``values`` by id, or raise ``errors``; :meth:`approve` or :meth:`deny` the others.

        ``approve`` may map ids to arguments by name that replace the program's. Raises TypeError or ValueError for a
        value that cannot cross, and ConfigurationError for one that is given to a call that needs approval.
        """
        answers = self._answers(pauses.Answers(values or {}, errors or {}, approve, deny or {}))
        return self._session._resume(self, answers, on_event)

    async def aresume(
        self,
        values: Mapping[int, Any] | None = None,
        *,
        errors: Mapping[int, BaseException] | None = None,
        approve: Iterable[int] | Mapping[int, Mapping[str, Any] | None] = (),
        deny: Mapping[int, str] | None = None,
        on_event: Listener | None = None,
    ) -> "Outcome":
        """Like :meth:`resume`, driven as by :meth:`Session.arun`. Being cancelled ends the run."""
        answers = self._answers(pauses.Answers(values or {}, errors or {}, approve, deny or {}))
        return await self._session._aresume(self, answers, on_event)

    def resume_error(self, id: int, error: BaseException) -> "Outcome":
        """Let a call raise this error in the program: its class by name, and its text.

        Of an OSError, whose text may hold the host's file names, only ``strerror``, as with any tool.
        """
        return self.resume(errors={id: error})

    async def aresume_error(self, id: int, error: BaseException) -> "Outcome":
        """Like :meth:`resume_error`."""
        return await self.aresume(errors={id: error})

    def approve(self, *ids: int) -> "Outcome":
        """Call these tools now, with the very arguments that the program gave them, and resume with what they return.

        The tools check the arguments once more, and the program's limits apply to the calls.
        """
        return self.resume(approve=ids)

    async def aapprove(self, *ids: int) -> "Outcome":
        """Like :meth:`approve`."""
        return await self.aresume(approve=ids)

    def deny(self, id: int, reason: str = "") -> "Outcome":
        """Let a call raise PermissionError in the program, with this reason. The tool is not called."""
        return self.resume(deny={id: reason})

    async def adeny(self, id: int, reason: str = "") -> "Outcome":
        """Like :meth:`deny`."""
        return await self.aresume(deny={id: reason})

    def cancel(self) -> None:
        """Give the program up: the session is back where it began. Without rollback, the session ends.

        Raises NotSuspended, SessionBusy or SessionClosed.
        """
        self._session._cancel(self)

    def snapshot(self, *, key: bytes | None = None, tenant: str | None = None) -> "Snapshot":
        """Return the session with the suspended program in it; see :meth:`Session.snapshot`. The program keeps waiting.

        ``Sandbox.restore(snapshot).suspended`` is the program again, in any process.
        """
        return self._session.snapshot(key=key, tenant=tenant)

    async def asnapshot(self, *, key: bytes | None = None, tenant: str | None = None) -> "Snapshot":
        """Like :meth:`snapshot`, on another thread."""
        return await self._session.asnapshot(key=key, tenant=tenant)

    def __repr__(self) -> str:
        return "<Suspended, paused>" if self.kind == "paused" else f"<Suspended, waits for {self.waits_for()}>"

    def waits_for(self) -> str:
        """Return the calls as one line of text."""
        return ", ".join(map(str, self.calls)) or "being resumed: it was paused"

    def _answers(self, asked: "Answers") -> "GivenAnswers":
        with deferred():
            return pauses.checked_answers(asked, self.held, self.run.limits, paused=self.kind == "paused")


Outcome: TypeAlias = Result[Any] | Suspended
"""How a program ends that was started, for now or for good."""


def _outcome(execution: Execution, result: Result[Any]) -> Outcome:
    return execution.paused if isinstance(execution.paused, Suspended) else result
