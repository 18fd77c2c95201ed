"""A session's suspended program: which it is, what becomes of it when a run is over, and its form in a snapshot."""

import time
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple

from cloche.runtime.bridge.pending import PendingCall, PendingCalls, SuspendRule
from cloche.runtime.bridge.protocol import Call, Start, parse_call
from cloche.runtime.bridge.run_state import RunState, now
from cloche.runtime.dispatch import Dispatcher
from cloche.runtime.errors import ConfigurationError, NotSuspended, ProtocolError, SessionSuspended, SnapshotCorrupt
from cloche.runtime.limits import Limits
from cloche.runtime.result import ToolCallRecord, Usage
from cloche.runtime.session.execution import Execution
from cloche.runtime.session.guest import SessionGuest
from cloche.runtime.session.suspended import Suspended, SuspendedControl

if TYPE_CHECKING:
    from cloche.runtime.session.session import Session

__all__ = ["SuspendedOrigin", "SuspendedSlot", "run_as_plain", "run_from_plain"]


def run_as_plain(run: RunState, *, timeless: bool = False) -> dict[str, Any]:
    """Return all it takes to go on with the run elsewhere; ``timeless`` leaves out all times."""
    waiting = run.waiting
    assert waiting is not None
    return {
        "limits": {field.name: getattr(run.limits, field.name) for field in fields(Limits)},
        "carried": list(run.carried._replace(wall=0.0) if timeless else run.carried),
        "stdout": run.stdout.content(),
        "stderr": run.stderr.content(),
        "held": [
            [held.id, held.frame, held.needs_approval, held.line, None if timeless else held.since]
            for held in waiting.held.values()
        ],
        "undelivered": list(waiting.undelivered),
        "next_id": waiting.next_id,
        "every": waiting.every,
    }


def run_from_plain(plain: dict[str, Any], tools: Dispatcher, memory: int, rule: SuspendRule | None) -> RunState:
    """Return the run. A tool that needs approval now or did then needs it. Raises SnapshotCorrupt."""
    try:
        return _run(plain, tools, memory, rule)
    except (KeyError, TypeError, ValueError, ConfigurationError, ProtocolError) as error:
        raise SnapshotCorrupt(f"it was made by something else: its suspended program ({error!r:.200})") from None


def _run(plain: dict[str, Any], tools: Dispatcher, memory: int, rule: SuspendRule | None) -> RunState:
    limits = _limits(_expect(dict, plain["limits"]), memory)
    waiting = PendingCalls(tools, allowed=True, rule=rule, every=_expect(bool, plain["every"]))
    run = RunState(limits, None, waiting)
    run.carried = _carried(_expect(list, plain["carried"]))
    run.calls_made = run.carried.calls
    run.stdout.add(_expect(bytes, plain["stdout"]))
    run.stderr.add(_expect(bytes, plain["stderr"]))
    waiting.held = {held.id: held for held in (_held(row, waiting) for row in _expect(list, plain["held"]))}
    waiting.undelivered = [_expect(bytes, item) for item in _expect(list, plain["undelivered"])]
    waiting.next_id = _expect(int, plain["next_id"])
    run.calls = [held.record for held in waiting.held.values()]
    if not waiting.held or waiting.next_id <= max(waiting.held):
        raise ValueError("no call waits")
    return run


def _limits(bounds: dict[str, Any], memory: int) -> Limits:
    if bounds.keys() != {field.name for field in fields(Limits)}:
        raise ValueError("limits that are not all there")
    return Limits(**bounds).replace(memory=memory)


def _carried(row: list[Any]) -> Usage:
    usage = Usage(*row)
    counts = [_expect(int, count) for count in (usage.fuel or 0, usage.memory_peak, usage.output_bytes, usage.calls)]
    if min(*counts, _expect(float, usage.wall)) < 0:
        raise ValueError("less than nothing was used")
    return usage


def _held(row: Any, waiting: PendingCalls) -> PendingCall:
    id_, frame, approval, line, since = _expect(list, row)
    call = parse_call(_expect(bytes, frame))
    if not isinstance(call, Call | Start):
        raise TypeError("a frame that is no call")
    record = ToolCallRecord(call.name, call.args, call.kwargs, started=now())
    needs_approval = _expect(bool, approval) or waiting.needs_approval(call.name)
    line = None if line is None else _expect(int, line)
    return PendingCall(_expect(int, id_), call, frame, record, needs_approval, _since(since), line)


def _since(moment: Any) -> float:
    """Return a moment that is not in the future, whatever the other machine's clock said; now if it is not known."""
    if moment is None:
        return time.time()
    if not _expect(float, moment) >= 0:
        raise ValueError("a moment that never was")
    return float(min(moment, time.time()))


def _expect(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"a {type(value).__name__} instead of a {kind.__name__}")
    return value


class SuspendedOrigin(NamedTuple):
    """The suspended program of the snapshot that a session begins with, and the rule for its further calls."""

    suspension: dict[str, Any]
    rule: SuspendRule | None


class SuspendedSlot:
    """``current`` is the program that is suspended in a session, or None. Used by whoever holds the session."""

    def __init__(self, session: "Session", guest: SessionGuest, control: SuspendedControl) -> None:
        self.current: Suspended | None = None
        self._session = session
        self._guest = guest
        self._control = control
        self._origin: SuspendedOrigin | None = None

    def adopt(self, origin: SuspendedOrigin) -> None:
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

    def as_origin(self) -> SuspendedOrigin | None:
        """Return the program as a value, from which other sessions can begin; None if there is none."""
        if self.current is None:
            return None
        run = self.current.run
        rule = None if run.waiting is None else run.waiting.rule
        return SuspendedOrigin(run_as_plain(run, timeless=self._guest.world.is_repeatable), rule)

    def _suspended(self, run: RunState) -> Suspended:
        return Suspended(self._session, run, self._control)
