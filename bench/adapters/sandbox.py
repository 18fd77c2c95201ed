"""Cloche, in each of its ways of metering and of calling tools."""

import asyncio
import itertools
import random
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

from cloche import Limits, Result, Sandbox, Scheduler, Session, Suspended, tool
from cloche.bench.adapters.base import Kept, Run, Runner, Unsupported
from cloche.runtime.bridge.protocol import run_request
from cloche.runtime.limits import Metering
from cloche.runtime.machine_api import PAUSED
from cloche.runtime.wasm.machine import ImageSource
from cloche.runtime.wasm.signals import deferred

__all__ = ["ClocheAdapter", "EpochAdapter", "NonblockingAdapter", "UnmeteredAdapter"]

# The longest task takes seconds, and more than the default ten on a machine that has other work. A deadline costs the
# same wherever it is.
_LIMITS = Limits(time=600)


class ClocheAdapter(Runner):
    """Default metering, default limits but for the time, and tools as a plain ``@tool`` makes them."""

    metering: Metering = "fuel"
    tool_options: ClassVar[dict[str, Any]] = {}

    def __init__(self, tools: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(tools)
        wrapped = [tool(name=name, **self.tool_options)(function) for name, function in tools.items()]
        self._box = Sandbox(tools=wrapped, metering=self.metering, limits=_LIMITS)

    def fresh(self, code: str) -> Any:
        """Run in a new guest."""
        return self._box.run(code).unwrap()

    @contextmanager
    def session(self) -> Generator[Run, None, None]:
        """Run in one guest."""
        with self._box.session() as session:
            yield _runner(session)

    @contextmanager
    def kept(self) -> Generator[Kept, None, None]:
        """Run in one guest, as ``session`` does."""
        with self._box.session() as session:
            yield Kept(_runner(session), lambda: bytes(session.snapshot()), lambda: _forked(session))

    @contextmanager
    def restored(self, data: bytes) -> Generator[Run, None, None]:
        """Run in a guest of that snapshot."""
        with self._box.restore(data) as session:
            yield _runner(session)

    @contextmanager
    def paused(self, code: str) -> Generator[Callable[[], bytes], None, None]:
        """Start it so that every call waits."""
        with self._box.session() as session:
            suspended = session.start(code, step=True)
            assert isinstance(suspended, Suspended)
            yield lambda: bytes(suspended.snapshot())

    def resumed(self, data: bytes, value: Any) -> Any:
        """Resume it in a guest of that snapshot."""
        with self._box.restore(data) as session:
            assert session.suspended is not None
            ended = session.suspended.resume({1: value})
            assert isinstance(ended, Result)
            return ended.unwrap()

    def waiting(self, programs: int, look: Callable[[], None]) -> tuple[float, int]:
        """Await them all."""
        return asyncio.run(_waiting(programs, look))

    def beside(self, endless: Mapping[str, int], short: str, rounds: int) -> tuple[list[float], list[float]]:
        """Have a scheduler of two threads."""
        return asyncio.run(_beside(endless, short, rounds))

    def awaited(self, calls: int) -> float:
        """Await it as any program."""
        return asyncio.run(_awaited(calls))

    def requests(self, programs: Sequence[str], each: int) -> list[float]:
        """Run each on a thread of its own, in a session, and ask from this one."""
        return [took for text in programs for took in _requests(self._box, text, each)]

    def pauses(self, code: str, count: int) -> float:
        """Drive a machine, with a request to leave before each step."""
        source, now = ImageSource(), time.perf_counter
        machine = source.new(_Nothing(), _LIMITS.memory)
        try:
            machine.pause()
            if machine.step(run_request(code, "<run 1>", {})) is not PAUSED:
                raise Unsupported("its image cannot be left")
            # As in a session's run: signals are deferred once, and not for each step.
            with deferred():
                start = now()
                for _ in range(count):
                    machine.step(b"", stack_checked=True)
                return (now() - start) / count
        finally:
            machine.close()


class _Nothing:
    """Answers a guest that asks for nothing."""

    def call(self, frame: bytes) -> bytes:
        raise NotImplementedError

    def write(self, stream: int, data: bytes) -> None:
        raise NotImplementedError

    def clock(self, which: int) -> int:
        return 0

    def entropy(self, size: int) -> bytes:
        return bytes(size)


@tool
async def second() -> int:
    """Wait a second."""
    await asyncio.sleep(1.0)
    return 1


@tool
async def at_once() -> int:
    """Do nothing."""
    return 1


async def _awaited(calls: int) -> float:
    async with Sandbox([at_once], limits=_LIMITS).session() as session:
        program = f"for _ in range({calls}):\n    await at_once()"
        (await session.arun("await at_once()")).unwrap()
        start = time.perf_counter()
        (await session.arun(program)).unwrap()
        return (time.perf_counter() - start) / calls


def _requests(box: Sandbox, text: str, each: int) -> Generator[float, None, None]:
    moments = random.Random(text)
    with box.session() as session:
        enter: Callable[[], object] = partial(session.start, text)
        for _ in range(each):
            running = threading.Thread(target=enter)
            running.start()
            time.sleep(moments.uniform(0.005, 0.02))
            start = time.perf_counter()
            suspended = session.pause(timeout=60)
            yield time.perf_counter() - start
            running.join()
            assert suspended is not None, "it was to compute without end"
            enter = suspended.resume


async def _waiting(programs: int, look: Callable[[], None]) -> tuple[float, int]:
    box = Sandbox([second], limits=_LIMITS)
    threads = 0

    async def watch() -> None:
        nonlocal threads
        for number in itertools.count(1):
            await asyncio.sleep(0.05)
            threads = max(threads, threading.active_count())
            if number % 10 == 0:
                look()

    watching = asyncio.ensure_future(watch())
    start = time.perf_counter()
    results = await asyncio.gather(*(box.arun("await second()") for _ in range(programs)))
    took = time.perf_counter() - start
    watching.cancel()
    for result in results:
        result.unwrap()
    return took, threads


async def _beside(endless: Mapping[str, int], short: str, rounds: int) -> tuple[list[float], list[float]]:
    scheduler = Scheduler(2)
    box = Sandbox(limits=Limits(time=None, fuel=None), scheduler=scheduler)
    accounts = [account for account, count in endless.items() for _ in range(count)]
    loops = [asyncio.ensure_future(box.arun("n = 0\nwhile True:\n    n += 1", account=each)) for each in accounts]
    took: list[float] = []
    async with box.session(account="short") as session:
        await session.arun(short)
        await asyncio.sleep(0.5)
        before = scheduler.usage()
        for _ in range(rounds):
            start = time.perf_counter()
            (await session.arun(short)).unwrap()
            took.append(time.perf_counter() - start)
            await asyncio.sleep(0.02)
    after = scheduler.usage()
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
    return took, [max(1e-9, after[account] - before.get(account, 0.0)) for account in endless]


class NonblockingAdapter(ClocheAdapter):
    """Tools that neither wait nor take long, and say so: they run on the guest's own thread."""

    tool_options: ClassVar[dict[str, Any]] = {"blocking": False}


class EpochAdapter(ClocheAdapter):
    """Interrupted by time only; fuel is not counted."""

    metering = "epoch"


class UnmeteredAdapter(ClocheAdapter):
    """Nothing ends a program that computes."""

    metering = "none"


@contextmanager
def _forked(session: Session) -> Generator[Run, None, None]:
    with session.fork() as fork:
        yield _runner(fork)


def _runner(session: Session) -> Run:
    return lambda code: session.run(code).unwrap()
