"""Programs of many conversations, each in a session of its own."""

import asyncio
import threading

import pytest

from cloche import tool
from cloche.integrations.python_runner import PythonRunner
from cloche.runtime.limits import Limits


@tool(blocking=False)
def double(x: int) -> int:
    """Twice x."""
    return 2 * x


@tool
async def slowly(x: int) -> int:
    """X, after a while."""
    await asyncio.sleep(0.01)
    return x


def test_conversations_do_not_see_each_other() -> None:
    runner = PythonRunner([double])
    assert runner.run("x = double(4)\nx", "ann") == "Value: 8"
    assert runner.run("x", "ann") == "Value: 8"
    assert "NameError" in runner.run("x", "bob")
    assert "NameError" in runner.run("x")
    runner.close()
    assert "NameError" in runner.run("x", "ann")
    runner.close()
    runner.close()


def test_the_one_used_longest_ago_makes_room() -> None:
    runner = PythonRunner(sessions=2)
    for name in ("a", "b", "a", "c"):
        runner.run("x = 1", name)
    assert runner.run("x", "a") == "Value: 1"
    assert runner.run("x", "c") == "Value: 1"
    assert "NameError" in runner.run("x", "b")


def test_calls_of_one_conversation_wait_for_each_other() -> None:
    runner = PythonRunner([slowly], sessions=1)
    runner.run("seen = []", "a")

    async def many() -> None:
        await asyncio.gather(*(runner.arun(f"seen.append(await slowly({n}))", "a") for n in range(5)))

    asyncio.run(many())
    assert runner.run("sorted(seen)", "a") == "Value: [0, 1, 2, 3, 4]"


def test_whoever_waits_is_not_evicted() -> None:
    runner = PythonRunner(sessions=1)
    texts: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: texts.append(runner.run("sum(range(100_000))", n % 3))) for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["Value: 4999950000"] * 12


def test_a_limit_is_told_and_the_conversation_goes_on() -> None:
    runner = PythonRunner(limits=Limits(fuel=30_000_000))
    runner.run("x = 1", "a")
    told = runner.run("x = 2\nwhile True: pass", "a")
    assert "FuelExhausted" in told
    assert "rolled back" in told
    assert runner.run("x", "a") == "Value: 1"


def test_a_cancelled_call_ends_its_program_and_leaves_the_seat_free() -> None:
    runner = PythonRunner(limits=Limits(fuel=None, time=60))

    async def impatient() -> str:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(runner.arun("while True: pass", "a"), 0.1)
        return await runner.arun("1 + 1", "a")

    assert asyncio.run(impatient()) == "Value: 2"


def test_the_description_names_the_functions() -> None:
    assert "def double(x: int) -> int" in PythonRunner([double]).description
    assert "functions" not in PythonRunner().description
