"""asyncio over the bridge."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.guest.unit.conftest import FakeHost, Guest

Tool = Callable[..., dict[str, Any]]
CALL, START, WAIT, CANCEL, SLEEP = range(5)

pytestmark = pytest.mark.usefixtures("bridge_asyncio")


@pytest.fixture
def fetch(guest: "Guest", host: "FakeHost", tool: Tool) -> None:
    def answer(x: Any) -> Any:
        if x == "bad":
            raise ValueError("bad x")
        return [x]

    host.tools["fetch"] = host.tools["plain"] = answer
    guest.define(tool("fetch", "x", is_async=True), tool("plain", "x"))
    guest.run("import asyncio")


@pytest.mark.usefixtures("fetch")
def test_an_async_tool_is_a_coroutine_function(guest: "Guest") -> None:
    assert guest.run("import inspect\ninspect.iscoroutinefunction(fetch), inspect.iscoroutinefunction(plain)") == (
        True,
        False,
    )
    assert guest.run("await fetch(1)") == [1]


@pytest.mark.usefixtures("fetch")
def test_gather_starts_all_before_it_waits(guest: "Guest", host: "FakeHost") -> None:
    assert guest.run("await asyncio.gather(*(fetch(i) for i in range(4)))") == [[0], [1], [2], [3]]
    assert host.operations() == [START, START, START, START, WAIT]


@pytest.mark.usefixtures("fetch")
def test_a_call_beside_which_nothing_can_happen_is_one_trip(guest: "Guest", host: "FakeHost") -> None:
    assert guest.run("[await fetch(1), await asyncio.to_thread(plain, 2)]") == [[1], [2]]
    assert guest.run("await asyncio.create_task(fetch(3))") == [3]
    assert host.operations() == [CALL, CALL, CALL]
    assert guest.fail("await fetch('bad')")["message"] == "bad x"


@pytest.mark.usefixtures("fetch")
@pytest.mark.parametrize(
    "code",
    [
        "async with asyncio.timeout(60):\n    await fetch(1)",
        "await asyncio.wait_for(fetch(1), 60)",
        "other = asyncio.create_task(asyncio.sleep(0))\nawait fetch(1)\nawait other",
        "other = asyncio.create_task(asyncio.sleep(0.01))\nawait asyncio.sleep(0)\nawait fetch(1)\nawait other",
    ],
)
def test_a_call_beside_which_something_may_happen_is_started(guest: "Guest", host: "FakeHost", code: str) -> None:
    guest.run(code)
    assert CALL not in host.operations()
    assert host.operations().count(START) == 1


@pytest.mark.usefixtures("fetch")
def test_a_task_that_has_cancelled_itself_hears_of_it_where_it_waits(guest: "Guest", host: "FakeHost") -> None:
    code = """
async def work():
    asyncio.current_task().cancel()
    await fetch(1)
try:
    await asyncio.create_task(work())
except asyncio.CancelledError:
    out = "cancelled"
out
"""
    assert guest.run(code) == "cancelled"
    assert host.operations() == [START, CANCEL]


@pytest.mark.usefixtures("fetch")
def test_calls_that_finish_one_by_one(guest: "Guest", host: "FakeHost") -> None:
    host.one_at_a_time = True
    code = """
out = []
for next_one in asyncio.as_completed([fetch(i) for i in range(3)]):
    out.append(await next_one)
sorted(out)
"""
    assert guest.run(code) == [[0], [1], [2]]


@pytest.mark.usefixtures("fetch")
def test_errors_of_background_calls(guest: "Guest") -> None:
    error = guest.fail("x = 1\nawait fetch('bad')")
    assert (error["type"], error["message"], error["line"]) == ("ValueError", "bad x", 2)
    assert guest.run("r = await asyncio.gather(fetch('bad'), fetch(1), return_exceptions=True)\nstr(r[0]), r[1]") == (
        "bad x",
        [1],
    )
    assert guest.fail("await fetch()")["message"] == "fetch() missing 1 required positional argument: 'x'"
    assert "argument 'x'" in guest.fail("await fetch(object())")["message"]


@pytest.mark.usefixtures("fetch")
@pytest.mark.parametrize(
    "run",
    ["asyncio.run(main())", "asyncio.new_event_loop().run_until_complete(main())", "asyncio.Runner().run(main())"],
)
def test_loops_of_the_programs_own(guest: "Guest", run: str) -> None:
    code = "async def main():\n    return await asyncio.gather(fetch(1), fetch(2))\n" + run
    assert guest.run(code) == [[1], [2]]
    assert guest.run(code) == [[1], [2]]
    assert guest.run("await fetch(3)") == [3]


@pytest.mark.usefixtures("fetch")
def test_the_old_way_to_get_a_loop(guest: "Guest") -> None:
    assert guest.run("asyncio.get_event_loop().run_until_complete(fetch(1))") == [1]
    guest.run("asyncio.run(fetch(1))")
    assert guest.run("asyncio.get_event_loop().run_until_complete(fetch(1))") == [1]


@pytest.mark.usefixtures("fetch")
def test_a_session_loop_that_was_closed_is_replaced(guest: "Guest") -> None:
    guest.run("asyncio.get_event_loop().close()")
    assert guest.run("await fetch(1)") == [1]


@pytest.mark.usefixtures("fetch")
def test_task_groups_queues_and_locks(guest: "Guest") -> None:
    code = """
queue = asyncio.Queue(maxsize=2)
async def produce():
    for i in range(5):
        await queue.put(await fetch(i))
    await queue.put(None)
async def consume():
    got = []
    while (item := await queue.get()) is not None:
        got.append(item)
    return got
async with asyncio.TaskGroup() as group:
    group.create_task(produce())
    consumer = group.create_task(consume())
consumer.result()
"""
    assert guest.run(code) == [[0], [1], [2], [3], [4]]


@pytest.mark.usefixtures("guest")
def test_sleep_asks_the_host(guest: "Guest", host: "FakeHost") -> None:
    guest.run("import asyncio\nawait asyncio.sleep(3600)")
    assert host.operations() == [SLEEP]
    assert abs(host.frames[0][1] - 3600) < 1


def test_timers_fire_in_order_although_the_clock_stands_still(guest: "Guest") -> None:
    code = """
import asyncio
order = []
async def late(seconds):
    await asyncio.sleep(seconds)
    order.append(seconds)
await asyncio.gather(late(30), late(10), late(20))
order
"""
    assert guest.run(code) == [10, 20, 30]


@pytest.mark.usefixtures("fetch")
def test_a_timeout_cancels_the_call_on_the_host(guest: "Guest", host: "FakeHost") -> None:
    host.slow.add("fetch")
    assert guest.fail("await asyncio.wait_for(fetch(1), 5)")["type"] == "TimeoutError"
    assert host.operations() == [START, WAIT, CANCEL]
    assert abs(host.frames[1][1] - 5) < 1
    assert host.running == {}
    code = "async with asyncio.timeout(5):\n    await fetch(1)"
    assert guest.fail(code)["type"] == "TimeoutError"
    assert host.running == {}


@pytest.mark.usefixtures("fetch")
def test_calls_without_a_waiter_are_cancelled_at_the_end(guest: "Guest", host: "FakeHost") -> None:
    host.slow.add("fetch")
    guest.run("task = asyncio.create_task(fetch(1))\nawait asyncio.sleep(0)")
    assert host.operations() == [START, CANCEL]
    assert host.running == {}


@pytest.mark.usefixtures("fetch")
def test_a_spinning_task_lets_calls_finish(guest: "Guest", host: "FakeHost") -> None:
    code = """
task = asyncio.create_task(fetch(1))
spins = 0
while not task.done():
    await asyncio.sleep(0)
    spins += 1
spins < 50
"""
    assert guest.run(code) is True
    assert WAIT in host.operations()


@pytest.mark.parametrize(
    "wait",
    [
        "await asyncio.Event().wait()",
        "await asyncio.Queue().get()",
        "await asyncio.Future()",
        "await asyncio.gather(asyncio.Event().wait(), asyncio.sleep(0))",
        "await asyncio.create_task(asyncio.Event().wait())",
        "asyncio.run(asyncio.Event().wait())",
    ],
)
def test_a_deadlock_is_an_error_that_says_so(guest: "Guest", wait: str) -> None:
    error = guest.fail(f"import asyncio\n{wait}")
    assert error["type"] == "RuntimeError"
    assert error["message"].startswith("deadlock: every task waits for something that can never happen")
    assert error["line"] == 2
    assert guest.run("await asyncio.sleep(0, 1)") == 1


def test_a_deadlock_runs_cleanup_code(guest: "Guest") -> None:
    guest.fail("import asyncio\ndone = []\ntry:\n    await asyncio.Event().wait()\nfinally:\n    done.append(1)")
    assert guest.run("done") == [1]


def test_run_forever_with_nothing_to_do_ends(guest: "Guest") -> None:
    assert "deadlock" in guest.fail("import asyncio\nasyncio.new_event_loop().run_forever()")["message"]


@pytest.mark.usefixtures("fetch")
def test_to_thread_runs_tools_in_parallel(guest: "Guest", host: "FakeHost") -> None:
    assert guest.run("await asyncio.gather(*(asyncio.to_thread(plain, i) for i in range(3)))") == [[0], [1], [2]]
    assert host.operations() == [START, START, START, WAIT]


@pytest.mark.usefixtures("fetch")
def test_to_thread_with_a_partial_and_an_error(guest: "Guest", host: "FakeHost") -> None:
    assert guest.run("import functools\nawait asyncio.to_thread(functools.partial(plain, x=4))") == [4]
    assert host.operations() == [CALL]
    assert guest.fail("await asyncio.to_thread(plain, 'bad')")["message"] == "bad x"


@pytest.mark.usefixtures("fetch")
def test_executors_run_tools_in_parallel(guest: "Guest", host: "FakeHost") -> None:
    guest.run("loop = asyncio.get_running_loop()\nawait asyncio.sleep(0)")
    assert guest.run("await asyncio.gather(*(loop.run_in_executor(None, plain, i) for i in range(2)))") == [[0], [1]]
    assert host.operations() == [START, START, WAIT]


def test_async_generators_are_closed(guest: "Guest") -> None:
    code = """
import asyncio
closed = []
async def numbers():
    try:
        yield 1
        yield 2
    finally:
        await asyncio.sleep(0)
        closed.append(True)
async def main():
    async for n in numbers():
        break
    for _ in range(5):
        await asyncio.sleep(0)
asyncio.run(main())
closed
"""
    assert guest.run(code) == [True]


@pytest.mark.usefixtures("fetch")
def test_run_inside_a_running_loop_says_so(guest: "Guest") -> None:
    error = guest.fail("c = fetch(1)\ntry:\n    await asyncio.sleep(0)\n    asyncio.run(c)\nfinally:\n    c.close()")
    assert "running event loop" in error["message"]


def test_subprocesses_say_why_not(guest: "Guest") -> None:
    error = guest.fail("import asyncio\nawait asyncio.create_subprocess_exec('ls')")
    assert (error["type"], "processes are not available" in error["message"]) == ("OSError", True)
    assert guest.fail("await asyncio.create_subprocess_shell('ls')")["type"] == "OSError"


@pytest.mark.usefixtures("fetch")
def test_call_ids_are_never_used_twice(guest: "Guest", host: "FakeHost") -> None:
    for turn in range(3):
        assert guest.run(f"await asyncio.gather(fetch({turn}), fetch(9))") == [[turn], [9]]
    starts = [frame[1] for frame in host.frames if frame[0] == START]
    assert len(set(starts)) == 6


@pytest.mark.usefixtures("fetch")
def test_there_is_no_loop_where_the_program_set_none(guest: "Guest") -> None:
    for unset in ("asyncio.set_event_loop(None)", "asyncio.run(fetch(1))"):
        error = guest.fail(f"{unset}\nasyncio.get_event_loop()")
        assert (error["type"], error["message"]) == (
            "RuntimeError",
            "There is no current event loop in thread 'MainThread'.",
        )
        assert guest.run("asyncio.get_event_loop().run_until_complete(fetch(1))") == [1]
