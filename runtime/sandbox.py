"""The front door: what programs may use, and runs and sessions under those rules."""

import threading
from collections.abc import AsyncGenerator
from os import PathLike
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any

from cloche.runtime.bridge.environment import Clock, Environment, Seed, parse_clock, parse_seed
from cloche.runtime.bridge.pending import SuspendRule
from cloche.runtime.bridge.run_state import Listener
from cloche.runtime.dispatch import Dispatcher, as_dispatcher
from cloche.runtime.errors import ConfigurationError, SnapshotMismatch
from cloche.runtime.limits import Limits, Metering, SessionBudget
from cloche.runtime.machine_api import MachineSource
from cloche.runtime.result import Event, Result
from cloche.runtime.session.express import FreshRuns
from cloche.runtime.session.guest import SessionGuest
from cloche.runtime.session.requests import winds_up
from cloche.runtime.session.session import Session
from cloche.runtime.wasm.machine import ImageSource

# What most processes do without is imported when it is first used: it would take longer than their first run.
if TYPE_CHECKING:
    from cloche.runtime.driving.scheduler import Scheduler
    from cloche.runtime.images import Image
    from cloche.runtime.recording.recorder import Recorder
    from cloche.runtime.snapshots.snapshot import Snapshot

__all__ = ["Sandbox"]


class Sandbox:
    """Runs programs in guests of one image, with these tools and limits. Safe to use from several threads.

    ``tools``     a Dispatcher, or whatever the tool layer turns into one, such as a list of functions; default none.
    ``image``     an :class:`Image`, its name or its folder: what fresh interpreters have; default the core image.
    ``limits``    default those of the image, ``Limits()`` for the core image; each run may be given others.
    ``metering``  ``"fuel"`` (default, repeatable), ``"engine"`` (the same by Wasmtime's own fuel and epochs: slower,
                  and in its units), ``"epoch"`` (Wasmtime's epochs; fuel is not counted and its limit not applied),
                  or ``"none"`` (for benchmarks only: neither fuel nor time end a program that computes).
    ``seed``      an int, text or bytes: every guest then sees the same "random" numbers. Default: real entropy.
    ``clock``     ``"real"`` (default), or seconds since the epoch: time then stands still except while the guest
                  sleeps, which takes no real time; or ``"fuel"``, or a :class:`FuelClock`: then it also passes with the
                  fuel that the guest uses.
    ``source``    where guests come from, in place of an image.
    ``scheduler`` on whose threads ``arun``, ``stream`` and the sessions' async methods compute; default one for all.
    ``resting``   how many programs of the process that wait, in these methods, keep their guests' memory (default 64).
                  The next ones rest: their memory is copied out, later packed, and put back when they continue. 0 has
                  each of them rest at once, None has none.

    With a seed and a clock that is not the real one, a run is a pure function of the program and of what the tools
    answer: the same output, value, fuel and snapshot, on any machine with the same image.

    Raises ConfigurationError for settings that cannot work, or where gevent or eventlet has patched this process's
    threads; ImageNotFound where there is no such image, ImageError for one that is damaged.
    """

    def __init__(
        self,
        tools: Any = None,
        *,
        image: "Image | str | PathLike[str] | None" = None,
        limits: Limits | None = None,
        metering: Metering = "fuel",
        seed: Seed | None = None,
        clock: Clock = "real",
        source: MachineSource | None = None,
        scheduler: "Scheduler | None" = None,
        resting: int | None = 64,
    ) -> None:
        _require_threads()
        self._tools = as_dispatcher(tools)
        if image is not None:
            if source is not None:
                raise ConfigurationError("image", "a sandbox has an image or a source of machines, not both")
            chosen = _image_of(image)
            source, limits = ImageSource(chosen.guest, metering), chosen.limits if limits is None else limits
        self._limits = _checked(Limits() if limits is None else limits)
        self._seed = parse_seed(seed)
        self._clock = parse_clock(clock)
        self._scheduler = scheduler
        self._resting = _checked_resting(resting)
        self._source: MachineSource = ImageSource(metering=metering) if source is None else source
        self._fresh = FreshRuns()
        if self._clock is not None and self._clock.rate and not self._source.metered:
            raise ConfigurationError("clock", "a clock cannot tick by fuel where fuel is not metered: metering='fuel'")

    @property
    def tools(self) -> Dispatcher:
        """The tools that programs may call."""
        return self._tools

    @property
    def limits(self) -> Limits:
        """The limits of a run that is given no others."""
        return self._limits

    def run(
        self,
        code: str,
        *,
        stdin: str | None = None,
        limits: Limits | None = None,
        on_event: Listener | None = None,
        recorder: "Recorder | None" = None,
    ) -> Result[Any]:
        """Run a program in a fresh guest, which is dropped afterwards, and return its result.

        What the program does wrong is on the result, not raised. ``stdin`` is what it can read from ``sys.stdin`` and
        by ``input()``; default nothing. When it has ended, its exit handlers (``atexit``) and its objects' finalizers
        are run, as at the end of a process; they belong to the run and to its limits. ``on_event`` is called with each
        event while the guest stands still, on the guest's thread; what it raises ends the run and is raised here. A
        ``recorder`` writes down all that it takes to run it again.

        Raises ConfigurationError, or BlockedTools where too many tools are stuck.
        """
        if stdin is None and limits is None and on_event is None and recorder is None and type(code) is str:
            _require_threads()
            made = None if winds_up(code) else self._fresh.result(code, self._new_guest)
            if made is not None:
                return made
        with self._new_session(limits, rollback=False, recorder=recorder, single_run=True) as session:
            return session.run(code, stdin=stdin, on_event=on_event)

    async def arun(
        self,
        code: str,
        *,
        stdin: str | None = None,
        limits: Limits | None = None,
        on_event: Listener | None = None,
        recorder: "Recorder | None" = None,
        account: str = "",
    ) -> Result[Any]:
        """Like :meth:`run`, on the scheduler's threads. Coroutine tools run on this loop. Being cancelled ends the run.

        While it waits it takes no thread, and while others want to compute it takes turns with them. The computing is
        charged to ``account``.
        """
        async with self._new_session(limits, rollback=False, recorder=recorder, single_run=True) as session:
            return await session.arun(code, stdin=stdin, on_event=on_event, account=account)

    async def stream(
        self,
        code: str,
        *,
        stdin: str | None = None,
        limits: Limits | None = None,
        recorder: "Recorder | None" = None,
        account: str = "",
    ) -> AsyncGenerator[Event, None]:
        """Run a program in a fresh guest, as :meth:`arun` does, and yield its events, Finished last.

        Leaving the iteration ends the run.
        """
        async with self._new_session(limits, rollback=False, recorder=recorder, single_run=True) as session:
            events = session.stream(code, stdin=stdin, account=account)
            try:
                async for event in events:
                    yield event
            finally:
                await events.aclose()

    def session(
        self,
        *,
        limits: Limits | None = None,
        rollback: bool = True,
        budget: SessionBudget | None = None,
        recorder: "Recorder | None" = None,
        single_run: bool = False,
        account: str = "",
    ) -> Session:
        """Return a new session, which keeps its state between runs.

        After a run that was ended by a limit or a trap, the session goes back to where that run began; with
        ``rollback=False`` it ends instead, and costs no memory for its past. ``budget`` bounds all its runs together; a
        ``recorder`` writes them down. In a session for a ``single_run`` a program winds up as one does in :meth:`run`:
        its exit handlers are called, and its variables are gone. What its async methods compute is charged to
        ``account``.
        """
        return self._new_session(limits, rollback, budget, recorder, single_run, account)

    def restore(
        self,
        snapshot: "Snapshot | bytes",
        *,
        limits: Limits | None = None,
        rollback: bool = True,
        budget: SessionBudget | None = None,
        key: bytes | None = None,
        tenant: str | None = None,
        suspend: SuspendRule | None = None,
        recorder: "Recorder | None" = None,
        account: str = "",
    ) -> Session:
        """Return a session that continues from a snapshot, with this sandbox's tools and limits.

        A program that was suspended in it is its ``suspended``: it is resumed under the limits it was started with,
        and waits at further calls by the rule ``suspend``, as :meth:`Session.start` would have it.

        Its variables, files and everything else in the guest are as they were. It has new random numbers and the
        present time, except where the snapshot's session had a seed or another clock: these continue from where they
        stood. What it has used still counts, against ``budget``, or the snapshot's own if that is None.

        Raises SnapshotCorrupt for bytes that are no snapshot or not the whole one, and SnapshotMismatch for one of
        another image, one that was sealed with another ``key`` than this, or is not this ``tenant``'s, or does not
        fit the memory limit; nothing is loaded then.
        """
        from cloche.runtime.session.capture import restore_guest
        from cloche.runtime.session.pauses import SuspendedOrigin
        from cloche.runtime.snapshots.snapshot import Snapshot

        snapshot = snapshot if isinstance(snapshot, Snapshot) else Snapshot.from_bytes(snapshot)
        snapshot.check(key=key, tenant=tenant)
        limits, guest = self._new_guest(limits, rollback, budget)
        if recorder is not None:
            guest.record(recorder, bytes(snapshot))
        try:
            restore_guest(guest, snapshot)
        except SnapshotMismatch as mismatch:
            raise _explained(mismatch, snapshot) from None
        suspension = snapshot.facts.suspension
        origin = None if suspension is None else SuspendedOrigin(suspension, suspend)
        return Session(guest, limits, origin, scheduler=self._scheduler, account=account)

    async def arestore(
        self,
        snapshot: "Snapshot | bytes",
        *,
        limits: Limits | None = None,
        rollback: bool = True,
        budget: SessionBudget | None = None,
        key: bytes | None = None,
        tenant: str | None = None,
        suspend: SuspendRule | None = None,
        recorder: "Recorder | None" = None,
        account: str = "",
    ) -> Session:
        """Like :meth:`restore`, on another thread."""
        import asyncio

        return await asyncio.to_thread(
            self.restore,
            snapshot,
            limits=limits,
            rollback=rollback,
            budget=budget,
            key=key,
            tenant=tenant,
            suspend=suspend,
            recorder=recorder,
            account=account,
        )

    def keep_ready(self, guests: int) -> None:
        """Have so many guests ready before they are needed, for all sandboxes of this image and metering here.

        They are made now, and in the background as they are taken. Each takes address space and some 50 kB; to make one
        takes half of the time that a session's beginning does, and much longer where the system is busy with memory.
        Raises ConfigurationError for a negative number, or ImageError.
        """
        if guests < 0:
            raise ConfigurationError("guests", f"it is an integer >= 0, not {guests!r:.100}")
        if isinstance(self._source, ImageSource):
            self._source.template.keep_ready(guests)

    def __repr__(self) -> str:
        return f"<Sandbox {len(self._tools.specs())} tools, {self._limits}>"

    def _new_session(
        self,
        limits: Limits | None,
        rollback: bool,
        budget: SessionBudget | None = None,
        recorder: "Recorder | None" = None,
        single_run: bool = False,
        account: str = "",
    ) -> Session:
        limits, guest = self._new_guest(limits, rollback, budget)
        if recorder is not None:
            guest.record(recorder)
        return Session(guest, limits, single_run=single_run, scheduler=self._scheduler, account=account)

    def _new_guest(
        self, limits: Limits | None = None, rollback: bool = False, budget: SessionBudget | None = None
    ) -> tuple[Limits, SessionGuest]:
        # Once more: the process may have been patched since.
        _require_threads()
        limits = self._limits if limits is None else _checked(limits)
        self._check_memory(limits)
        environment = Environment(self._seed, self._clock)
        guest = SessionGuest(self._source, self._tools, environment, limits.memory, rollback, budget)
        guest.resting = self._resting
        return limits, guest

    def _check_memory(self, limits: Limits) -> None:
        minimum = self._source.min_memory
        if limits.memory < minimum:
            raise ConfigurationError(
                "memory", f"{limits.memory} bytes do not hold the interpreter, which needs {minimum}"
            )


def _image_of(image: "Image | str | PathLike[str]") -> "Image":
    # Here, as most sandboxes have the core image.
    from cloche.runtime.images import Image

    return Image.of(image)


def _explained(mismatch: SnapshotMismatch, snapshot: "Snapshot") -> SnapshotMismatch:
    """Return an error that says where the image is that a snapshot needs; any other error as it is."""
    if mismatch.what != "image":
        return mismatch
    from cloche.runtime.images import where_is

    return SnapshotMismatch("image", where_is(snapshot.image), mismatch.expected)


def _checked_resting(resting: object) -> int | None:
    if resting is not None and (not isinstance(resting, int) or isinstance(resting, bool) or resting < 0):
        raise ConfigurationError("resting", f"it is an integer >= 0, or None, not {resting!r:.100}")
    return resting


def _checked(limits: object) -> Limits:
    if not isinstance(limits, Limits):
        raise ConfigurationError("limits", f"a {type(limits).__name__} is not Limits: write Limits(time=5, ...)")
    return limits


def _require_threads() -> None:
    """Raise ConfigurationError where the threads of this process are not the system's: gevent's, or eventlet's."""
    # The one function of theirs that is C where it is Python's own.
    if not isinstance(threading.get_ident, BuiltinFunctionType):
        raise ConfigurationError(
            "threads",
            f"they are patched by {threading.get_ident.__module__.partition('.')[0]}, and a guest needs real ones: "
            "patch all but threads, patch_all(thread=False), or run Cloche in a process of its own",
        )
