"""Calls that wait for leave, through policies, in the real guest."""

from typing import Any

import pytest

from cloche import GuestException, Result, Sandbox, Suspended, tool
from cloche.host_tools import call_id
from cloche.host_tools.call_log import MemoryLog
from cloche.host_tools.policy import GuardedTools, PlannedCall, Policy, at_most

PAID: list[int] = []


@pytest.fixture(autouse=True)
def nothing_paid() -> None:
    PAID.clear()


@tool(approval=True)
def pay(amount: int) -> str:
    """Pay."""
    PAID.append(amount)
    return f"paid {amount}"


def stopped(now: "Result[Any] | Suspended") -> Suspended:
    assert isinstance(now, Suspended), now
    return now


def exception(result: object) -> GuestException:
    assert isinstance(result, Result)
    assert isinstance(result.error, GuestException), result
    return result.error


def test_a_guarded_call_waits_and_is_recorded_when_it_is_made() -> None:
    log = MemoryLog()
    with Sandbox(tools=GuardedTools([pay], log=log)).session() as session:
        paused = stopped(session.start("pay(3)"))
        assert (PAID, log.records, paused.calls[0].needs_approval) == ([], [], True)
        result = paused.approve(1)
    assert isinstance(result, Result)
    assert result.value == "paid 3"
    assert [(record.outcome, record.arguments) for record in log.records] == [("returned", {"amount": 3})]


def test_a_guarded_call_is_not_made_where_it_cannot_wait() -> None:
    error = exception(Sandbox(tools=GuardedTools([pay])).run("pay(3)"))
    assert (error.type_name, PAID) == ("CannotSuspendHere", [])


def test_what_a_policy_forbids_needs_no_approval() -> None:
    tools = GuardedTools([pay], {"pay": Policy(arguments={"amount": at_most(5)})})
    with Sandbox(tools=tools).session() as session:
        error = exception(session.start("pay(6)"))
    assert (error.type_name, PAID) == ("PermissionError", [])
    assert "at most 5" in error.message


def test_a_policy_that_became_stricter_meanwhile_holds() -> None:
    most = 10

    def judge(call: PlannedCall) -> bool:
        return bool(call.arguments["amount"] <= most)

    with Sandbox(tools=GuardedTools([pay], {"pay": Policy(check=judge)})).session() as session:
        paused = stopped(session.start("pay(7)"))
        most = 5
        assert exception(paused.approve(1)).type_name == "PermissionError"
    assert PAID == []


def test_a_snapshot_is_approved_under_the_policies_of_whoever_restores_it() -> None:
    with Sandbox(tools=[pay]).session() as session:
        snapshot = stopped(session.start("pay(7)")).snapshot()
    tools = GuardedTools([pay], {"pay": Policy(arguments={"amount": at_most(5)})})
    with Sandbox(tools=tools).restore(snapshot) as session:
        assert session.suspended is not None
        assert exception(session.suspended.approve(1)).type_name == "PermissionError"
    assert PAID == []


@pytest.mark.parametrize("guarded", [False, True])
def test_an_approved_call_has_one_id_in_every_copy_of_its_session(guarded: bool) -> None:
    seen: list[str] = []

    @tool(approval=True)
    def order(item: str) -> str:
        """Order it."""
        seen.append(call_id())
        return item

    tools: Any = GuardedTools([order]) if guarded else [order]
    box = Sandbox(tools=tools)
    with box.session() as session:
        paused = stopped(session.start("order('bell'), order('glass')"))
        snapshot = paused.snapshot()
        again = stopped(paused.approve(1))
        again.approve(2)
    with box.restore(snapshot) as copy:
        assert copy.suspended is not None
        copy.suspended.approve(1)
    with box.session() as other:
        stopped(other.start("order('bell')")).approve(1)
    assert len(seen) == 4
    assert seen[0] == seen[2] != ""
    assert len(set(seen)) == 3


def test_in_a_session_that_repeats_a_call_keeps_its_id_when_it_is_restored() -> None:
    seen: list[str] = []

    @tool(approval=True)
    def order(item: str) -> str:
        """Order it."""
        seen.append(call_id())
        return item

    box = Sandbox(tools=[order], seed=7, clock=0.0)
    with box.session() as session:
        paused = stopped(session.start("order('bell')"))
        first = paused.snapshot()
        paused.approve(1)
        stopped(session.start("order('bell')")).approve(1)
    with box.restore(first) as copy:
        assert copy.suspended is not None
        # Saved once more, it is the same to the last byte.
        assert bytes(copy.snapshot()) == bytes(first)
        copy.suspended.approve(1)
    assert seen[0] == seen[2] != seen[1]
    with box.session() as other:
        assert bytes(stopped(other.start("order('bell')")).snapshot()) == bytes(first)
