"""What a suspended run is on the host's side, as plain values for a snapshot, and back."""

import time
from dataclasses import fields
from typing import Any

from cloche.runtime.bridge.protocol import Call, Start, parse_call
from cloche.runtime.dispatch import Dispatcher
from cloche.runtime.errors import ConfigurationError, ProtocolError, SnapshotCorrupt
from cloche.runtime.limits import Limits
from cloche.runtime.result import ToolCallRecord, Usage
from cloche.runtime.running.run_state import RunState, now
from cloche.runtime.suspension.waiting import HeldCall, Rule, WaitingCalls

__all__ = ["run_as_plain", "run_from_plain"]


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


def run_from_plain(plain: dict[str, Any], tools: Dispatcher, memory: int, rule: Rule | None) -> RunState:
    """Return the run. A tool that needs approval now or did then needs it. Raises SnapshotCorrupt."""
    try:
        return _run(plain, tools, memory, rule)
    except (KeyError, TypeError, ValueError, ConfigurationError, ProtocolError) as error:
        raise SnapshotCorrupt(f"it was made by something else: its suspended program ({error!r:.200})") from None


def _run(plain: dict[str, Any], tools: Dispatcher, memory: int, rule: Rule | None) -> RunState:
    limits = _limits(_expect(dict, plain["limits"]), memory)
    waiting = WaitingCalls(tools, allowed=True, rule=rule, every=_expect(bool, plain["every"]))
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


def _held(row: Any, waiting: WaitingCalls) -> HeldCall:
    id_, frame, approval, line, since = _expect(list, row)
    call = parse_call(_expect(bytes, frame))
    if not isinstance(call, Call | Start):
        raise TypeError("a frame that is no call")
    record = ToolCallRecord(call.name, call.args, call.kwargs, started=now())
    needs_approval = _expect(bool, approval) or waiting.needs_approval(call.name)
    line = None if line is None else _expect(int, line)
    return HeldCall(_expect(int, id_), call, frame, record, needs_approval, _since(since), line)


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
