"""Runs that a scheduler drives: the same results as direct ones, no thread for those that wait, turns, and endings."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from cloche import (
    ConfigurationError,
    Interrupted,
    Limits,
    Recorder,
    Result,
    Sandbox,
    Scheduler,
    Suspended,
    TimeExceeded,
    replay,
    tool,
)

ENDLESS = "n = 0\nwhile True:\n    n += 1"
LONG = Limits(time=None, fuel=None)


@tool
async def later(x: int) -> int:
    """Return ten times x, a little later."""
    await asyncio.sleep(0.01)
    return 10 * x


@tool
def slowly(x: int) -> int:
    """Return ten times x, a little later, blocking."""
    time.sleep(0.005)
    return 10 * x


@tool
def fail(x: int) -> int:
    """Raise."""
    raise ValueError(f"no {x}")


@tool(blocking=False)
def at_once(x: int) -> int:
    """Return ten times x."""
    return 10 * x


@tool
def large(n: int) -> str:
    """Return n characters."""
    return "x" * n


TOOLS = [later, slowly, fail, at_once, large]
PROGRAMS = {
    "plain": "slowly(1) + slowly(2) + at_once(3)",
    "awaited": "await later(1) + await later(2)",
    "raised": "try:\n    fail(1)\nexcept ValueError as error:\n    answer = str(error)\nanswer",
    "in a loop": "total = 0\nfor i in range(20):\n    total += slowly(i) if i % 5 == 0 else at_once(i)\ntotal",
    "in a builtin": "sum(slowly(i) for i in range(3)) + max([1, 2], key=slowly)",
    "below C": "sum({i: i for i in map(slowly, range(3))})",
    "large": "len(large(200_000)) + len(large(5))",
    "slept": "import time\ntime.sleep(0.01)\ntime.sleep(0)\nlist(map(time.sleep, [0.001] * 3))",
    "slept in asyncio": "import asyncio\nfor _ in range(3):\n    await asyncio.sleep(0.005)",
    "a generator": "def g():\n    for i in range(5):\n        yield slowly(i)\nlist(g())\n[x for x in g()]",
    "collected": (
        "class Node:\n    def __init__(self): self.me = self\n    def __del__(self): at_once(1)\n"
        "for i in range(200):\n    [Node() for _ in range(30)]\n    if i % 20 == 0: slowly(i)"
    ),
    "computing": "total = 0\nfor i in range(200_000):\n    total += i % 7\ntotal",
    "not plain": "at_once(x=2), slowly(**{'x': 3})",
    "failing": "print('so far')\nslowly(1)\n1 / 0",
}


def as_seen(result: Result[Any]) -> tuple[Any, ...]:
    error = result.error
    calls = [(call.name, call.args, call.outcome) for call in result.calls]
    return (result.value, error and str(error), result.stdout, result.usage.fuel, calls)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("crowd", [0, 3])
def test_a_driven_run_is_as_a_direct_one(name: str, crowd: int) -> None:
    """Also beside others, with which it takes turns: value, output, fuel and calls."""
    code = PROGRAMS[name]
    scheduler = Scheduler(1, slice=0.001)
    box = Sandbox(TOOLS, limits=LONG, scheduler=scheduler)

    async def main() -> None:
        beside = [asyncio.create_task(box.arun(ENDLESS)) for _ in range(crowd)]
        with box.session() as session:
            expected = as_seen(await asyncio.to_thread(session.run, code))
        with box.session() as session:
            found = as_seen(await session.arun(code))
            # How often an event loop looks at the clock before a timer is due is the clock's affair: in fuel, too.
            parts = (0, 1, 2, 4) if name == "slept in asyncio" else range(5)
            assert [found[part] for part in parts] == [expected[part] for part in parts]
            assert (await session.arun("6 * 7")).value == 42
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)

    run(main)


def test_waiting_programs_take_no_thread() -> None:
    inside, most, count = 0, 0, 60
    gate = asyncio.Event()

    @tool
    async def meet(x: int) -> int:
        nonlocal inside, most
        inside += 1
        most = max(most, threading.active_count())
        if inside == count:
            gate.set()
        await gate.wait()
        return x

    async def main() -> None:
        box = Sandbox([meet], limits=LONG, scheduler=Scheduler(2))
        before = threading.active_count()
        results = await asyncio.gather(*(box.arun(f"await meet({i})") for i in range(count)))
        assert [result.value for result in results] == list(range(count))
        # Workers, those that stand in on a slow machine, the clock, the watch: nothing like one for each.
        assert most <= before + 15

    run(main)


def test_those_that_wait_where_they_cannot_leave_have_others_take_their_place() -> None:
    inside, count = 0, 6
    gate = asyncio.Event()

    @tool
    async def meet(x: int) -> int:
        nonlocal inside
        inside += 1
        if inside == count:
            gate.set()
        await gate.wait()
        return x

    code = "import asyncio\nexec('import asyncio\\nasyncio.run(meet(1))')\n6 * 7"

    async def main() -> None:
        scheduler = Scheduler(1)
        box = Sandbox([meet], limits=LONG, scheduler=scheduler)
        results = await asyncio.gather(*(box.arun(code) for _ in range(count)))
        assert {result.unwrap() for result in results} == {42}
        assert scheduler.blocked == 0

    run(main)


def test_functions_of_the_users_that_block_do_not_keep_others_from_computing() -> None:
    """More of them than threads compute, and than may compute for too long."""
    gate = threading.Event()

    async def main() -> None:
        box = Sandbox(limits=LONG, scheduler=Scheduler(1, slice=0.005))
        blocked = [asyncio.create_task(box.arun("print(1)", on_event=lambda _: gate.wait(60))) for _ in range(4)]
        assert (await box.arun("6 * 7")).value == 42
        gate.set()
        assert [result.stdout for result in await asyncio.gather(*blocked)] == ["1\n"] * 4

    run(main)


def test_programs_that_do_not_leave_keep_only_their_own_account_waiting() -> None:
    async def main() -> None:
        box = Sandbox(limits=LONG, scheduler=Scheduler(1, slice=0.002))
        code = "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')"
        stuck = [asyncio.create_task(box.arun(code, account="stuck")) for _ in range(6)]
        await asyncio.sleep(0.05)
        for _ in range(3):
            assert (await box.arun("6 * 7", account="other")).value == 42
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)

    run(main)


def test_no_account_waits_for_ever() -> None:
    scheduler = Scheduler(1, slice=0.002)
    box = Sandbox(limits=LONG, scheduler=scheduler)

    async def main() -> None:
        tasks = [asyncio.create_task(box.arun(ENDLESS, account=name)) for name in "aaaab"]
        # How exactly they share, the tests of turns say: here the machine has a say, too.
        while min(map(scheduler.usage().get, "ab", (0.0, 0.0))) < 0.05:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main)


@pytest.mark.parametrize("code", ["await asyncio.sleep(1000)", "await stay()", "time.sleep(1000)", ENDLESS])
def test_endings_while_it_waits(code: str) -> None:
    cancelled = asyncio.Event()

    @tool
    async def stay() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            cancelled.set()

    async def main() -> None:
        with Sandbox([stay], scheduler=Scheduler(1)).session() as session:
            session.run("import asyncio, time\nx = 1")
            task = asyncio.create_task(session.arun(code, limits=LONG))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            result = await session.arun(code, limits=Limits(time=0.05))
            assert isinstance(result.error, TimeExceeded)
            assert result.rolled_back
            task = asyncio.create_task(session.arun(code, limits=LONG))
            await asyncio.sleep(0.05)
            while not session.interrupt():
                await asyncio.sleep(0.01)
            assert isinstance((await task).error, Interrupted)
            assert (await session.arun("x")).value == 1
            if "stay" in code:
                await cancelled.wait()

    run(main)


def test_a_suspended_program_is_resumed_in_either_way() -> None:
    async def main() -> None:
        with Sandbox(TOOLS).session() as session:
            outcome = await session.astart("slowly(1) + at_once(2) + (await later(3))", step=True)
            assert isinstance(outcome, Suspended)
            assert outcome.calls[0].name == "slowly"
            outcome = await asyncio.to_thread(outcome.resume, {1: 100})
            assert isinstance(outcome, Suspended)
            outcome = await outcome.aresume({2: 200})
            assert isinstance(outcome, Suspended)
            outcome = await asyncio.to_thread(outcome.approve, 3) if outcome.calls[0].needs_approval else outcome
            assert isinstance(outcome, Suspended)
            result = await outcome.aresume({3: 300})
            assert isinstance(result, Result)
            assert result.value == 600

    run(main)


def test_a_driven_program_is_paused() -> None:
    async def main() -> None:
        with Sandbox(limits=LONG, scheduler=Scheduler(1)).session() as session:
            starting = asyncio.create_task(session.astart("n = 0\nwhile n < 3_000_000:\n    n += 1\nn"))
            suspended = None
            while suspended is None and not starting.done():
                suspended = await session.apause(30.0)
            assert await starting is suspended
            assert suspended is not None
            assert suspended.kind == "paused"
            result = await suspended.aresume()
            assert isinstance(result, Result)
            assert result.value == 3_000_000

    run(main)


def test_a_tool_that_blocks_for_once_is_left_at_the_deadline() -> None:
    slow = threading.Event()

    @tool
    def usually_quick(x: int) -> int:
        if x < 0:
            slow.wait(30)
        return x

    async def main() -> None:
        scheduler = Scheduler(1)
        with Sandbox([usually_quick], scheduler=scheduler).session() as session:
            assert (await session.arun("[usually_quick(i) for i in range(9)][-1]")).value == 8
            result = await session.arun("usually_quick(-1)", limits=Limits(time=0.1))
            assert isinstance(result.error, TimeExceeded)
            assert (await session.arun("6 * 7")).value == 42
        slow.set()

    run(main)


def test_a_lost_guest_repeats_what_it_was_answered_while_it_waited() -> None:
    async def main() -> None:
        with Sandbox(TOOLS).session() as session:
            await session.arun("answers = [slowly(i) for i in range(5)] + [await later(7)]")
            assert isinstance((await session.arun(ENDLESS, limits=Limits(fuel=20_000_000))).error, Exception)
            assert (await session.arun("answers")).value == [0, 10, 20, 30, 40, 70]

    run(main)


def test_a_recording_of_it_is_replayed() -> None:
    recorder = Recorder()

    async def main() -> None:
        code = "import time\ntime.sleep(0.01)\n[slowly(1), await later(2), at_once(3)]"
        result = await Sandbox(TOOLS).arun(code, recorder=recorder)
        again = replay(recorder.recording())
        assert result.value == [10, 20, 30]
        assert (again.runs, again.calls, again.difference) == (1, 3, None)

    run(main)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Scheduler(0), "threads"),
        (lambda: Scheduler(True), "threads"),
        (lambda: Scheduler(slice=0), "slice"),
        (lambda: Scheduler(slice=float("nan")), "slice"),
        (lambda: Scheduler(max_blocked=-1), "max_blocked"),
        (lambda: Scheduler().set_account("a", weight=0), "weight"),
        (lambda: Scheduler().set_account("a", priority=10**9), "priority"),
        (lambda: Scheduler().set_account(b"a"), "name"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ],
)
def test_settings_that_cannot_work(make: Callable[[], object], field: str) -> None:
    with pytest.raises(ConfigurationError, match=field):
        make()
