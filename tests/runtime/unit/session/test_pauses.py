"""Suspended programs over a machine that is none: who waits, who answers, and what is kept."""

from typing import Any

import pytest
from tests.runtime.unit.session.fake import PAGE, FakeMachine, FakeSource

from cloche.runtime.dispatch import NoTools, UnknownTool
from cloche.runtime.errors import (
    ConfigurationError,
    GuestCrashed,
    GuestException,
    NotSuspended,
    ProtocolError,
    SessionBusy,
    SessionClosed,
    SessionSuspended,
    SnapshotCorrupt,
)
from cloche.runtime.limits import Limits
from cloche.runtime.machine_api import Handlers
from cloche.runtime.result import Result
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.pauses import run_from_plain
from cloche.runtime.session.session import Outcome, Session, Suspended
from cloche.runtime.snapshots.snapshot import Snapshot

SIZE = 1 << 16


class WholePages(FakeSource):
    """Machines with a memory of a size that a snapshot may have."""

    caps: dict[str, int] | None = None
    min_memory = SIZE

    def new(self, handlers: Handlers, memory_limit: int) -> FakeMachine:
        machine = FakeMachine(handlers, SIZE)
        self.machines.append(machine)
        return machine

    def pristine(self) -> memoryview:
        memory = bytearray(SIZE)
        memory[: 4 * PAGE] = super().pristine()
        return memoryview(memory).toreadonly()


class Using(WholePages):
    """Machines of another class."""

    def __init__(self, kind: type[FakeMachine]) -> None:
        super().__init__()
        self._kind = kind

    def new(self, handlers: Handlers, memory_limit: int) -> FakeMachine:
        return self._kind(handlers, SIZE)


class Tools(NoTools):
    """``ask`` waits, ``pay`` needs approval and takes a number, ``now`` is called at once."""

    def __init__(self) -> None:
        self.paid: list[list[Any]] = []

    def is_async(self, name: str) -> bool:
        return False

    def any_suspends(self) -> bool:
        return True

    def suspends(self, name: str) -> bool:
        return name in ("ask", "pay")

    def needs_approval(self, name: str) -> bool:
        return name == "pay"

    def check(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        if name not in ("ask", "pay", "now"):
            raise UnknownTool(name)
        if name == "pay" and not str(args[0]).isdigit():
            raise TypeError("pay(): a number is wanted")

    def call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        self.check(name, args, kwargs)
        self.paid.append(args)
        return f"{name} {args}"


@pytest.fixture
def tools() -> Tools:
    return Tools()


@pytest.fixture
def source() -> FakeSource:
    return WholePages()


@pytest.fixture
def box(source: FakeSource, tools: Tools) -> Sandbox:
    return Sandbox(tools=tools, source=source)


@pytest.fixture
def session(box: Sandbox) -> Session:
    return box.session()


def start(session: Session, code: str, **how: Any) -> Any:
    paused = session.start(code, **how)
    assert isinstance(paused, Suspended)
    return paused


def ended(outcome: Outcome) -> Result[Any]:
    assert isinstance(outcome, Result)
    return outcome


def test_a_call_waits_and_gets_its_value(session: Session) -> None:
    paused: Suspended = start(session, "call ask,1")
    (call,) = paused.calls
    assert (call.id, call.name, call.args, call.kwargs, call.line, call.needs_approval) == (
        1,
        "ask",
        ["1"],
        {},
        7,
        False,
    )
    assert session.suspended is paused
    result = ended(paused.resume({1: "yes"}))
    assert session.suspended is None
    assert result.value == [[0, "yes"]]
    assert [record.outcome for record in result.calls] == ["returned"]


def test_a_program_without_waiting_calls_just_ends(session: Session) -> None:
    assert ended(session.start("set a=1")).ok
    assert session.get("a") == "1"
    assert ended(session.start("call now,1")).value == "now ['1']"


def test_an_error_is_raised_in_the_guest(session: Session) -> None:
    assert start(session, "call ask,1").resume_error(1, KeyError("k")).value == [[1, "KeyError", "'k'"]]


def test_approval_calls_the_tool_with_what_the_guest_sent(session: Session, tools: Tools) -> None:
    paused = start(session, "call pay,5")
    assert paused.calls[0].needs_approval
    paused.calls[0].args[0] = "5000"
    assert tools.paid == []
    assert paused.approve(1).value == [[0, "pay ['5']"]]
    assert tools.paid == [["5"]]


def test_denial_reaches_the_guest_with_its_reason(session: Session, tools: Tools) -> None:
    assert start(session, "call pay,5").deny(1, "too much").value == [
        [1, "PermissionError", "pay() is not allowed: too much"]
    ]
    assert start(session, "call pay,5").deny(1).value == [[1, "PermissionError", "pay() is not allowed"]]
    assert tools.paid == []


def test_wrong_arguments_are_not_waited_for(session: Session) -> None:
    result: Any = session.start("call pay,x")
    assert isinstance(result.error, GuestException)
    assert result.error.message == "pay(): a number is wanted"


def test_an_approved_call_is_checked_once_more(session: Session, tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    paused = start(session, "call pay,5")

    def refuse(*_: Any) -> None:
        raise UnknownTool("pay")

    monkeypatch.setattr(tools, "check", refuse)
    assert paused.approve(1).value == [[1, "NameError", "no tool is named 'pay'"]]


@pytest.mark.parametrize(
    ("values", "message"),
    [({2: 1}, "no call has the id 2"), ({True: 1}, "no call has the id True"), ({}, "nothing is answered")],
)
def test_answers_to_unknown_calls(session: Session, values: Any, message: str) -> None:
    paused = start(session, "call ask,1")
    with pytest.raises(ConfigurationError, match=message):
        paused.resume(values)
    assert paused.resume({1: 2}).value == [[0, 2]]


def test_answers_that_do_not_fit(session: Session) -> None:
    paused = start(session, "call pay,1")
    with pytest.raises(ConfigurationError, match="waits for approval"):
        paused.resume({1: True})
    with pytest.raises(ConfigurationError, match="answered twice"):
        paused.resume(approve=[1], deny={1: "no"})
    with pytest.raises(ConfigurationError, match="not an exception"):
        paused.resume(errors={1: "text"})  # pyright: ignore[reportArgumentType]
    assert paused.approve(1).ok
    paused = start(session, "call ask,1")
    with pytest.raises(TypeError, match="result"):
        paused.resume({1: object()})
    assert paused.resume({1: None}).ok


def test_several_calls_are_answered_together_or_one_by_one(session: Session) -> None:
    paused = start(session, "start ask,1;pay,2;ask,3;now,4")
    assert [(call.id, call.name) for call in paused.calls] == [(1, "ask"), (2, "pay"), (3, "ask")]
    rest = paused.resume({3: "c"}, deny={2: "no"})
    assert isinstance(rest, Suspended)
    assert [call.id for call in rest.calls] == [1]
    value = ended(rest.resume({1: "a"})).value
    assert value == [[0, "c"], [1, "PermissionError", "pay() is not allowed: no"], [0, "a"]]


def test_a_rule_decides_by_name_and_arguments(session: Session) -> None:
    def rule(name: str, args: list[Any], kwargs: dict[str, Any]) -> bool:
        return name == "now" and args == ["2"]

    ended: Any = session.start("call now,1", suspend=rule)
    assert ended.value == "now ['1']"
    paused = start(session, "call now,2", suspend=rule)
    assert paused.approve(1).value == [[0, "now ['2']"]]


def test_a_rule_that_fails_is_the_callers_own(session: Session) -> None:
    def rule(name: str, args: list[Any], kwargs: dict[str, Any]) -> bool:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        session.start("call now,1", suspend=rule)
    assert session.run("pass").ok


def test_step_stops_at_every_call(session: Session) -> None:
    assert [call.name for call in start(session, "start now,1;now,2", step=True).calls] == ["now", "now"]


@pytest.mark.parametrize("way", ["run", "box"])
def test_run_does_not_wait(box: Sandbox, session: Session, way: str) -> None:
    result = session.run("call ask,1") if way == "run" else box.run("call ask,1")
    assert isinstance(result.error, GuestException)
    assert result.error.type_name == "CannotSuspendHere"
    assert "session.start()" in result.error.message


def test_the_session_is_taken_while_a_program_waits(session: Session) -> None:
    paused = start(session, "call ask,1")
    for use in (lambda: session.run("pass"), lambda: session.get("a"), lambda: session.start("pass")):
        with pytest.raises(SessionSuspended, match=r"waits for ask\(\) \(call 1\)"):
            use()
    assert issubclass(SessionSuspended, SessionBusy)
    assert "suspended" in repr(session)
    assert paused.resume({1: 1}).ok
    assert session.run("pass").ok


def test_it_goes_on_once(session: Session) -> None:
    paused = start(session, "call ask,1")
    assert paused.resume({1: 1}).ok
    for again in (lambda: paused.resume({1: 1}), paused.cancel):
        with pytest.raises(NotSuspended):
            again()


def test_cancel_goes_back_to_the_beginning(session: Session) -> None:
    session.run("set a=1")
    start(session, "start ask,1").cancel()
    assert session.get("a") == "1"
    with pytest.raises(GuestException):
        session.get("waiting")


def test_cancel_without_rollback_ends_the_session(box: Sandbox) -> None:
    session = box.session(rollback=False)
    start(session, "call ask,1").cancel()
    with pytest.raises(SessionClosed, match="was cancelled"):
        session.run("pass")


def test_a_closed_session_resumes_nothing(session: Session) -> None:
    paused = start(session, "call ask,1")
    session.close()
    with pytest.raises(SessionClosed):
        paused.resume({1: 1})


def test_a_crash_after_resuming_goes_back_to_the_beginning(session: Session) -> None:
    session.run("set a=1")
    result = start(session, "call ask,1").resume({1: "trap"})
    assert isinstance(result.error, GuestCrashed)
    assert result.rolled_back
    assert session.suspended is None
    assert session.get("a") == "1"
    assert start(session, "call ask,1").resume({1: 1}).value == [[0, 1]]


def test_limits_count_on(box: Sandbox, source: FakeSource) -> None:
    session = box.session(limits=Limits(fuel=1_000))
    paused = start(session, "call ask,1")
    assert paused.usage.fuel == 10
    paused.resume({1: 1})
    assert source.machines[0].fuel == 1_000 - 20


def test_what_was_used_is_counted_once(session: Session) -> None:
    result = start(session, "call ask,1").resume({1: 1})
    assert (session.spent.fuel, session.spent.calls, session.spent.runs) == (result.usage.fuel, 1, 1) == (20, 1, 1)


FORGED = {"a call that was not made": "920191920907", "no call": "920190"}


@pytest.mark.parametrize("frame", FORGED.values(), ids=FORGED)
def test_forged_suspensions(session: Session, frame: str) -> None:
    result: Any = session.start(f"answer {frame}")
    assert isinstance(result.error, ProtocolError)
    assert session.run("pass").ok


def test_other_ids_than_those_that_wait() -> None:
    # A call of ask() is made and held; the suspension then names call 9.
    class Forging(FakeMachine):
        def suspended(self, ids: list[int]) -> Any:
            return [1, [[9, None]]]

    forging = Sandbox(tools=Tools(), source=Using(Forging)).session()
    assert isinstance(ended(forging.start("call ask,1")).error, ProtocolError)


def test_a_snapshot_has_the_program(box: Sandbox, session: Session, tools: Tools) -> None:
    session.run("print before")
    paused = start(session, "start ask,1;pay,2")
    other = box.restore(bytes(paused.snapshot())).suspended
    assert other is not None
    assert other.calls == paused.calls
    assert other.usage == paused.usage
    assert ended(other.resume({1: "x"}, approve=[2])).value == paused.resume({1: "x"}, approve=[2]).value
    assert tools.paid == [["2"], ["2"]]


def test_approval_stays_needed_where_the_tool_needs_none(source: FakeSource, session: Session) -> None:
    class Lax(Tools):
        def needs_approval(self, name: str) -> bool:
            return False

    snapshot = start(session, "call pay,5").snapshot()
    paused = Sandbox(tools=Lax(), source=source).restore(snapshot).suspended
    assert paused is not None
    with pytest.raises(ConfigurationError, match="waits for approval"):
        paused.resume({1: "paid, honestly"})


def test_forks_can_be_answered_differently(session: Session) -> None:
    start(session, "call ask,1")
    one, two = session.fork(2)
    for fork, value in ((one, "a"), (two, "b")):
        assert fork.suspended is not None
        assert ended(fork.suspended.resume({1: value})).value == [[0, value]]
    assert session.suspended is not None


def test_a_crash_after_restoring_goes_back_to_the_snapshot(box: Sandbox, session: Session) -> None:
    again = box.restore(start(session, "call ask,1").snapshot())
    assert again.suspended is not None
    assert ended(again.suspended.resume({1: "trap"})).rolled_back
    assert again.suspended is not None
    assert ended(again.suspended.resume({1: "fine"})).value == [[0, "fine"]]
    assert again.suspended is None


def suspension(session: Session) -> dict[str, Any]:
    facts = Snapshot.from_bytes(bytes(start(session, "call ask,1").snapshot())).facts
    assert facts.suspension is not None
    return facts.suspension


EDITS: dict[str, Any] = {
    "held": [[], None, [[1]], [[1, b"", False, None]], [["1", b"\x94\x00\xa1f\x90\x80", False, None]], {}],
    "limits": [None, {}, {"fuel": "x"}, {"nonsense": 1}],
    "carried": [None, [], [-1, 0.0, 0, 0, 0], [0, "x", 0, 0, 0]],
    "stdout": [None, "text"],
    "undelivered": [None, ["x"]],
    "next_id": [None, 1, "2"],
    "every": [None, 1],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in EDITS.items() for value in values])
def test_edited_suspensions_are_refused(session: Session, tools: Tools, name: str, value: Any) -> None:
    good = suspension(session)
    run_from_plain(good, tools, 1 << 28, None)
    with pytest.raises(SnapshotCorrupt, match="suspended program"):
        run_from_plain(good | {name: value}, tools, 1 << 28, None)
    with pytest.raises(SnapshotCorrupt):
        run_from_plain({key: good[key] for key in good if key != name}, tools, 1 << 28, None)
