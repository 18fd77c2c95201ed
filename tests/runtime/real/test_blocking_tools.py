"""Tools as ``@tool`` makes them, which may block: on a thread of their own, however the run is performed."""

import asyncio
import contextvars
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import pytest

from cloche import Limits, Sandbox, Session, tool
from cloche.runtime.errors import BlockedTools, GuestException, Interrupted, TimeExceeded
from cloche.runtime.threads import MAX_ABANDONED, guest_threads

PATIENCE = 60.0
MANY = "for i in range(5): where()\n"
"""After a run with that many calls the session performs the next one on a guest's thread."""


class Gate:
    """What a tool waits at until the test opens it."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.entered = threading.Event()

    def wait(self) -> str:
        self.entered.set()
        assert self.opened.wait(PATIENCE)
        return "late"


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()
    wait_until(lambda: guest_threads.abandoned == 0)


def wait_until(ready: Callable[[], bool]) -> None:
    give_up = monotonic() + PATIENCE
    while not ready():
        assert monotonic() < give_up
        threading.Event().wait(0.005)


def where() -> str:
    """Return the name of the thread that the tool is called on."""
    return threading.current_thread().name


@pytest.fixture(params=["a run with few calls before", "a run with many calls before"])
def before(request: pytest.FixtureRequest) -> str:
    """What the session did last: it decides where the next run is performed."""
    return "" if request.param == "a run with few calls before" else MANY


def session_with(*functions: Callable[..., Any], before: str = "", limits: Limits | None = None) -> Session:
    session = Sandbox([where, *map(tool, functions)], limits=limits).session()
    session.run(f"kept = 41\n{before}").unwrap()
    return session


def test_it_never_runs_on_the_callers_thread(before: str) -> None:
    with session_with(before=before) as session:
        assert [session.run("where()").unwrap() for _ in range(3)] == ["cloche-guest"] * 3


@pytest.mark.parametrize("rollback", [True, False])
def test_one_that_blocks_past_the_deadline_is_left_behind(gate: Gate, before: str, rollback: bool) -> None:
    def block() -> str:
        """Wait."""
        return gate.wait()

    box = Sandbox([where, tool(block)])
    with box.session(rollback=rollback) as session:
        session.run(f"kept = 41\n{before}").unwrap()
        started = monotonic()
        result = session.run("kept = 0\nblock()", limits=Limits(time=0.2))
        assert monotonic() - started < PATIENCE / 2
        assert isinstance(result.error, TimeExceeded)
        assert result.error.doing == "the tool 'block'"
        assert [call.outcome for call in result.calls] == ["abandoned"]
        assert result.rolled_back is rollback
        assert guest_threads.abandoned == 1
        if rollback:
            assert session.run("kept").unwrap() == 41
        gate.opened.set()
        wait_until(lambda: guest_threads.abandoned == 0)
        if rollback:
            assert session.run("kept, block()").unwrap() == (41, "late")


def test_too_many_that_are_stuck_refuse_new_runs(gate: Gate) -> None:
    def block() -> str:
        """Wait."""
        return gate.wait()

    box = Sandbox([tool(block)], limits=Limits(time=0.05))
    with box.session() as session:
        # On a busy machine some runs are over before they get to the tool.
        while guest_threads.abandoned < MAX_ABANDONED:
            assert isinstance(session.run("block()").error, TimeExceeded)
        with pytest.raises(BlockedTools):
            session.run("x = 1")
        # Nothing of it is lost, and where no tool blocks all continues.
        assert Sandbox().run("6 * 7").unwrap() == 42
        gate.opened.set()
        wait_until(lambda: guest_threads.abandoned == 0)
        assert session.run("block()", limits=Limits(time=PATIENCE)).unwrap() == "late"


def test_it_sees_the_callers_context(before: str) -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nothing")

    def read() -> str:
        """Return the variable, and change it."""
        value = name.get()
        name.set(value + "!")
        return value

    with session_with(read, before=before) as session:
        name.set("the caller's")
        assert session.run("read(), read()").unwrap() == ("the caller's", "the caller's!")
        assert name.get() == "the caller's"


def test_it_may_run_a_sandbox_of_its_own(before: str) -> None:
    def compute(code: str, depth: int) -> str:
        """Run a program in another sandbox."""
        if depth:
            return str(Sandbox([tool(compute)]).run(f"compute({code!r}, {depth - 1})").unwrap())
        return repr(Sandbox().run(code).unwrap())

    with session_with(compute, before=before) as session:
        assert session.run("compute('6 * 7', 3)").unwrap() == "42"


@pytest.mark.parametrize("error", [SystemExit("s"), KeyboardInterrupt("k"), GeneratorExit("g"), BaseException("b")])
def test_whatever_it_raises_is_the_programs(before: str, error: BaseException) -> None:
    def fail() -> None:
        """Raise it."""
        raise error

    with session_with(fail, before=before) as session:
        result = session.run("fail()")
        assert isinstance(result.error, GuestException)
        assert (result.error.type_name, result.error.message) == (type(error).__name__, str(error))
        assert session.run("kept").unwrap() == 41


def test_it_is_interrupted_from_another_thread(gate: Gate, before: str) -> None:
    def block() -> str:
        """Wait."""
        return gate.wait()

    with session_with(block, before=before) as session:
        threading.Thread(target=lambda: gate.entered.wait(PATIENCE) and session.interrupt()).start()
        result = session.run("kept = 0\nblock()")
        assert isinstance(result.error, Interrupted)
        assert session.run("kept").unwrap() == 41


class Pressed(BaseException):
    """What stands for KeyboardInterrupt, which pytest would take for itself."""


@pytest.mark.skipif(os.name != "posix", reason="sends itself POSIX signals")
@pytest.mark.parametrize("listener", [None, lambda _: None], ids=["silent", "listened to"])
def test_ctrl_c_reaches_the_caller_at_once(gate: Gate, before: str, listener: Any) -> None:
    def block() -> str:
        """Wait."""
        return gate.wait()

    def press(number: int, frame: object) -> None:
        raise Pressed

    def send() -> None:
        assert gate.entered.wait(PATIENCE)
        os.kill(os.getpid(), signal.SIGINT)

    previous = signal.signal(signal.SIGINT, press)
    try:
        with session_with(block, before=before) as session:
            gc.collect()
            threading.Thread(target=send).start()
            with pytest.raises(Pressed):
                session.run("kept = 0\nblock()", on_event=listener)
            assert session.run("kept").unwrap() == 41
            assert signal.getsignal(signal.SIGINT) is press
    finally:
        signal.signal(signal.SIGINT, previous)


@pytest.mark.skipif(os.name != "posix", reason="sends itself POSIX signals")
def test_ctrl_c_while_the_run_is_handed_over(before: str) -> None:
    raised = threading.Event()

    def press_at_once() -> None:
        """The signal comes while the caller's thread begins to wait, at times where it no longer wakes it."""
        os.kill(os.getpid(), signal.SIGINT)
        raised.wait(PATIENCE)

    def press(number: int, frame: object) -> None:
        raise Pressed

    previous = signal.signal(signal.SIGINT, press)
    try:
        with session_with(press_at_once, before=before) as session:
            gc.collect()
            for _ in range(20):
                raised.clear()
                with pytest.raises(Pressed):
                    session.run("kept = 0\npress_at_once()")
                raised.set()
                assert session.run(f"{before}kept").unwrap() == 41
                wait_until(lambda: guest_threads.abandoned == 0)
    finally:
        raised.set()
        signal.signal(signal.SIGINT, previous)


def test_eight_threads_at_once(before: str) -> None:
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    barrier, found = threading.Barrier(8), list[Any]()

    def work(number: int) -> None:
        with session_with(add, before=before) as session:
            barrier.wait(PATIENCE)
            found.append(session.run(f"sum(add(i, {number}) for i in range(200))").unwrap() - 200 * number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert found == [sum(range(200))] * 8


def test_from_deep_in_a_recursion(before: str) -> None:
    def deep(levels: int, action: Callable[[], Any]) -> Any:
        return deep(levels - 1, action) if levels else action()

    def descend(levels: int) -> str:
        """Recurse, and run a sandbox there."""
        return str(deep(levels, lambda: Sandbox([tool(where)]).run("where()").unwrap()))

    with session_with(descend, before=before) as session:
        assert deep(sys.getrecursionlimit() // 2, lambda: session.run("descend(300)").unwrap()) == "cloche-guest"


def test_async_callers_are_not_held_up(gate: Gate) -> None:
    def block() -> str:
        """Wait."""
        return gate.wait()

    async def main() -> None:
        box = Sandbox([tool(block), tool(where)], limits=Limits(time=PATIENCE))
        blocked = [asyncio.create_task(box.arun("block()")) for _ in range(4)]
        assert (await box.arun("where()")).unwrap() == "cloche-guest"
        gate.opened.set()
        assert [result.unwrap() for result in await asyncio.gather(*blocked)] == ["late"] * 4

    asyncio.run(main())


def test_an_async_caller_is_back_at_the_deadline(gate: Gate) -> None:
    def block() -> str:
        """Wait."""
        return gate.wait()

    async def main() -> None:
        async with Sandbox([tool(block)]).session() as session:
            result = await session.arun("block()", limits=Limits(time=0.2))
            assert isinstance(result.error, TimeExceeded)
            task = asyncio.create_task(session.arun("block()"))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await session.arun("6 * 7")).unwrap() == 42

    asyncio.run(main())


def test_one_that_promises_not_to_block_stays_on_the_callers_thread() -> None:
    @tool(blocking=False)
    def quick() -> str:
        """Return where it is called."""
        return threading.current_thread().name

    with Sandbox([quick, where]).session() as session:
        assert session.run("quick(), where()").unwrap() == (threading.current_thread().name, "cloche-guest")
