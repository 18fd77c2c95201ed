"""A session's suspended program: which it is, and what becomes of it when a run is over."""

from typing import TYPE_CHECKING, Any, NamedTuple

from cloche.runtime.errors import NotSuspended, SessionSuspended
from cloche.runtime.running.execution import Execution
from cloche.runtime.running.run_state import RunState
from cloche.runtime.running.session_guest import Guest
from cloche.runtime.suspension.plain import run_as_plain, run_from_plain
from cloche.runtime.suspension.suspended import Control, Suspended
from cloche.runtime.suspension.waiting import Rule

if TYPE_CHECKING:
    from cloche.runtime.session import Session

__all__ = ["Origin", "Pauses"]


class Origin(NamedTuple):
    """The suspended program of the snapshot that a session begins with, and the rule for its further calls."""

    suspension: dict[str, Any]
    rule: Rule | None


class Pauses:
    """``current`` is the program that is suspended in a session, or None. Used by whoever holds the session."""

    def __init__(self, session: "Session", guest: Guest, control: Control) -> None:
        self.current: Suspended | None = None
        self._session = session
        self._guest = guest
        self._control = control
        self._origin: Origin | None = None

    def adopt(self, origin: Origin) -> None:
        """Have a program suspended that was so in a snapshot. Raises SnapshotCorrupt."""
        run = run_from_plain(origin.suspension, self._guest.tools, self._guest.memory, origin.rule)
        self._origin, self.current = origin, self._suspended(run)

    @property
    def is_idle(self) -> bool:
        """Whether there is none, and none to go back to."""
        return self.current is None and self._origin is None

    def check_none(self) -> None:
        """Raise SessionSuspended if there is one."""
        if self.current is not None:
            raise SessionSuspended(self.current.waits_for())

    def check(self, suspended: Suspended) -> None:
        """Raise NotSuspended unless it is this one."""
        if self.current is not suspended:
            raise NotSuspended

    def forget(self) -> None:
        """Have none, and never go back to one."""
        self.current = self._origin = None

    def settle(self, execution: Execution, error: BaseException | None) -> None:
        """Take note of a run that is over; ``error`` is why its guest was lost."""
        if execution.paused:
            # A program that was never resumed after all is the same as before.
            same = execution.paused if isinstance(execution.paused, Suspended) else None
            self.current = execution.paused = same or self._suspended(execution.run)
        elif error is None:
            self._origin = None
        elif self._origin is not None:
            # The guest is back where the snapshot left it: in the middle of the same program.
            self.adopt(self._origin)

    def as_origin(self) -> Origin | None:
        """Return the program as a value, from which other sessions can begin; None if there is none."""
        if self.current is None:
            return None
        run = self.current.run
        rule = None if run.waiting is None else run.waiting.rule
        return Origin(run_as_plain(run, timeless=self._guest.world.is_repeatable), rule)

    def _suspended(self, run: RunState) -> Suspended:
        return Suspended(self._session, run, self._control)
