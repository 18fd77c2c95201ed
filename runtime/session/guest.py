"""One session's guest: a machine, and all it takes to have it again after it was lost."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar
from weakref import ref

from cloche.runtime.bridge.environment import Environment
from cloche.runtime.bridge.handlers import BridgeHandlers
from cloche.runtime.bridge.protocol import Op, request, run_request
from cloche.runtime.bridge.transcript import ReplayMismatch, Tape, TapedAnswers
from cloche.runtime.dispatch import Dispatcher, as_suspending
from cloche.runtime.errors import ClocheError, ConfigurationError, GuestError, Interrupted, SessionBusy, SessionClosed
from cloche.runtime.limits import Limits, SessionBudget, Spent
from cloche.runtime.machine_api import Machine, MachineSource
from cloche.runtime.result import Usage
from cloche.runtime.rollback.checkpoint import Checkpoint
from cloche.runtime.rollback.journal import Journal
from cloche.runtime.threads import guest_threads
from cloche.runtime.values import encode
from cloche.runtime.wasm.machine import require_frames
from cloche.runtime.wasm.signals import deferred
from cloche.runtime.wasm.traps import Stopped

if TYPE_CHECKING:
    from cloche.runtime.recording.recorder import Recorder, RecordingHandlers

__all__ = ["FRAMES", "Holder", "HoldsRunner", "Rooms", "Running", "SessionGuest", "Step"]


T = TypeVar("T")

FRAMES = 24
"""Python frames that it takes to end whatever a session was taken for."""


class Running(NamedTuple):
    """What a run drives. An abandoned run keeps its own, while the guest gets another."""

    machine: Machine
    host: BridgeHandlers
    tape: Tape
    recording: "RecordingHandlers | None" = None


Step = tuple[bytes, TapedAnswers, bytes]
"""A request that ended well, the answers that the guest was given meanwhile, and its response, for the journal."""


class GuestKnowledge(NamedTuple):
    """What the interpreter in the guest knows, so that it is sent only what is new.

    ``awake`` is false in a restored or forked guest that still has the random state of the one it comes from. ``bare``
    is true in one that is as the image left it, which has no tools.
    """

    caps: dict[str, int] | None = None
    tools: int | None = None
    awake: bool = True
    bare: bool = False
    limits: Limits | None = None
    """Those that the caps are of, to find them unchanged at a glance."""


class _SuspendedSteps(NamedTuple):
    """What a program that is suspended has done so far, and what the interpreter knew before."""

    steps: list[Step]
    known: GuestKnowledge


class Holder(Protocol):
    """Who has taken a guest and can be made to release it soon: a run. ``paused`` is true if its program then waits."""

    paused: object

    def pause(self, is_current: Callable[[], bool], timeout: float | None) -> None:
        """From any thread: have its program paused, and wait until it is, or until ``is_current()`` is false."""
        ...

    def interrupt(self, reason: GuestError) -> bool:
        """From any thread: end it soon. Returns whether it was still in progress."""
        ...


class HoldsRunner(Protocol):
    """What performs usual runs of a session, and keeps count of them until it is asked: see ``express.py``."""

    runner: Any

    def retire(self) -> None:
        """Let go of the runner: its machine has ended, and what it counted is collected."""
        ...


class Rooms(NamedTuple):
    """What runs may be performed without a look at all this: see :meth:`SessionGuest.rooms`.

    The latest one's ``number``, the tools' ``version``, the encoded ``options`` of the next one, which say what the
    guest does not know yet, and what the ``journal`` takes before it has to be settled: fuel, bytes and entries.
    """

    number: int
    version: int
    options: bytes
    journal: tuple[int, int, int]


# An empty dict.
_NO_OPTIONS = b"\x80"
_WITHOUT_JOURNAL = (1 << 62, 1 << 62, 1 << 30)


class SessionGuest:
    """Used by one caller at a time, between :meth:`take` and :meth:`release`, until ``ended`` says why it has ended.

    ``resting`` is how many programs that wait keep their guests before one of this guest's rests; None for never.
    ``holder`` is the run that has taken it, if it is one, and ``running`` the machine, unless it is still to be made.
    ``keeps`` says whether it can be rolled back, ``metered`` whether its machines count fuel; ``can_suspend`` are its
    tools, if they can have calls wait.
    """

    def __init__(
        self,
        source: MachineSource,
        tools: Dispatcher,
        environment: Environment,
        memory: int,
        keeps: bool,
        budget: SessionBudget | None = None,
    ) -> None:
        self.source = source
        self.tools = tools
        self.memory = memory
        self.keeps = keeps
        self.memory_seen = source.min_memory
        self.environment = environment
        self.budget = budget
        self.recorder: Recorder | None = None
        self.metered = source.metered
        self.can_suspend = as_suspending(tools)
        self.holder: Holder | None = None
        self.ended = ""
        self.express: ref[HoldsRunner] | None = None
        # The same, also when what it has counted is collected.
        self._latest: ref[HoldsRunner] | None = None
        self.resting: int | None = None
        self.lock = threading.Lock()
        self._runs = self._fuel = self._output = self._calls = 0
        self._time = 0.0
        self._origin: Checkpoint | None = None
        self._mark = environment.mark()
        self._journal = Journal() if keeps else None
        self.running: Running | None = None
        self._known = self._learned = GuestKnowledge(source.caps, bare=True)
        self._held: _SuspendedSteps | None = None

    @property
    def is_taken(self) -> bool:
        """Whether a caller uses it."""
        return self.lock.locked()

    def take(self) -> None:
        """Let the caller use the guest, and no one else. Raises SessionBusy or SessionClosed."""
        # Raises here, where it is harmless, and not between two lines that take the session and release it.
        require_frames(FRAMES)
        if not self.lock.acquire(False):
            raise SessionBusy
        if self.ended:
            self.lock.release()
            raise SessionClosed(self.ended)
        if self.express is not None:
            self.collect()

    def release(self) -> None:
        """Let others use it. Called once by whoever took it, on whichever thread."""
        # Nothing may come between these two: Ctrl-C before them is found by the holder, which is still there.
        self.holder = None
        self.lock.release()
        # ``end`` may have come just before, when it could not close the guest itself.
        if self.ended and self.lock.acquire(False):
            self._close()
            self.lock.release()

    def collect(self) -> None:
        """Take note of the usual runs that were performed meanwhile; for whoever has taken the guest.

        There are no more of them until the runner is armed again.
        """
        express, self.express = None if self.express is None else self.express(), None
        if express is not None:
            runs, fuel, seconds, steps, weight = express.runner.collect(True)
            self._runs += runs
            self._fuel += fuel
            self._time += seconds
            if self._journal is not None:
                self._journal.add_steps(steps, weight, fuel)

    def armed(self, express: HoldsRunner) -> None:
        """Take note of what may perform usual runs from now on, and is to be asked for them."""
        self.express = self._latest = ref(express)

    def count_calls(self, calls: int, output: int) -> None:
        """Count the calls and the output of a run whose fuel and time are counted by :meth:`collect`."""
        self._calls += calls
        self._output += output

    def count_run(self) -> None:
        """Count a run that was begun elsewhere. What it tells the interpreter is known since :meth:`rooms`."""
        self._runs += 1

    def learn(self) -> bytes:
        """Note that a usual run has told the interpreter what was new; return the options of the next one."""
        self._known = self._learned
        return _NO_OPTIONS

    def rooms(self, limits: Limits) -> Rooms | None:
        """Return how usual runs within these limits may be performed from now on; None if the next one is unusual.

        It is if anything of it is recorded, budgeted or repeatable, or if a program is suspended.
        """
        known, version = self._known, self.tools.version()
        if (
            not (known.awake and self.metered and self.environment.is_real)
            or not (self.recorder is None and self.budget is None and self._held is None)
            or (self.can_suspend is not None and self.can_suspend.any_suspends())
        ):
            return None
        self._learned, options = known, _NO_OPTIONS
        if known.limits is not limits or known.tools != version:
            news = self._news(limits, version)
            if news:
                try:
                    options = encode(news)
                except (TypeError, ValueError):
                    # What is wrong with a tool is said by the run that has to send it.
                    return None
            else:
                self._known = self._learned
        journal = _WITHOUT_JOURNAL if self._journal is None else self._journal.rooms()
        return Rooms(self._runs, version, options, journal)

    @contextmanager
    def taken(self) -> Generator[None]:
        """Take the guest, and keep it unless this raises."""
        self.take()
        try:
            yield
        except BaseException:
            self.release()
            raise

    def at_rest(self, work: Callable[[], T]) -> T:
        """Return what ``work`` does with the guest while it does not run. Raises SessionBusy or SessionClosed."""
        # Signals are deferred also while another thread does the work: it must be over before the guest is released.
        with deferred():
            self.take()
            try:
                # A guest that was rolled back repeats what it has done, for which this thread's stack may be too small.
                return work() if self.source.fits_here() else guest_threads.submit(work).result()
            except SessionClosed as error:
                self.ended = self.ended or error.reason
                raise
            finally:
                self.release()

    def end(self, reason: str) -> None:
        """From any thread: end it for good, interrupting a run that is in progress."""
        self.ended = self.ended or reason
        with deferred():
            self._end()

    def _end(self) -> None:
        if self.lock.acquire(False):
            self.release()
        elif self.holder is not None:
            self.holder.interrupt(Interrupted("the session was closed"))

    def note_loss(self, error: BaseException) -> None:
        """End it if its machine was lost for good, which this error says or did."""
        if isinstance(error, SessionClosed):
            self.ended = self.ended or error.reason
        elif not self.keeps:
            self.ended = self.ended or f"its last run was ended by {type(error).__name__} and rollback is off"

    def resume_at(self, origin: Checkpoint, caps: dict[str, int] | None, knows_tools: bool) -> None:
        """Let a guest that has not run yet begin there, where it knows these caps, and perhaps its tools.

        Raises SessionClosed if there is no room for it.
        """
        self._origin = origin
        if self._journal is not None:
            self._journal.begin_at(origin)
        self._known = GuestKnowledge(
            caps, self.tools.version() if knows_tools else None, awake=self.environment.has_seed
        )
        self.running = self._new_body()

    def record(self, recorder: "Recorder", start: bytes | None = None) -> None:
        """Have the session written down from its beginning: a fresh guest, or the snapshot ``start``.

        Raises ConfigurationError if the recorder has another session.
        """
        recorder.attach(self.source, self.memory, self.keeps, start)
        self.recorder = recorder

    def checkpoint(self) -> Checkpoint:
        """Return a copy of the memory's changed pages. Raises SessionClosed."""
        return Checkpoint.take(self.ready().machine, self.source.pristine())

    def known(self) -> tuple[dict[str, int] | None, bool]:
        """Return the caps that the interpreter knows, and whether it knows the tools as they are now."""
        return self._known.caps, self._known.tools == self.tools.version()

    @property
    def spent(self) -> Spent:
        """What it has used so far."""
        express = None if self.express is None else self.express()
        runs, fuel, seconds = (0, 0, 0.0) if express is None else express.runner.collect(False)
        return Spent(self._runs + runs, self._fuel + fuel, self._time + seconds, self._output, self._calls)

    @spent.setter
    def spent(self, spent: Spent) -> None:
        self._runs, self._fuel, self._time, self._output, self._calls = spent

    def spend(self, usage: Usage) -> None:
        """Add what a run, or another request, has used."""
        # Kept as numbers: to make a Spent for each run takes longer than to add them all.
        self._fuel += usage.fuel or 0
        self._time += usage.wall
        self._output += usage.output_bytes
        self._calls += usage.calls

    def mark_of_run(self) -> str:
        """Return what tells the run that begins now from all others of a session that is repeatable."""
        import hashlib

        state = f"{self._runs} {self.environment.state()!r}"
        return hashlib.sha256(state.encode()).hexdigest()

    def checked(self, limits: Limits) -> Limits:
        """Return limits that a run may have. Raises ConfigurationError for another memory than the guest's."""
        if limits.memory != self.memory:
            problem = f"a session's memory limit is set when it is made: pass Limits(memory={self.memory}, ...)"
            raise ConfigurationError("memory", problem)
        return limits

    def affordable(self, limits: Limits) -> Limits:
        """Return the limits, within what is left of the session's budget."""
        return limits if self.budget is None else self.budget.within(limits, self.spent)

    def run_frames(self, code: str, limits: Limits, extra: dict[str, Any] | None = None) -> list[bytes]:
        """Count a run and return its frames: RUN, after a request for new random numbers where it has another guest's.

        ``extra`` are options of this run alone. Raises BudgetSpent where nothing is left for it.
        """
        if self.budget is not None:
            self.budget.check(self.spent)
        self._runs += 1
        # A file name for each run, so that tracebacks through several show their lines.
        options = self.run_options(limits)
        frame = run_request(code, f"<run {self._runs}>", options if extra is None else options | extra)
        return [frame] if self._known.awake else [*self.awakening(), frame]

    def awakening(self) -> list[bytes]:
        """Return the request for new random numbers, where the guest has another one's."""
        return [] if self._known.awake else [request(Op.RESEED, None)]

    def run_options(self, limits: Limits) -> dict[str, Any]:
        """Return the options of the next RUN: the caps and tools that the interpreter does not know yet."""
        version = self.tools.version()
        known = self._known
        if limits is known.limits and version == known.tools and known.awake:
            self._learned = known
            return {}
        return self._news(limits, version)

    def _news(self, limits: Limits, version: int) -> dict[str, Any]:
        options: dict[str, Any] = {}
        caps = limits.guest_caps()
        if caps != self._known.caps:
            options["limits"] = caps
        if version != self._known.tools:
            specs = self.tools.specs()
            if specs or not self._known.bare:
                options["tools"] = specs
        self._learned = GuestKnowledge(caps, version, limits=limits)
        return options

    def introduction(self, limits: Limits) -> list[bytes]:
        """Return the requests that must come before any other than RUN."""
        caps = limits.guest_caps()
        self._learned = self._known._replace(caps=caps, awake=True, limits=limits)
        news = [] if caps == self._known.caps else [request(Op.LIMITS, caps)]
        return [*self.awakening(), *news]

    def learn_nothing(self) -> None:
        """Note that the next request tells the interpreter nothing new."""
        self._learned = self._known

    def ready(self) -> Running:
        """Return the machine, made anew and brought to where it was if it was lost. Raises SessionClosed."""
        if self.running is None:
            self.running = self._new_body()
        if self._held is None and not self.environment.is_real:
            self._mark = self.environment.mark()
        return self.running

    def hold(self, steps: list[Step]) -> None:
        """Take note of requests that left a program suspended: they stay on trial until it has ended well."""
        held = self._held or _SuspendedSteps([], self._known)
        self._held = held._replace(steps=[*held.steps, *steps])
        self._known = self._learned
        self.environment.end()

    def commit(self, body: Running, steps: list[Step], fuel: int | None, seconds: float, carried: int = 0) -> None:
        """Take note of requests that ended well, and of what they cost.

        Of the fuel, ``carried`` was used before the program was suspended: to repeat that is part of the journal only
        where it was suspended here, and not where it was restored.
        """
        held, self._held = self._held, None
        if fuel is not None and held is None:
            fuel -= carried
        self._known = self._learned
        if self.environment.rate:
            self.environment.end()
        if self._journal is not None:
            for step in [*held.steps, *steps] if held else steps:
                self._journal.add(*step)
            self._journal.settle(body.machine, self.source.pristine, fuel, seconds)

    def lose(self) -> None:
        """Forget the machine, and everything since the program began. Closing it is up to whoever ran it."""
        self._retire()
        held, self._held = self._held, None
        self._known = held.known if held else self._known
        self.running = None
        self.environment.go_back(self._mark)

    def discard(self) -> None:
        """Lose a machine that is not running, with the program that is suspended in it."""
        body = self.running
        self.lose()
        if body is not None:
            body.machine.close()

    def _close(self) -> None:
        """Let go of the machine and of the past."""
        self._retire()
        body, self.running = self.running, None
        self._journal = self._origin = None
        if body is not None:
            body.machine.close()

    def _retire(self) -> None:
        # The collector does not look into a runner, which holds all this. Frames of what ended its machine hold it.
        self.collect()
        latest, self._latest = None if self._latest is None else self._latest(), None
        if latest is not None:
            latest.retire()

    def _new_body(self) -> Running:
        tape = Tape() if self._journal is None else self._journal.new_tape()
        host = BridgeHandlers(self.tools, self.environment, tape)
        recording = None
        if self.recorder is not None:
            from cloche.runtime.recording.recorder import RecordingHandlers

            recording = RecordingHandlers(host, self.recorder)
        machine = self.source.new(host if recording is None else recording, self.memory)
        self._restore(machine, tape)
        return Running(machine, host, tape, recording)

    def _restore(self, machine: Machine, tape: Tape) -> None:
        try:
            if self._journal is not None:
                self._journal.restore(machine, tape, self.source.metered)
            elif self._origin is not None:
                machine.restore(*self._origin)
        except (Stopped, ReplayMismatch, ClocheError, MemoryError) as error:
            machine.close()
            if isinstance(error, Stopped) and error.reason is not None and not isinstance(error.reason, ClocheError):
                # What a signal's handler raised meanwhile: nothing is wrong with what is to be repeated.
                raise error.reason from None
            raise SessionClosed(f"it could not be brought back to its last good state: {error}") from error
