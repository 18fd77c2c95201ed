"""Tools that wait for an approval, under policies: what wraps them must not make their calls at once."""

from collections.abc import Callable
from typing import Any

import pytest

from cloche.agent.toolset import final_answer_tool
from cloche.host_tools import ToolRegistry, ToolRejected, tool
from cloche.host_tools.call_log import MemoryLog
from cloche.host_tools.policy import GuardedTools, PlannedCall, Policy, ToolDenied, at_most
from cloche.runtime.dispatch import Dispatcher, SuspendingDispatcher, UnknownTool, as_suspending

PAID: list[int] = []


@pytest.fixture(autouse=True)
def nothing_paid() -> None:
    PAID.clear()


@tool(approval=True)
def pay(amount: int) -> str:
    """Pay."""
    PAID.append(amount)
    return f"paid {amount}"


@tool(suspend=True)
def ask(question: str) -> str:
    """Ask a person."""
    raise AssertionError("answered by a person only")


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def _again(tools: GuardedTools) -> GuardedTools:
    return GuardedTools(tools)


WRAPPERS: dict[str, Callable[[GuardedTools], Dispatcher]] = {
    "guarded": lambda tools: tools,
    "guarded twice": _again,
    "a registry of guarded tools": ToolRegistry,
    "a copy of one": lambda tools: ToolRegistry(tools).copy(),
}


def suspending(tools: Dispatcher) -> SuspendingDispatcher:
    found = as_suspending(tools)
    assert found is not None
    return found


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_what_waits_still_waits(wrap: Callable[[GuardedTools], Dispatcher]) -> None:
    tools = suspending(wrap(GuardedTools([pay, ask, add])))
    assert tools.any_suspends()
    assert [tools.suspends(name) for name in ("pay", "ask", "add", "nothing")] == [True, True, False, False]
    assert [tools.needs_approval(name) for name in ("pay", "ask", "add", "nothing")] == [True, False, False, False]
    assert not suspending(wrap(GuardedTools([add]))).any_suspends()


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_a_call_that_no_policy_allows_never_waits(wrap: Callable[[GuardedTools], Dispatcher]) -> None:
    log = MemoryLog()
    guarded = GuardedTools([pay], {"pay": Policy(arguments={"amount": at_most(5)})}, log=log)
    tools = suspending(wrap(guarded))
    with pytest.raises(ToolDenied, match="at most 5"):
        tools.check("pay", [6], {})
    with pytest.raises(ToolRejected):
        tools.check("pay", ["much"], {})
    assert [record.outcome for record in log.records] == ["denied", "rejected"]
    tools.check("pay", [5], {})
    assert len(log.records) == 2, "a call that may wait is recorded when it is made"
    assert PAID == []


def test_a_check_of_no_tool() -> None:
    with pytest.raises(UnknownTool):
        GuardedTools([pay]).check("steal", [], {})


def test_calls_are_counted_when_they_are_made() -> None:
    tools = GuardedTools([pay], {"pay": Policy(calls=1)})
    tools.check("pay", [1], {})
    tools.check("pay", [1], {})
    assert tools.call("pay", [1], {}) == "paid 1"
    with pytest.raises(ToolDenied, match="1 time"):
        tools.check("pay", [1], {})


def test_the_approved_call_is_judged_again() -> None:
    verdicts = [True, False]
    seen: list[Any] = []

    def judge(call: PlannedCall) -> bool:
        seen.append(call.arguments["amount"])
        return verdicts.pop(0)

    tools = GuardedTools([pay], {"pay": Policy(check=judge)})
    tools.check("pay", [3], {})
    with pytest.raises(ToolDenied):
        tools.call("pay", [3], {})
    assert (seen, PAID) == ([3, 3], [])


def test_an_answer_that_needs_leave_is_not_given_without() -> None:
    given: list[object] = []
    tools = ToolRegistry([final_answer_tool(None, given.append, pay, blocking=True)])
    assert tools.needs_approval("final_answer")
