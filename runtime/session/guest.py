"""One session's guest: a machine, and all it takes to have it again after it was lost."""

from typing import Any, NamedTuple

from cloche.runtime.bridge.environment import Environment
from cloche.runtime.bridge.handlers import BridgeHandlers
from cloche.runtime.bridge.protocol import Op, request, run_request
from cloche.runtime.bridge.transcript import ReplayMismatch, Tape, TapedAnswers
from cloche.runtime.dispatch import Dispatcher, as_suspending
from cloche.runtime.errors import ClocheError, SessionClosed
from cloche.runtime.limits import Limits, SessionBudget, Spent
from cloche.runtime.machine_api import Machine, MachineSource
from cloche.runtime.recording.recorder import Recorder, RecordingHandlers
from cloche.runtime.rollback.checkpoint import Checkpoint
from cloche.runtime.rollback.journal import Journal
from cloche.runtime.wasm.traps import Stopped

__all__ = ["Running", "SessionGuest", "Step"]


class Running(NamedTuple):
    """What a run drives. An abandoned run keeps its own, while the guest gets another."""

    machine: Machine
    host: BridgeHandlers
    tape: Tape
    ear: RecordingHandlers | None = None


Step = tuple[bytes, TapedAnswers, bytes]
"""A request that ended well, with what the guest was told meanwhile and its response, as the journal wants it."""


class GuestKnowledge(NamedTuple):
    """What the interpreter in the guest has been told, so that it is told only what is new.

    ``awake`` is false in a restored or forked guest that still has the random state of the one it comes from.
    """

    caps: dict[str, int] | None = None
    tools: int | None = None
    awake: bool = True
    limits: Limits | None = None
    """Those that the caps are of, to find them unchanged at a glance."""


class _SuspendedSteps(NamedTuple):
    """What a program that is suspended has done so far, and what the interpreter knew before."""

    steps: list[Step]
    told: GuestKnowledge


class SessionGuest:
    """Used by one run at a time. ``keeps`` says whether it can be rolled back, ``spent`` what it has used so far.

    ``metered`` says whether its machines count fuel; ``can_suspend`` are its tools, if they can have calls wait.
    """

    def __init__(
        self,
        source: MachineSource,
        tools: Dispatcher,
        world: Environment,
        memory: int,
        keeps: bool,
        budget: SessionBudget | None = None,
    ) -> None:
        self.source = source
        self.tools = tools
        self.memory = memory
        self.keeps = keeps
        self.memory_seen = source.least_memory
        self.world = world
        self.budget = budget
        self.recorder: Recorder | None = None
        self.metered = source.metered
        self.can_suspend = as_suspending(tools)
        self.spent = Spent()
        self._origin: Checkpoint | None = None
        self._mark = world.mark()
        self._journal = Journal() if keeps else None
        self._body: Running | None = None
        self._told = GuestKnowledge()
        self._telling = GuestKnowledge()
        self._held: _SuspendedSteps | None = None

    def resume_at(self, origin: Checkpoint, caps: dict[str, int] | None, knows_tools: bool) -> None:
        """Let a guest that has not run yet begin there, where it has been told these caps, and perhaps its tools.

        Raises SessionClosed if there is no room for it.
        """
        self._origin = origin
        if self._journal is not None:
            self._journal.begin_at(origin)
        self._told = GuestKnowledge(caps, self.tools.version() if knows_tools else None, awake=self.world.has_seed)
        self._body = self._new_body()

    def record(self, recorder: Recorder, start: bytes | None = None) -> None:
        """Have the session written down from its beginning: a fresh guest, or the snapshot ``start``.

        Raises ConfigurationError if the recorder has another session.
        """
        recorder.attach(self.source, self.memory, self.keeps, start)
        self.recorder = recorder

    def checkpoint(self) -> Checkpoint:
        """Return a copy of the memory's changed pages. Raises SessionClosed."""
        return Checkpoint.take(self.ready().machine, self.source.pristine())

    def known(self) -> tuple[dict[str, int] | None, bool]:
        """Return the caps that the interpreter was told, and whether it knows the tools as they are now."""
        return self._told.caps, self._told.tools == self.tools.version()

    def begin_run(self) -> str:
        """Count a run and return its file name: one for each, so that tracebacks through several show their lines.

        Raises BudgetSpent where nothing is left for it.
        """
        if self.budget is not None:
            self.budget.check(self.spent)
        spent = self.spent = self.spent.with_run()
        return f"<run {spent.runs}>"

    def affordable(self, limits: Limits) -> Limits:
        """Return the limits, within what is left of the session's budget."""
        return limits if self.budget is None else self.budget.within(limits, self.spent)

    def is_plain(self) -> bool:
        """Return whether a run is nothing but one request: no budget, recorder, clock or wait has a part in it."""
        return (
            self._held is None
            and self._told.awake
            and self.budget is None
            and self.recorder is None
            and not self.world.rate
            and (self.can_suspend is None or not self.can_suspend.any_suspends())
        )

    def run_request(self, code: str, limits: Limits) -> bytes:
        """Return the next RUN. Raises BudgetSpent where nothing is left for it."""
        return run_request(code, self.begin_run(), self.run_options(limits))

    def awakening(self) -> list[bytes]:
        """Return the request for new random numbers, where the guest has another one's."""
        return [] if self._told.awake else [request(Op.RESEED, None)]

    def run_options(self, limits: Limits) -> dict[str, Any]:
        """Return the options of the next RUN: the caps and tools that the interpreter does not know yet."""
        version = self.tools.version()
        told = self._told
        if limits is told.limits and version == told.tools and told.awake:
            self._telling = told
            return {}
        return self._news(limits, version)

    def _news(self, limits: Limits, version: int) -> dict[str, Any]:
        options: dict[str, Any] = {}
        caps = limits.guest_caps()
        if caps != self._told.caps:
            options["limits"] = caps
        if version != self._told.tools:
            options["tools"] = self.tools.specs()
        self._telling = GuestKnowledge(caps, version, limits=limits)
        return options

    def introduction(self, limits: Limits) -> list[bytes]:
        """Return the requests that must come before any other than RUN."""
        caps = limits.guest_caps()
        self._telling = self._told._replace(caps=caps, awake=True, limits=limits)
        news = [] if caps == self._told.caps else [request(Op.LIMITS, caps)]
        return [*self.awakening(), *news]

    def ready(self) -> Running:
        """Return the machine, made anew and brought to where it was if it was lost. Raises SessionClosed."""
        if self._body is None:
            self._body = self._new_body()
        if self._held is None:
            self._mark = self.world.mark()
        return self._body

    def hold(self, steps: list[Step]) -> None:
        """Take note of requests that left a program suspended: they stay on trial until it has ended well."""
        held = self._held or _SuspendedSteps([], self._told)
        self._held = held._replace(steps=[*held.steps, *steps])
        self._told = self._telling
        self.world.end()

    def commit(self, body: Running, steps: list[Step], fuel: int | None, seconds: float) -> None:
        """Take note of requests that ended well, and of what they cost."""
        held, self._held = self._held, None
        self._told = self._telling
        self.world.end()
        if self._journal is not None:
            for step in [*held.steps, *steps] if held else steps:
                self._journal.add(*step)
            self._journal.settle(body.machine, self.source.pristine, fuel, seconds)

    def lose(self) -> None:
        """Forget the machine, and everything since the program began. Closing it is up to whoever ran it."""
        held, self._held = self._held, None
        self._told = held.told if held else self._told
        self._body = None
        self.world.go_back(self._mark)

    def discard(self) -> None:
        """Lose a machine that nobody runs, with the program that is suspended in it."""
        body = self._body
        self.lose()
        if body is not None:
            body.machine.close()

    def close(self) -> None:
        """Let go of the machine and of the past."""
        body, self._body = self._body, None
        self._journal = self._origin = None
        if body is not None:
            body.machine.close()

    def _new_body(self) -> Running:
        tape = Tape() if self._journal is None else self._journal.new_tape()
        host = BridgeHandlers(self.tools, self.world, tape)
        ear = None if self.recorder is None else RecordingHandlers(host, self.recorder)
        machine = self.source.new(host if ear is None else ear, self.memory)
        self._restore(machine, tape)
        return Running(machine, host, tape, ear)

    def _restore(self, machine: Machine, tape: Tape) -> None:
        try:
            if self._journal is not None:
                self._journal.restore(machine, tape, self.source.metered)
            elif self._origin is not None:
                machine.restore(*self._origin)
        except (Stopped, ReplayMismatch, ClocheError, MemoryError) as error:
            machine.close()
            raise SessionClosed(f"it could not be brought back to its last good state: {error}") from error
