"""A suspended program outside of its run: as plain values in a snapshot, and the answers that its calls are given."""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from cloche.runtime.bridge.host_memory import HostMemory
from cloche.runtime.bridge.pending import (
    Answer,
    CallDenied,
    GiveValue,
    MakeCall,
    PendingCall,
    PendingCalls,
    RaiseError,
    SuspendRule,
)
from cloche.runtime.bridge.protocol import Call, Start, is_id, known_line, parse_call, value_reply
from cloche.runtime.bridge.run_state import InterruptedStep, RunState
from cloche.runtime.dispatch import Dispatcher
from cloche.runtime.errors import ConfigurationError, ProtocolError, SnapshotCorrupt
from cloche.runtime.limits import LIMITS, Limits
from cloche.runtime.machine_api import StopRun, now
from cloche.runtime.result import ToolCallRecord, Usage

__all__ = ["Answers", "GivenAnswers", "SuspendedOrigin", "checked_answers", "run_as_plain", "run_from_plain"]


_MARK = re.compile("[0-9a-f]{64}")


class SuspendedOrigin(NamedTuple):
    """The suspended program of the snapshot that a session begins with, and the rule for its further calls."""

    suspension: dict[str, Any]
    rule: SuspendRule | None

    @classmethod
    def of(cls, run: RunState, *, timeless: bool) -> "SuspendedOrigin":
        """Return what a suspended run is, as a value; ``timeless`` leaves out all times."""
        return cls(run_as_plain(run, timeless=timeless), None if run.waiting is None else run.waiting.rule)


def run_as_plain(run: RunState, *, timeless: bool = False) -> dict[str, Any]:
    """Return all it takes to continue the run elsewhere; ``timeless`` leaves out all times."""
    waiting = run.waiting
    assert waiting is not None
    return {
        "limits": {name: getattr(run.limits, name) for name in LIMITS},
        "carried": list(run.carried._replace(wall=0.0) if timeless else run.carried),
        "stdout": run.stdout.content(),
        "stderr": run.stderr.content(),
        "held": [
            [held.id, held.frame, held.needs_approval, held.line, held.mark or None if timeless else held.since]
            for held in waiting.held.values()
        ],
        "undelivered": list(waiting.undelivered),
        "next_id": waiting.next_id,
        "every": waiting.every,
        "paused": run.interrupted_step is not None,
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
    try:
        held_calls = [_held(row, waiting, run.memory) for row in _expect(list, plain["held"])]
    finally:
        run.rest()
    waiting.held = {held.id: held for held in held_calls}
    if len(waiting.held) != len(plain["held"]):
        # Of two of them one would wait, and both would be shown to whoever approves it.
        raise ValueError("two calls with one number")
    waiting.undelivered = [_expect(bytes, item) for item in _expect(list, plain["undelivered"])]
    waiting.next_id = plain["next_id"]
    waiting.mark = next((held.mark for held in waiting.held.values()), "")
    run.calls = [held.record for held in waiting.held.values()]
    if _expect(bool, plain.get("paused", False)):
        # The rest of a step is one of its own: what came before it is in the memory.
        run.interrupted_step = InterruptedStep(b"", ([], 0))
    elif not waiting.held:
        raise ValueError("no call waits")
    if not is_id(waiting.next_id) or waiting.next_id <= max(waiting.held, default=0):
        raise ValueError("the next call has no number")
    return run


def _limits(bounds: dict[str, Any], memory: int) -> Limits:
    # A limit that is newer than the snapshot has its default.
    if LIMITS.keys() - bounds.keys() - {"host_memory"}:
        raise ValueError("limits that are not all there")
    limits = Limits(**bounds)
    return limits if limits.memory == memory else limits.replace(memory=memory)


def _carried(row: list[Any]) -> Usage:
    usage = Usage(*row)
    counts = [_expect(int, count) for count in (usage.fuel or 0, usage.memory_peak, usage.output_bytes, usage.calls)]
    if min(*counts, _expect(float, usage.wall)) < 0:
        raise ValueError("less than nothing was used")
    return usage


def _held(row: Any, waiting: PendingCalls, memory: HostMemory) -> PendingCall:
    id_, frame, approval, line, since = _expect(list, row)
    cost = _cost(_expect(bytes, frame), memory)
    call = parse_call(frame)
    if not isinstance(call, Call | Start):
        raise TypeError("a frame that is no call")
    record = ToolCallRecord(call.name, call.args, call.kwargs, started=now())
    record.charge += cost
    needs_approval = _expect(bool, approval) or waiting.needs_approval(call.name)
    if not is_id(id_):
        raise ValueError("a call without a number")
    line = None if line is None else known_line(_expect(int, line))
    mark, since = (_mark(since), None) if type(since) is str else ("", since)
    return PendingCall(id_, call, frame, record, needs_approval, _since(since), line, mark)


def _cost(frame: bytes, memory: HostMemory) -> int:
    """Return what a call that waits is counted for."""
    try:
        cost = memory.measure(frame)[0] + len(frame)
        memory.add(cost)
    except StopRun as stop:
        raise ValueError("calls that take more of the host's memory than its limit") from stop
    return cost


def _mark(text: str) -> str:
    if not _MARK.fullmatch(text):
        raise ValueError("a mark of a run that none has")
    return text


def _since(moment: Any) -> float:
    """Return a moment that is not in the future, whatever the other machine's clock said; now if it is not known."""
    if moment is None:
        return time.time()
    if not _expect(float, moment) >= 0:
        raise ValueError("a time before 1970")
    return float(min(moment, time.time()))


def _expect(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"a {type(value).__name__} instead of a {kind.__name__}")
    return value


class Answers(NamedTuple):
    """Answers by the ids of calls, in the four kinds that there are."""

    values: Mapping[int, Any] = {}
    errors: Mapping[int, BaseException] = {}
    approve: Iterable[int] | Mapping[int, Any] = ()
    deny: Mapping[int, str] = {}


GivenAnswers = dict[int, Answer] | None
"""The answers with which a program is resumed, by the ids of its calls; None for a paused one, which takes none."""


def checked_answers(
    asked: Answers, held: Mapping[int, PendingCall], limits: Limits, *, paused: bool = False
) -> GivenAnswers:
    """Return the answers.

    Raises ConfigurationError for ids that do not wait, or are given twice, or not at all, and for a value where leave
    is waited for; TypeError or ValueError for a value that cannot cross.
    """
    _check_shapes(asked)
    if paused:
        if any(map(len, map(list, asked))):
            raise ConfigurationError("id", "the program is paused and waits for no answer: resume() lets it continue")
        return None
    answers: dict[int, Answer] = {}
    for id_, answer in _each_answer(asked, held):
        if id_ in answers:
            raise ConfigurationError("id", f"call {id_} is answered twice")
        if isinstance(answer, GiveValue):
            value_reply(answer.value, id=id_, limit=limits.result)
        answers[id_] = answer
    if not answers:
        raise ConfigurationError("id", f"nothing is answered: {_list(held)} waits")
    return answers


def _each_answer(asked: Answers, held: Mapping[int, PendingCall]) -> Iterator[tuple[int, Answer]]:
    for id_, value in asked.values.items():
        if _find(id_, held).needs_approval:
            how = f"approve({id_}) calls it, deny({id_}, reason) refuses"
            raise ConfigurationError("id", f"call {id_} waits for approval, and not for a value: {how}")
        yield id_, GiveValue(value)
    for id_, error in asked.errors.items():
        yield _find(id_, held).id, RaiseError(_error(error))
    ids: Any = asked.approve
    edits: dict[int, Any] = dict(ids) if issubclass(type(ids), Mapping) else {}
    for id_ in asked.approve:
        yield _find(id_, held).id, MakeCall(_edited(edits.get(id_)))
    for id_, reason in asked.deny.items():
        yield id_, RaiseError(CallDenied(_find(id_, held).call.name, _reason(reason)))


def _check_shapes(asked: Answers) -> None:
    for field in ("values", "errors", "deny"):
        given: object = getattr(asked, field)
        if not isinstance(given, Mapping):
            problem = f"a {type(given).__name__} does not say which call gets what: write {{1: ...}}, by the calls' ids"
            raise ConfigurationError(field, problem)
    _check_ids(asked.approve)


def _check_ids(ids: object) -> None:
    if not isinstance(ids, Iterable):
        raise ConfigurationError("approve", f"{ids!r:.40} is not a list of ids: write [{ids!r:.40}]")


def _find(id_: object, held: Mapping[int, PendingCall]) -> PendingCall:
    if type(id_) is not int or id_ not in held:
        raise ConfigurationError("id", f"no call has the id {id_!r:.40}: {_list(held)} waits")
    return held[id_]


def _reason(reason: object) -> str:
    if not isinstance(reason, str):
        raise ConfigurationError("deny", f"a reason is text, and not a {type(reason).__name__}: write some, or ''")
    return reason


def _edited(arguments: Any) -> dict[str, Any] | None:
    """Return the arguments that take the place of the program's, by name: a copy; None for its own."""
    if arguments is None:
        return None
    if not issubclass(type(arguments), Mapping) or not all(type(name) is str for name in arguments):
        problem = f"edited arguments are a dict by name, and not a {type(arguments).__name__}: None leaves them as sent"
        raise ConfigurationError("approve", problem)
    return dict(arguments)


def _error(error: object) -> BaseException:
    if not isinstance(error, BaseException):
        raise ConfigurationError("error", f"a {type(error).__name__} is not an exception: pass ValueError('...')")
    return error


def _list(held: Mapping[int, PendingCall]) -> str:
    return ", ".join(f"{each.id} ({each.call.name})" for each in held.values())
