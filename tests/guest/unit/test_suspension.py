"""The guest's side of waiting: suspensions asked for, outcomes handed out, and calls given up."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.guest.unit.conftest import FakeHost, Guest

RUN, RESUME, DEFINE, SET, GET = range(1, 6)
Spec = Callable[..., dict[str, Any]]


@pytest.fixture
def waiting(host: "FakeHost", guest: "Guest", tool: Spec, bridge_asyncio: None) -> "FakeHost":
    """A host that has ``ask`` and ``aask`` wait."""
    guest.define(tool("ask", "x"), tool("aask", "x", is_async=True))
    host.waits = {"ask", "aask"}
    host.frames.clear()
    return host


def test_a_plain_call_returns_what_comes(waiting: "FakeHost", guest: "Guest") -> None:
    waiting.requests = [[RESUME, [[1, 0, "yes"]], {}]]
    assert guest.run("1\nask(5)", "<p>") == "yes"
    assert waiting.responses == [[1, [[1, 2]]]]


def test_it_raises_what_comes(waiting: "FakeHost", guest: "Guest") -> None:
    waiting.requests = [[RESUME, [[1, 1, "PermissionError", "no"]], {}]]
    error = guest.fail("ask(5)", "<p>")
    assert (error["type"], error["message"], error["line"]) == ("PermissionError", "no", 1)


def test_output_leaves_before_the_program_is_suspended(waiting: "FakeHost", guest: "Guest") -> None:
    seen: list[str] = []
    suspend = waiting.suspend

    def look(response: bytes) -> bytes | None:
        seen.append(waiting.text())
        return suspend(response)

    waiting.suspend = look  # type: ignore[method-assign]
    waiting.requests = [[RESUME, [[1, 0, None]], {}]]
    guest.run("print('before', end='')\nask(1)")
    assert seen == ["before"]


def test_outcomes_for_others_are_not_mixed_up(waiting: "FakeHost", guest: "Guest") -> None:
    waiting.requests = [[RESUME, [[99, 0, "other"]], {}], [RESUME, [], {}], [RESUME, [[1, 0, "mine"]], {}]]
    assert guest.run("ask(1)") == "mine"
    assert len(waiting.responses) == 3


def test_other_requests_are_answered_meanwhile(waiting: "FakeHost", guest: "Guest") -> None:
    waiting.requests = [[SET, {"a": 5}], [GET, "a"], [RUN, "1", "", {}], [GET, "no"], [RESUME, [[1, 0, "ok"]], {}]]
    assert guest.run("(ask(1), a)") == ("ok", 5)
    first, put, got, refused, missing = waiting.responses
    assert first == [1, [[1, 1]]]
    assert (put, got) == ([0, None, None], [0, 5, None])
    assert "a program is suspended" in refused[2]["message"]
    assert missing[2]["type"] == "NameError"


def test_tools_are_redefined_on_resuming(waiting: "FakeHost", guest: "Guest", tool: Spec) -> None:
    waiting.tools["later"] = lambda: "now"
    waiting.requests = [[RESUME, [[1, 0, 1]], {"tools": [tool("later")]}]]
    assert guest.run("ask(1)\nlater()") == "now"


def test_below_c_it_gives_the_call_up(waiting: "FakeHost", guest: "Guest") -> None:
    error = guest.fail("ask(1)")
    assert error["type"] == "CannotSuspendHere"
    assert waiting.frames[-1] == [5, 1]
    assert waiting.waiting == []
    assert guest.run("try:\n    ask(1)\nexcept RuntimeError as e:\n    name = type(e).__name__\nname") == error["type"]


def test_several_awaited_calls_are_collected(waiting: "FakeHost", guest: "Guest") -> None:
    waiting.requests = [[RESUME, [[2, 0, "b"]], {}], [RESUME, [[1, 0, "a"], [3, 1, "ValueError", "c"]], {}]]
    code = "import asyncio\nawait asyncio.gather(aask(1), aask(2), asyncio.to_thread(ask, 3), return_exceptions=True)"
    first, second, third = guest.run(code)
    assert (first, second, str(third)) == ("a", "b", "c")
    assert [[id_ for id_, _ in calls] for _, calls in waiting.responses] == [[1, 2, 3], [1, 3]]


def test_a_cancelled_call_is_given_up(waiting: "FakeHost", guest: "Guest") -> None:
    code = (
        "import asyncio\nt = asyncio.create_task(aask(1))\nawait asyncio.sleep(0)\nt.cancel()\n"
        "try:\n    await t\nexcept asyncio.CancelledError:\n    pass\n'done'"
    )
    assert guest.run(code) == "done"
    assert waiting.frames[-1] == [5, 1]


def test_what_is_not_awaited_is_given_up_at_the_end(waiting: "FakeHost", guest: "Guest") -> None:
    guest.run("import asyncio\nt = asyncio.create_task(aask(1))\nawait asyncio.sleep(0)")
    assert waiting.waiting == []


MAIN_TASKS = {
    "it has a task": ("t = asyncio.current_task()\nt.get_name(), t.cancelling(), t.done()", ("main", 0, False)),
    "it can be named": ("t = asyncio.current_task()\nt.set_name('x')\nawait asyncio.sleep(0)\nt.get_name()", "x"),
    "a timeout ends it": (
        "try:\n    async with asyncio.timeout(0.01):\n        await asyncio.sleep(9)\n"
        "except TimeoutError:\n    r = 'late'\nr",
        "late",
    ),
    "it can be cancelled": (
        "async def stop(t):\n    t.cancel()\nmain = asyncio.current_task()\ns = asyncio.create_task(stop(main))\n"
        "try:\n    await asyncio.sleep(9)\nexcept asyncio.CancelledError:\n    n = main.uncancel()\nn",
        0,
    ),
    "it can cancel itself": (
        "asyncio.current_task().cancel()\ntry:\n    await asyncio.sleep(0)\n"
        "except asyncio.CancelledError:\n    r = 1\nr",
        1,
    ),
    "a failing group cancels it": (
        "async def bad():\n    raise ValueError('v')\ntry:\n    async with asyncio.TaskGroup() as g:\n"
        "        g.create_task(bad())\n        await asyncio.sleep(9)\nexcept* ValueError:\n    r = 'seen'\nr",
        "seen",
    ),
    "a strange awaitable is an error": (
        "class Odd:\n    def __await__(self):\n        yield 5\ntry:\n    await Odd()\nexcept RuntimeError as e:\n"
        "    r = 'cannot wait for' in str(e)\nr",
        True,
    ),
    "another task sees it end": (
        "seen = []\nasync def other():\n    seen.append(1)\n    await asyncio.sleep(0)\n    seen.append(2)\n"
        "t = asyncio.create_task(other())\nawait t\nseen",
        [1, 2],
    ),
}


@pytest.mark.parametrize(("code", "value"), MAIN_TASKS.values(), ids=MAIN_TASKS)
def test_the_outermost_coroutine_is_a_task(bridge_asyncio: None, guest: "Guest", code: str, value: Any) -> None:
    assert guest.run("import asyncio\nawait asyncio.sleep(0)\n" + code) == value


@pytest.mark.parametrize("way", ["asyncio.run(main())", "await main()"])
def test_both_ways_to_run_a_coroutine(bridge_asyncio: None, guest: "Guest", way: str) -> None:
    code = (
        "import asyncio\nasync def main():\n    await asyncio.sleep(0)\n    return asyncio.current_task() is not None\n"
    )
    assert guest.run(code + way) is True
    failed = guest.fail(code.replace("return", "raise KeyError(").replace("is not None", ")") + way)
    assert failed["type"] == "KeyError"


def test_a_loop_that_is_stopped_says_so(bridge_asyncio: None, guest: "Guest") -> None:
    error = guest.fail("import asyncio\nasyncio.get_running_loop().stop()\nawait asyncio.sleep(9)")
    assert "stopped before" in error["message"]
    assert guest.run("import asyncio\nawait asyncio.sleep(0, 7)") == 7
