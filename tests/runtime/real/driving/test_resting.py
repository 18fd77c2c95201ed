"""Programs that rest while they wait: the same results and fuel as without, and their guests serve others meanwhile."""

import asyncio
import functools
import gc
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from cloche import ConfigurationError, FuelExhausted, Interrupted, Limits, Recorder, Sandbox, TimeExceeded, replay, tool
from cloche.runtime.session import resting as module
from cloche.runtime.session.resting import resting

LONG = Limits(time=None)


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test to its end."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 30))

    return run


class Gate:
    """A tool's end, for tests that decide when it comes."""

    def __init__(self) -> None:
        self.waiting = 0
        self.open = asyncio.Event()

    def tool(self) -> Any:
        """Return the tool."""

        @tool
        async def later(x: int) -> int:
            """Return ten times x, once the gate is open."""
            self.waiting += 1
            await self.open.wait()
            return 10 * x

        return later

    async def reached(self, count: int) -> None:
        """Wait until so many calls have come, and the programs that made them wait."""
        while self.waiting < count:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)


@tool
def soon(x: int) -> int:
    """Return ten times x, a little later."""
    time.sleep(0.003)
    return 10 * x


@tool
async def later(x: int) -> int:
    """Return ten times x, a little later."""
    await asyncio.sleep(0.003)
    return 10 * x


PROGRAMS = [
    "a = await later(1)\nb = await later(a)\na + b",
    "soon(2) + soon(3)",
    # One call alone: how many answers come at once is a matter of time, and of some fuel.
    "import asyncio\nawait asyncio.gather(later(3), asyncio.sleep(0))",
    "data = [bytes([i]) * 5_000 for i in range(100)]\nk = soon(4)\nsum(map(len, data)) + k",
    "def f(n):\n    return soon(1) if not n else f(n - 1) + 1\nf(60)",
    "import time\ntime.sleep(0.01)\nprint('slept')\nopen('a', 'w').write('x' * 3000)\nsoon(1)\nlen(open('a').read())",
    "try:\n    soon('no number')\nexcept Exception as e:\n    out = type(e).__name__\nout",
    "import random\nrandom.seed(3)\n[random.random(), soon(1), random.random()]",
]


@pytest.mark.parametrize("program", PROGRAMS)
@in_loop
async def test_a_program_that_rests_has_the_value_the_output_and_the_fuel_of_one_that_does_not(program: str) -> None:
    seen = []
    for kept in (None, 0):
        result = await Sandbox([soon, later], resting=kept, limits=LONG, seed=1).arun(program)
        assert result.error is None, result.error
        seen.append((result.value, result.stdout, result.usage.fuel, len(result.calls)))
    assert seen[0] == seen[1]


@in_loop
async def test_what_a_program_needs_is_a_small_part_of_what_it_has_written() -> None:
    gate, before = Gate(), resting.packed_bytes
    box = Sandbox([gate.tool()], resting=0, limits=LONG)
    runs = [asyncio.create_task(box.arun(f"text = 'a' * 100_000\nawait later({i}) + len(text)")) for i in range(5)]
    await gate.reached(5)
    assert 5 * 2_000 < resting.packed_bytes - before < 5 * 100_000
    gate.open.set()
    assert [(await run).value for run in runs] == [10 * i + 100_000 for i in range(5)]
    assert resting.packed_bytes == before


@in_loop
async def test_as_many_as_it_says_keep_their_guests() -> None:
    gate = Gate()
    box = Sandbox([gate.tool()], resting=resting.awake + 2, limits=LONG)
    before, raw = resting.awake, resting.packed_bytes
    runs = [asyncio.create_task(box.arun(f"await later({i})")) for i in range(4)]
    await gate.reached(4)
    assert resting.awake == before + 2
    assert resting.packed_bytes > raw
    gate.open.set()
    assert [(await run).value for run in runs] == [0, 10, 20, 30]
    assert (resting.awake, resting.packed_bytes) == (before, raw)


@in_loop
async def test_a_program_that_has_written_much_keeps_its_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WRITTEN", 1000)
    gate, raw = Gate(), resting.packed_bytes
    run = asyncio.create_task(Sandbox([gate.tool()], resting=0, limits=LONG).arun("await later(1)"))
    await gate.reached(1)
    assert resting.packed_bytes == raw
    gate.open.set()
    assert (await run).value == 10


@in_loop
async def test_a_session_goes_on_after_a_run_that_rested_and_rolls_back_one_that_was_given_up() -> None:
    gate = Gate()
    with Sandbox([gate.tool(), soon], resting=0, limits=LONG).session() as session:
        assert (await session.arun("x = soon(1)\nx")).value == 10
        assert session.run("x + 1").value == 11
        run = asyncio.create_task(session.arun("x = 5\nawait later(1)"))
        await gate.reached(1)
        raw = resting.packed_bytes
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert resting.packed_bytes <= raw
        assert (await session.arun("x + soon(2)")).value == 30
        with session.fork() as other:
            assert (await other.arun("x + soon(1)")).value == 20


@in_loop
async def test_limits_end_a_program_that_rests() -> None:
    gate = Gate()
    box = Sandbox([gate.tool(), soon], resting=0)
    ended = await box.arun("await later(1)", limits=Limits(time=0.1))
    assert isinstance(ended.error, TimeExceeded)
    spent = await box.arun("soon(1)\nwhile True: pass", limits=Limits(fuel=5_000_000, time=None))
    assert isinstance(spent.error, FuelExhausted)


@in_loop
async def test_a_closed_session_ends_a_program_that_rests() -> None:
    gate = Gate()
    session = Sandbox([gate.tool()], resting=0, limits=LONG).session()
    run = asyncio.create_task(session.arun("await later(1)"))
    await gate.reached(1)
    session.close()
    assert isinstance((await run).error, Interrupted)
    gc.collect()


@in_loop
async def test_a_recording_of_one_that_rested_is_replayed() -> None:
    recorder = Recorder()
    result = await Sandbox([soon], resting=0, limits=LONG).arun("soon(1) + soon(2)", recorder=recorder)
    assert result.value == 30
    again = replay(recorder.recording())
    assert (again.runs, again.calls, again.difference) == (1, 2, None)


@pytest.mark.parametrize("kept", [-1, True, 1.5, "all"])
def test_how_many_keep_their_guests_is_a_count(kept: Any) -> None:
    with pytest.raises(ConfigurationError, match="resting"):
        Sandbox(resting=kept)
