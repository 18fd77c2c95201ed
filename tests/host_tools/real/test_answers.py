"""Calls that were answered from outside leave the records that others leave, and pass the same masks."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloche import GuestException, Limits, Result, Sandbox, Suspended, Tool, tool
from cloche.host_tools import ToolRegistry
from cloche.host_tools.call_log import CallLog, CallRecord, JsonLinesLog, MemoryLog, SQLiteLog, read_json_lines
from cloche.host_tools.policy import GuardedTools, Policy, Scope

HERE = Path(__file__).parent


@tool(approval=True)
def pay(amount: int, card: str = "4000-1234") -> str:
    """Pay."""
    return f"paid {amount} with {card}"


@tool(suspend=True)
def ask(question: str, secret: str = "hush-hush") -> Any:
    """Ask a person."""
    raise AssertionError("answered by a person only")


@tool(suspend=True)
async def ask_later(question: str) -> Any:
    """Ask a person."""
    raise AssertionError("answered by a person only")


@tool
def add(a: int, b: int = 1) -> int:
    """Add."""
    return a + b


def shout(value: Any) -> Any:
    """A mask: what comes back is in upper case, and bad words do not."""
    if value == "bad":
        raise ValueError("not this one")
    return value.upper() if isinstance(value, str) else value


POLICIES = {
    "pay": Policy(redact=["card"], mask=shout),
    "ask": Policy(redact=["secret"], mask=shout),
    "ask_later": Policy(mask=shout),
    "add": Policy(mask=lambda value: value * 100),
}
TOOLS: list[Tool] = [pay, ask, ask_later, add]
Read = Callable[[], list[CallRecord]]


@pytest.fixture(params=["memory", "json lines", "sqlite"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[CallLog, Read]:
    """A log and what reads it."""
    if request.param == "memory":
        memory = MemoryLog()
        return memory, lambda: memory.records
    if request.param == "json lines":
        return JsonLinesLog(tmp_path / "log.jsonl"), lambda: read_json_lines(tmp_path / "log.jsonl")
    return SQLiteLog(tmp_path / "log.db"), lambda: SQLiteLog(tmp_path / "log.db").records


def stopped(now: "Result[Any] | Suspended") -> Suspended:
    assert isinstance(now, Suspended), now
    return now


def ended(now: "Result[Any] | Suspended") -> Result[Any]:
    assert isinstance(now, Result), now
    return now


def error(now: "Result[Any] | Suspended") -> GuestException:
    error = ended(now).error
    assert isinstance(error, GuestException), now
    return error


def facts(record: CallRecord) -> tuple[Any, ...]:
    return record.tool, record.outcome, record.approval, record.attempts, record.value, record.error


def test_a_value_from_elsewhere_is_masked_and_recorded(kept: tuple[CallLog, Read]) -> None:
    log, read = kept
    with Sandbox(tools=GuardedTools(TOOLS, POLICIES, log=log)).session() as session:
        before = time.time()
        paused = stopped(session.start("ask('which?')"))
        asked = time.time()
        assert read() == [], "nothing came of it so far"
        time.sleep(0.05)
        result = ended(paused.resume({1: "red"}))
    assert (result.value, result.calls[0].value) == ("RED", "RED")
    (record,) = read()
    assert facts(record) == ("ask", "returned", "", 0, "RED", "")
    assert record.arguments == {"question": "which?", "secret": "[redacted]"}
    assert before - 0.01 <= record.time <= asked + 0.01
    assert record.seconds is not None
    assert record.seconds >= 0.04


def test_an_error_from_elsewhere_is_recorded(kept: tuple[CallLog, Read]) -> None:
    log, read = kept
    with Sandbox(tools=GuardedTools(TOOLS, POLICIES, log=log)).session() as session:
        paused = stopped(session.start("ask('which?', secret='rosebud')"))
        raised = error(paused.resume_error(1, LookupError("no rosebud here")))
    assert (raised.type_name, raised.message) == ("LookupError", "no rosebud here")
    (record,) = read()
    assert facts(record) == ("ask", "raised", "", 0, None, "LookupError: no [redacted] here")


def test_what_cannot_be_masked_does_not_pass() -> None:
    log = MemoryLog()
    with Sandbox(tools=GuardedTools(TOOLS, POLICIES, log=log)).session() as session:
        raised = error(stopped(session.start("ask('which?')")).resume({1: "bad"}))
    assert (raised.type_name, raised.message) == (
        "PermissionError",
        "ask() is not allowed: its result could not be masked",
    )
    assert [record.outcome for record in log.records] == ["denied"]


def test_what_was_approved_and_what_was_denied_is_recorded(kept: tuple[CallLog, Read]) -> None:
    log, read = kept
    program = "try:\n    first = pay(3)\nexcept PermissionError as e:\n    first = str(e)\n[first, pay(amount=4)]"
    with Sandbox(tools=GuardedTools(TOOLS, POLICIES, log=log)).session() as session:
        paused = stopped(session.start(program))
        time.sleep(0.05)
        paused = stopped(paused.deny(1, "too dear"))
        time.sleep(0.05)
        result = ended(paused.approve(2))
    assert result.value == ["pay() is not allowed: too dear", "PAID 4 WITH 4000-1234"]
    first, second = read()
    assert facts(first) == ("pay", "denied", "no", 0, None, "CallDenied: pay() is not allowed: too dear")
    assert facts(second) == ("pay", "returned", "yes", 1, "PAID 4 WITH [redacted]", "")
    assert [record.arguments for record in (first, second)] == [
        {"amount": amount, "card": "[redacted]"} for amount in (3, 4)
    ]
    assert all(record.seconds is not None and record.seconds >= 0.04 for record in (first, second))
    assert first.time < second.time


def test_every_call_of_a_program_that_is_stepped_through() -> None:
    log = MemoryLog()
    with Sandbox(tools=GuardedTools(TOOLS, POLICIES, log=log)).session() as session:
        paused = stopped(session.start("[add(1), add(1, b=2)]", step=True))
        result = ended(stopped(paused.approve(1)).resume({2: 5}))
    assert result.value == [200, 500]
    assert [facts(record) for record in log.records] == [
        ("add", "returned", "yes", 1, 200, ""),
        ("add", "returned", "", 0, 500, ""),
    ]
    assert [record.arguments for record in log.records] == [{"a": 1, "b": 1}, {"a": 1, "b": 2}]


def test_calls_that_wait_by_a_rule_and_those_that_do_not() -> None:
    log = MemoryLog()
    with Sandbox(tools=GuardedTools(TOOLS, POLICIES, log=log)).session() as session:
        paused = stopped(session.start("[add(1), add(7)]", suspend=lambda name, args, kwargs: args == [7]))
        assert ended(paused.resume({2: 3} if paused.calls[0].id == 2 else {1: 3})).value == [200, 300]
    assert [facts(record) for record in log.records] == [
        ("add", "returned", "", 1, 200, ""),
        ("add", "returned", "", 0, 300, ""),
    ]


def test_several_that_wait_at_once() -> None:
    log = MemoryLog()
    program = "import asyncio\nawait asyncio.gather(*(ask_later(q) for q in 'ab'), return_exceptions=True)"
    with Sandbox(tools=GuardedTools(TOOLS, POLICIES, log=log)).session() as session:
        paused = stopped(session.start(program))
        result = ended(paused.resume({2: "late"}, deny={1: "no time"}))
    assert result.value is not None
    assert result.value[1] == "LATE"
    assert [(record.arguments["question"], record.outcome, record.approval) for record in log.records] == [
        ("b", "returned", ""),
        ("a", "denied", "no"),
    ]


def test_a_call_that_the_program_gives_up() -> None:
    log = MemoryLog()
    given_up = "t = asyncio.ensure_future(ask_later('x'))\nawait asyncio.sleep(0)\nt.cancel()\nawait asyncio.wait([t])"
    with Sandbox(tools=GuardedTools(TOOLS, {"ask_later": Policy(calls=1)}, log=log)).session() as session:
        assert ended(session.start(f"import asyncio\n{given_up}\nadd(1)")).value == 2
        paused = stopped(session.start("await ask_later('y')"))
        assert ended(paused.resume({1: "yes"})).value == "yes", "the other one was not counted"
    assert [(record.tool, record.outcome) for record in log.records] == [
        ("ask_later", "cancelled"),
        ("add", "returned"),
        ("ask_later", "returned"),
    ]


def test_a_program_that_is_given_up() -> None:
    log = MemoryLog()
    with Sandbox(tools=GuardedTools(TOOLS, POLICIES, log=log)).session() as session:
        stopped(session.start("ask('which?')")).cancel()
        assert session.run("1").value == 1
    (record,) = log.records
    assert facts(record)[:3] == ("ask", "cancelled", "")


def test_a_call_that_waited_counts_once() -> None:
    tools = GuardedTools(TOOLS, {"ask": Policy(calls=2), "pay": Policy(calls=1)})
    with Sandbox(tools=tools, limits=Limits(calls=4)).session() as session:
        with tools.enter(Scope()):
            paused = stopped(session.start("a = ask('1')\nb = pay(2)\nc = ask('3')\nask('4')"))
            paused = stopped(paused.resume({1: "one"}))
            paused = stopped(paused.approve(2))
            assert paused.calls[0].args == ["3"], "one of two so far"
            raised = error(paused.resume({3: "three"}))
            assert raised.message == "ask() is not allowed: one run may call it 2 times, and did"
        assert session.get("c") == "three"
        assert ended(session.run("1")).usage.calls == 0
        with tools.enter(Scope()):
            paused = stopped(session.start("import asyncio\nfor i in range(5): ask(str(i))"))
            paused = stopped(paused.resume({1: 1}))
            assert paused.usage.calls == 2


def test_a_person_cannot_give_more_answers_than_the_policy_has_calls() -> None:
    log = MemoryLog()
    program = (
        "import asyncio\nr = await asyncio.gather(*map(ask_later, 'abc'), return_exceptions=True)\nlist(map(str, r))"
    )
    with Sandbox(tools=GuardedTools(TOOLS, {"ask_later": Policy(calls=2)}, log=log)).session() as session:
        result = ended(stopped(session.start(program)).resume({1: "x", 2: "y", 3: "z"}))
    assert result.value == ["x", "y", "ask_later() is not allowed: one run may call it 2 times, and did"]
    assert [record.outcome for record in log.records] == ["returned", "returned", "denied"]


def test_a_call_without_a_record_does_not_end_well() -> None:
    class Full:
        def write(self, record: CallRecord) -> None:
            raise OSError(28, "no space for records")

    with Sandbox(tools=GuardedTools(TOOLS, log=Full())).session() as session:
        raised = error(stopped(session.start("ask('x')")).resume({1: "red"}))
    assert (raised.type_name, raised.message) == ("OSError", "no space for records")


def test_each_of_several_guards_masks_and_records() -> None:
    inner, outer = MemoryLog(), MemoryLog()
    guarded = GuardedTools(
        GuardedTools(TOOLS, {"ask": Policy(mask=shout)}, log=inner),
        {"ask": Policy(mask=lambda value: f"<{value}>")},
        log=outer,
    )
    for tools in (guarded, ToolRegistry(guarded), ToolRegistry(guarded).copy()):
        with Sandbox(tools=tools).session() as session:
            paused = stopped(session.start("[ask('which?'), pay(3)]"))
            paused = stopped(paused.resume({1: "red"}))
            result = ended(paused.approve(2))
        assert result.value == ["<RED>", "paid 3 with 4000-1234"]
        expected = [("ask", "returned", ""), ("pay", "returned", "yes")]
        for log, value in ((inner, "RED"), (outer, "<RED>")):
            ask_record, pay_record = log.records[-2:]
            assert [facts(record)[:3] for record in (ask_record, pay_record)] == expected
            assert ask_record.value == value


def test_a_tool_that_is_gone_meanwhile() -> None:
    with Sandbox(tools=TOOLS).session() as session:
        snapshot = stopped(session.start("ask('which?')")).snapshot()
    log = MemoryLog()
    box = Sandbox(tools=GuardedTools([add], log=log))
    answers: list[tuple[Callable[[Any], Any], tuple[str, str]]] = [
        (lambda paused: paused.deny(1, "too late"), ("PermissionError", "ask() is not allowed: too late")),
        (lambda paused: paused.resume_error(1, LookupError("gone")), ("LookupError", "gone")),
        (lambda paused: paused.resume({1: "red"}), ("NameError", "no tool is named 'ask'")),
    ]
    for answer, expected in answers:
        raised = error(answer(box.restore(snapshot).suspended))
        assert (raised.type_name, raised.message) == expected, "a value that cannot be masked does not pass"
    assert log.records == []


def test_tools_without_guards_are_answered_as_ever() -> None:
    with Sandbox(tools=ToolRegistry(TOOLS)).session() as session:
        paused = stopped(session.start("[ask('which?'), pay(3)]"))
        assert ended(stopped(paused.resume({1: "red"})).approve(2)).value == ["red", "paid 3 with 4000-1234"]


def elsewhere(data: bytes, answer: str, folder: Path) -> str:
    """Give an answer in another process, with the same tools, policies and logs; return the program's value."""
    (folder / "snapshot").write_bytes(data)
    done = subprocess.run(
        [sys.executable, str(HERE / "answering.py"), str(folder), answer],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("code", "answer", "value", "expected"),
    [
        ("ask('which?')", "value", "RED", ("ask", "returned", "", 0, "RED", "")),
        ("pay(3)", "approve", "PAID 3 WITH 4000-1234", ("pay", "returned", "yes", 1, "PAID 3 WITH [redacted]", "")),
        ("try: pay(3)\nexcept PermissionError as e: x = str(e)\nx", "deny", "pay() is not allowed: too dear",
         ("pay", "denied", "no", 0, None, "CallDenied: pay() is not allowed: too dear")),
        ("try: ask('x')\nexcept LookupError as e: x = str(e)\nx", "error", "gone",
         ("ask", "raised", "", 0, None, "LookupError: gone")),
    ],
)  # fmt: skip
def test_in_another_process(code: str, answer: str, value: str, expected: tuple[Any, ...], tmp_path: Path) -> None:
    with Sandbox(tools=GuardedTools(TOOLS, POLICIES)).session() as session:
        before = time.time()
        snapshot = stopped(session.start(code)).snapshot()
        asked = time.time()
    assert elsewhere(bytes(snapshot), answer, tmp_path) == value
    for records in (read_json_lines(tmp_path / "log.jsonl"), SQLiteLog(tmp_path / "log.db").records):
        (record,) = records
        assert facts(record) == expected
        assert before - 0.01 <= record.time <= asked + 0.01, "when the program stopped, not when it was restored"
        assert record.seconds is not None
        assert record.seconds >= time.time() - asked - 60
        assert "4000" not in str(record.arguments)
        assert "hush" not in str(record.arguments)


def test_a_snapshot_of_a_session_that_repeats_has_no_time_in_it() -> None:
    def once() -> bytes:
        with Sandbox(tools=TOOLS, seed=3, clock="fuel").session() as session:
            return bytes(stopped(session.start("ask('which?')")).snapshot())

    first = once()
    time.sleep(0.01)
    assert once() == first
    log = MemoryLog()
    with Sandbox(tools=GuardedTools(TOOLS, POLICIES, log=log), seed=3, clock="fuel").restore(first) as session:
        assert session.suspended is not None
        began = time.time()
        assert ended(session.suspended.resume({1: "red"})).value == "RED"
    assert log.records[0].time >= began - 5, "since it was restored: nothing else is known"
