"""One session's guest: a machine, and all it takes to have it again after it was lost."""

from typing import Any, NamedTuple

from cloche.runtime.bridge.host import Host
from cloche.runtime.bridge.protocol import Op, request
from cloche.runtime.bridge.tape import Recording, ReplayMismatch, Tape
from cloche.runtime.bridge.world import World
from cloche.runtime.dispatch import Dispatcher
from cloche.runtime.errors import ClocheError, SessionClosed
from cloche.runtime.limits import Limits
from cloche.runtime.rollback.journal import Journal
from cloche.runtime.seam import Machine, MachineSource
from cloche.runtime.wasm.traps import Stopped

__all__ = ["Body", "Guest", "Step"]


class Body(NamedTuple):
    """What a run drives. An abandoned run keeps its own, while the guest gets another."""

    machine: Machine
    host: Host
    tape: Tape


class Step(NamedTuple):
    """A request that ended well, as the journal wants it."""

    request: bytes
    recording: Recording
    response: bytes


class _Told(NamedTuple):
    """What the interpreter in the guest has been told, so that it is told only what is new."""

    caps: dict[str, int] | None = None
    tools: int | None = None


class Guest:
    """Used by one run at a time. ``keeps`` says whether it can be rolled back."""

    def __init__(self, source: MachineSource, tools: Dispatcher, world: World, memory: int, keeps: bool) -> None:
        self.source = source
        self.tools = tools
        self.memory = memory
        self.keeps = keeps
        self.memory_seen = source.least_memory
        self._world = world
        self._mark = world.mark()
        self._journal = Journal() if keeps else None
        self._body: Body | None = None
        self._told = _Told()
        self._telling = _Told()

    def run_options(self, limits: Limits) -> dict[str, Any]:
        """Return the options of the next RUN: the caps and tools that the interpreter does not know yet."""
        options: dict[str, Any] = {}
        caps, version = limits.guest_caps(), self.tools.version()
        if caps != self._told.caps:
            options["limits"] = caps
        if version != self._told.tools:
            options["tools"] = self.tools.specs()
        self._telling = _Told(caps, version)
        return options

    def introduction(self, limits: Limits) -> list[bytes]:
        """Return the requests that must come before any other than RUN."""
        caps = limits.guest_caps()
        if caps == self._told.caps:
            return []
        self._telling = self._told._replace(caps=caps)
        return [request(Op.LIMITS, caps)]

    def ready(self) -> Body:
        """Return the machine, made anew and brought to where it was if it was lost. Raises SessionClosed."""
        if self._body is None:
            self._body = self._new_body()
        self._mark = self._world.mark()
        return self._body

    def commit(self, body: Body, steps: list[Step], fuel: int | None, seconds: float) -> None:
        """Take note of requests that ended well, and of what they cost."""
        self._told = self._telling
        if self._journal is not None:
            for step in steps:
                self._journal.add(*step)
            self._journal.charge(fuel, seconds)
            self._journal.settle(body.machine, self.source.pristine)

    def lose(self) -> None:
        """Forget the machine, and everything since :meth:`ready`. Closing it is up to whoever ran it."""
        self._body = None
        self._world.go_back(self._mark)

    def close(self) -> None:
        """Let go of the machine and of the past."""
        body, self._body = self._body, None
        self._journal = None
        if body is not None:
            body.machine.close()

    def _new_body(self) -> Body:
        tape = Tape() if self._journal is None else self._journal.new_tape()
        host = Host(self.tools, self._world, tape)
        machine = self.source.new(host, self.memory)
        if self._journal is not None:
            self._restore(self._journal, machine, tape)
        return Body(machine, host, tape)

    def _restore(self, journal: Journal, machine: Machine, tape: Tape) -> None:
        try:
            journal.restore(machine, tape, self.source.metered)
        except (Stopped, ReplayMismatch, ClocheError, MemoryError) as error:
            machine.close()
            raise SessionClosed(f"it could not be brought back to its last good state: {error}") from error
