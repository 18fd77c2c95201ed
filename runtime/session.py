"""A guest that keeps its state from run to run."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from os import PathLike, fspath
from typing import Any, Self

from cloche.runtime.errors import ConfigurationError, Interrupted, SessionBusy, SessionClosed
from cloche.runtime.events import Event, Finished
from cloche.runtime.limits import Limits
from cloche.runtime.result import Result
from cloche.runtime.running import jobs
from cloche.runtime.running.execution import Execution
from cloche.runtime.running.run_state import Listener, RunState
from cloche.runtime.running.session_guest import Guest
from cloche.runtime.running.streaming import EventFeed
from cloche.runtime.running.waiting import Detached

__all__ = ["GuestPath", "Session"]

GuestPath = str | PathLike[str]


class Session:
    """One interpreter in a sandbox, with the variables, functions, imports and files that its programs make.

    Made by :meth:`Sandbox.session`. Used by one caller at a time: another one gets SessionBusy. Each method has a twin
    for async callers, named with an ``a`` in front. As a context manager, it is closed at the end.

    After a run that was ended by a limit, a trap or an interrupt, the session is back where that run began, and the
    result says so in ``rolled_back``. A run that ends with an ordinary exception leaves what it has done, as in a REPL.
    A session made with ``rollback=False`` instead ends with such a run.
    """

    def __init__(self, guest: Guest, limits: Limits) -> None:
        self._guest = guest
        self._limits = limits
        self._busy = threading.Lock()
        self._ended = ""
        self._runs = 0
        self._current: Execution | Detached | None = None

    def run(self, code: str, *, limits: Limits | None = None, on_event: Listener | None = None) -> Result[Any]:
        """Run a program and return its result; what the program does wrong is on the result, not raised.

        ``limits`` replace the session's for this run; their ``memory`` must be the session's own. ``on_event`` is
        called with each event while the guest stands still, on the guest's thread; what it raises ends the run and is
        raised here.

        Raises SessionBusy, SessionClosed, and BlockedTools where too many tools are stuck.
        """
        return self._wait(self._run_job(code), limits, on_event)

    async def arun(self, code: str, *, limits: Limits | None = None, on_event: Listener | None = None) -> Result[Any]:
        """Like :meth:`run`, on another thread. Coroutine tools run on this loop. Being cancelled ends the run."""
        return await self._await(self._run_job(code), limits, on_event)

    async def stream(self, code: str, *, limits: Limits | None = None) -> AsyncGenerator[Event, None]:
        """Run a program and yield its events as they happen, Finished last. Leaving the iteration ends the run."""
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

    def set(self, name: str, value: Any) -> None:
        """Set a variable. Raises TypeError if the value cannot cross, or the GuestError that prevented it."""
        self._wait(jobs.set_variable(name, value)).unwrap()

    async def aset(self, name: str, value: Any) -> None:
        """Like :meth:`set`."""
        (await self._await(jobs.set_variable(name, value))).unwrap()

    def get(self, name: str) -> Any:
        """Return a variable's value. Raises GuestException (NameError) if there is none, or UnserializableValue."""
        return self._wait(jobs.get_variable(name)).unwrap()

    async def aget(self, name: str) -> Any:
        """Like :meth:`get`."""
        return (await self._await(jobs.get_variable(name))).unwrap()

    def put_file(self, path: GuestPath, data: bytes | str) -> None:
        """Write a file in the guest, making its folders. A relative path lies in /work; text is written as UTF-8.

        Raises GuestException (OSError) where there is no room.
        """
        self._wait(jobs.put_file(fspath(path), data)).unwrap()

    async def aput_file(self, path: GuestPath, data: bytes | str) -> None:
        """Like :meth:`put_file`."""
        (await self._await(jobs.put_file(fspath(path), data))).unwrap()

    def get_file(self, path: GuestPath) -> bytes:
        """Return a file's content. Raises GuestException (FileNotFoundError or another OSError)."""
        return jobs.as_bytes(self._wait(jobs.get_file(fspath(path))).unwrap())

    async def aget_file(self, path: GuestPath) -> bytes:
        """Like :meth:`get_file`."""
        return jobs.as_bytes((await self._await(jobs.get_file(fspath(path)))).unwrap())

    def list_files(self, path: GuestPath = "/work") -> list[str]:
        """Return the absolute paths of all files below a folder, sorted. Raises GuestException (FileNotFoundError)."""
        return jobs.as_paths(self._wait(jobs.list_files(fspath(path))).unwrap())

    async def alist_files(self, path: GuestPath = "/work") -> list[str]:
        """Like :meth:`list_files`."""
        return jobs.as_paths((await self._await(jobs.list_files(fspath(path)))).unwrap())

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

    def __repr__(self) -> str:
        state = f"ended: {self._ended}" if self._ended else "running" if self._busy.locked() else "idle"
        return f"<Session {state}, {self._runs} runs>"

    def _run_job(self, code: str) -> jobs.MakeJob:
        self._runs += 1
        # Each run has its own file name, so that tracebacks through several runs show the right lines.
        return jobs.run(code, f"<run {self._runs}>")

    def _wait(self, job: jobs.MakeJob, limits: Limits | None = None, listener: Listener | None = None) -> Result[Any]:
        execution = self._begin(job, limits, listener, None)
        if self._guest.tools.blocking() or not self._guest.source.fits_here():
            return self._detach(execution).wait()
        try:
            return execution.perform()
        except BaseException:
            # Ctrl-C between two of our own lines: never leave the session busy.
            execution.abandon(Interrupted())
            raise

    async def _await(
        self, job: jobs.MakeJob, limits: Limits | None = None, listener: Listener | None = None
    ) -> Result[Any]:
        execution = self._begin(job, limits, listener, asyncio.get_running_loop())
        return await self._detach(execution).wait_async()

    def _begin(
        self,
        make_job: jobs.MakeJob,
        limits: Limits | None,
        listener: Listener | None,
        loop: asyncio.AbstractEventLoop | None,
    ) -> Execution:
        limits = self._limits if limits is None else self._checked(limits)
        if not self._busy.acquire(blocking=False):
            raise SessionBusy
        try:
            if self._ended:
                raise SessionClosed(self._ended)
            execution = Execution(
                self._guest, make_job(self._guest, limits), RunState(limits, listener), self._done, loop
            )
        except BaseException:
            self._busy.release()
            raise
        self._current = execution
        return execution

    def _detach(self, execution: Execution) -> Detached:
        try:
            detached = self._current = Detached(execution)
        except BaseException as error:
            execution.cancel(error)
            raise
        return detached

    def _done(self, error: BaseException | None) -> None:
        """Take the session back from a run that was settled; ``error`` is why its guest was lost."""
        if isinstance(error, SessionClosed):
            self._ended = self._ended or error.reason
        elif error is not None and not self._guest.keeps:
            self._ended = self._ended or f"its last run was ended by {type(error).__name__} and rollback is off"
        if self._ended:
            self._guest.close()
        self._current = None
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
