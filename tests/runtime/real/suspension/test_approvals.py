"""Approvals, rules, limits and rollback of suspended programs, in the real guest."""

import asyncio
from typing import Any

import pytest

from cloche import (
    ConfigurationError,
    FuelExhausted,
    GuestException,
    Limits,
    OutputExceeded,
    Result,
    Sandbox,
    SessionSuspended,
    Suspended,
    TimeExceeded,
    tool,
)
from cloche.host_tools import ToolRegistry

PAID: list[tuple[str, int]] = []


@tool(approval=True)
def pay(who: str, amount: int = 1) -> str:
    """Pay a person."""
    PAID.append((who, amount))
    return f"paid {amount} to {who}"


@tool(suspend=True)
def ask(question: str) -> str:
    """Ask a person."""
    raise AssertionError("answered by a person only")


@tool(approval=True)
async def mail(to: str) -> str:
    """Send mail."""
    await asyncio.sleep(0)
    return f"sent to {to}"


@tool(blocking=False)
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


BOX = Sandbox(tools=[pay, ask, mail, add])


def stopped(now: "Result[Any] | Suspended") -> Suspended:
    assert isinstance(now, Suspended), now
    return now


def ended(now: "Result[Any] | Suspended") -> Result[Any]:
    assert not isinstance(now, Suspended), now
    return now


@pytest.fixture(autouse=True)
def nothing_paid() -> None:
    PAID.clear()


def test_the_approved_call_is_the_dispatched_call() -> None:
    with BOX.session() as session:
        paused = stopped(session.start("bill = {'who': 'Ann', 'amount': 3}\npay(**bill)"))
        (call,) = paused.calls
        assert (call.name, call.args, call.kwargs, call.line) == ("pay", [], {"who": "Ann", "amount": 3}, 2)
        call.kwargs["amount"] = 3_000
        assert ended(paused.approve(1)).value == "paid 3 to Ann"
        assert PAID == [("Ann", 3)]


def test_denial_can_be_caught() -> None:
    code = "try:\n    pay('Bob', 9)\nexcept PermissionError as e:\n    said = str(e)\nsaid"
    with BOX.session() as session:
        assert ended(stopped(session.start(code)).deny(1, "too much")).value == "pay() is not allowed: too much"
        uncaught = ended(stopped(session.start("1 + 1\npay('Bob')")).deny(1))
        assert isinstance(uncaught.error, GuestException)
        assert (uncaught.error.type_name, uncaught.error.line) == ("PermissionError", 2)
        assert PAID == []


def test_wrong_arguments_cannot_be_approved() -> None:
    with BOX.session() as session:
        result = ended(session.start("pay('Ann', 'lots')"))
        assert isinstance(result.error, GuestException)
        assert "pay(): argument 'amount'" in result.error.message
        assert isinstance(ended(session.start("pay()")).error, GuestException)


def test_a_tool_that_is_gone_is_not_called() -> None:
    with BOX.session() as session:
        snapshot = stopped(session.start("pay('Ann')")).snapshot()
    again = stopped(Sandbox(tools=[add]).restore(snapshot).suspended)  # type: ignore[arg-type]
    assert str(ended(again.approve(1)).error) == "NameError: no tool is named 'pay' (line 1)"


def test_answers_of_all_kinds_at_once() -> None:
    code = (
        "import asyncio\n"
        "await asyncio.gather(asyncio.to_thread(ask, 'q'), mail('Eve'), asyncio.to_thread(pay, 'Dan'),\n"
        "    asyncio.to_thread(ask, 'r'), asyncio.to_thread(add, 1, 2), return_exceptions=True)"
    )
    with BOX.session() as session:
        paused = stopped(session.start(code))
        ids = {(call.name, *call.args): call.id for call in paused.calls}
        assert set(ids) == {("ask", "q"), ("mail", "Eve"), ("pay", "Dan"), ("ask", "r")}
        with pytest.raises(ConfigurationError, match="waits for approval"):
            paused.resume({ids["pay", "Dan"]: "paid, honestly"})
        rest = stopped(paused.resume({ids["ask", "q"]: "yes"}, deny={ids["pay", "Dan"]: "no"}))
        result = ended(rest.resume(approve=[ids["mail", "Eve"]], errors={ids["ask", "r"]: ValueError("absent")}))
        first, second, third, fourth, fifth = result.unwrap()
        assert (first, second, fifth) == ("yes", "sent to Eve", 3)
        assert (str(third), str(fourth)) == ("pay() is not allowed: no", "absent")
        assert PAID == []


def test_the_async_twins() -> None:
    async def main() -> list[Any]:
        async with BOX.session() as session:
            paused = stopped(await session.astart("await mail('Eve')"))
            snapshot = await paused.asnapshot()
            values = [ended(await paused.aapprove(1)).value]
            for way in ("aresume", "aresume_error", "adeny"):
                box_session = BOX.restore(snapshot)
                other = stopped(box_session.suspended)  # type: ignore[arg-type]
                if way == "aresume":
                    values.append(ended(await other.aresume(approve=[1])).value)
                elif way == "aresume_error":
                    values.append(str(ended(await other.aresume_error(1, ValueError("v"))).error))
                else:
                    values.append(str(ended(await other.adeny(1, "no")).error))
            return values

    assert asyncio.run(main()) == [
        "sent to Eve",
        "sent to Eve",
        "ValueError: v (line 1)",
        "PermissionError: mail() is not allowed: no (line 1)",
    ]


def test_run_never_waits() -> None:
    for result in (BOX.run("pay('Ann')"), BOX.run("await mail('Eve')")):
        assert isinstance(result.error, GuestException)
        assert result.error.type_name == "CannotSuspendHere"
    assert PAID == []


def test_no_trick_calls_a_tool_without_leave() -> None:
    code = (
        "import _cloche\nfrom cloche_guest.values import encode, decode\n"
        "frames = [[0, 'pay', ['Ann', 1], {}], [1, 5, 'pay', ['Ann', 1], {}]]\n"
        "replies = [decode(_cloche.call(encode(frame))) for frame in frames]\n"
        "replies.append(decode(_cloche.call(encode([5, 1]))))\nreplies.append(decode(_cloche.call(encode([5, 2]))))\n"
        "replies"
    )
    with BOX.session() as session:
        assert ended(session.start(code)).value == [[2, 1], [2, 2], [0, None], [0, None]]
    assert PAID == []


def test_a_limit_counts_what_came_before_the_stop() -> None:
    limits = Limits(fuel=300_000_000, output=20)
    with BOX.session(limits=limits) as session:
        session.run("kept = 1")
        spin = "for i in range({}): pass\nask('q')\nfor i in range({}): pass\n'end'"
        paused = stopped(session.start(spin.format(300_000, 10)))
        assert paused.usage.fuel is not None
        assert ended(paused.resume({1: "x"})).value == "end"
        result = ended(stopped(session.start(spin.format(300_000, 10_000_000))).resume({1: "x"}))
        assert isinstance(result.error, FuelExhausted)
        assert result.rolled_back
        printed = ended(stopped(session.start("print('0123456789')\nask('q')\nprint('0123456789')")).resume({1: "x"}))
        assert isinstance(printed.error, OutputExceeded)
        assert session.run("kept").value == 1


def test_waiting_takes_no_time_and_the_rest_does() -> None:
    with BOX.session(limits=Limits(time=0.5)) as session:
        paused = stopped(session.start("ask('q')\nimport time\ntime.sleep(5)"))
        result = ended(paused.resume({1: "x"}))
        assert isinstance(result.error, TimeExceeded)
        assert session.run("1").value == 1


def test_timers_stand_still_while_it_waits() -> None:
    code = "import asyncio\nasync with asyncio.timeout(0.2):\n    r = await asyncio.to_thread(ask, 'q')\nr"
    with BOX.session() as session:
        paused = stopped(session.start(code))
        asyncio.run(asyncio.sleep(0.3))
        assert ended(paused.resume({1: "in time"})).value == "in time"


def test_other_uses_are_refused_meanwhile_and_files_stay() -> None:
    with BOX.session() as session:
        paused = stopped(session.start("open('/work/f', 'w').write('x')\nask('q')\nopen('/work/f').read()"))
        with pytest.raises(SessionSuspended, match=r"ask\(\) \(call 1\)"):
            session.get_file("/work/f")
        assert ended(paused.resume({1: "x"})).value == "x"
        assert session.get_file("/work/f") == b"x"


def test_forks_go_different_ways() -> None:
    with BOX.session() as session:
        session.run("base = 10")
        stopped(session.start("base + len(ask('q'))"))
        yes, no = session.fork(2)
        assert ended(stopped(yes.suspended).resume({1: "yes"})).value == 13  # type: ignore[arg-type]
        assert ended(stopped(no.suspended).deny(1)).error is not None  # type: ignore[arg-type]
        assert session.suspended is not None


def test_cancel_gives_up_what_it_has_done() -> None:
    with BOX.session() as session:
        session.run("log = [1]")
        stopped(session.start("log.append(2)\nask('q')")).cancel()
        assert session.run("log").value == [1]


def test_background_calls_are_finished_before() -> None:
    @tool
    async def slow(x: int) -> int:
        """Take a moment."""
        await asyncio.sleep(0.05)
        return x

    box = Sandbox(tools=[slow, ask])
    code = (
        "import asyncio\nloop = asyncio.new_event_loop()\ntask = loop.create_task(slow(5))\n"
        "loop.run_until_complete(asyncio.sleep(0))\nanswer = ask('q')\n(answer, loop.run_until_complete(task))"
    )
    with box.session() as session:
        paused = stopped(session.start(code))
        snapshot = paused.snapshot()
        assert ended(paused.resume({1: "a"})).value == ("a", 5)
    again = box.restore(snapshot).suspended
    assert ended(stopped(again).resume({1: "b"})).value == ("b", 5)  # type: ignore[arg-type]


def test_a_tool_that_takes_anothers_place_during_a_run_is_not_called_without_leave() -> None:
    @tool
    def lend(who: str, amount: int = 1) -> str:
        """Pay a person, for the time being without approval."""
        return "lent"

    @tool
    def forbid() -> None:
        """From now on a person is asked."""
        tools["lend"] = pay

    tools = ToolRegistry([lend, forbid])
    result = Sandbox(tools=tools).run("first = lend('Ann')\nforbid()\nlend('Bob')")
    assert isinstance(result.error, GuestException)
    assert (result.error.type_name, result.error.line) == ("CannotSuspendHere", 3)
    assert [call.outcome for call in result.calls] == ["returned", "returned", "raised"]
    assert PAID == []
