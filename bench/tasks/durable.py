"""Sessions written to bytes, and resumed from them."""

import itertools
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager

from cloche.bench.adapters.base import Kept, Runner
from cloche.bench.tasks.base import Sample, expect, seconds

__all__ = ["DATA", "LARGE", "SMALL", "TINY", "open_fork", "open_restore", "open_resume", "open_size", "open_snapshot"]

TINY = "x = 1\nkept = [x]"
# In a CPython this changes about 100 pages of 4 kB.
SMALL = "kept = [{'id': i, 'name': 'customer ' + str(i), 'tags': [i, i + 1]} for i in range(300)]"
LARGE = "kept = {i: 'entry ' + str(i) for i in range(100000)}"
# Nothing that a packer could shorten.
DATA = "import random\nkept = [random.randbytes(1000) for _ in range(1000)]"
_LENGTHS = {TINY: 1, SMALL: 300, LARGE: 100_000, DATA: 1_000}
_LENGTH = "result = len(kept)"
_FEW = 5
# Nothing of this is run again by a peer that keeps the program itself.
_PAUSED = """
def work():
    total = 0
    for number in range(3000000):
        total += 1
    return total + ask(question='continue?')

result = work()
"""


def open_snapshot(metric: str, setup: str) -> Callable[[Runner], AbstractContextManager[Sample]]:
    """Return a task's opener: the session is written down again and again, and has changed a little each time."""

    @contextmanager
    def opened(runner: Runner) -> Generator[Sample, None, None]:
        with _kept(runner, setup) as kept:
            numbers = itertools.count()

            def dump() -> float:
                kept.run(f"changed = {next(numbers)}")
                return seconds(kept.dump)

            yield lambda: {metric: _mean(dump)}

    return opened


@contextmanager
def open_restore(runner: Runner) -> Generator[Sample, None, None]:
    """The session's end is part of the time."""
    with _kept(runner, SMALL) as kept:
        data = kept.dump()
        yield lambda: {"durable.restore": _mean(lambda: seconds(_length, runner, lambda: runner.restored(data)))}


@contextmanager
def open_fork(runner: Runner) -> Generator[Sample, None, None]:
    """The fork's end is part of the time."""
    with _kept(runner, SMALL) as kept:
        numbers = itertools.count()

        def fork() -> float:
            kept.run(f"changed = {next(numbers)}")
            return seconds(_length, runner, kept.fork)

        yield lambda: {"durable.fork": _mean(fork)}


@contextmanager
def open_resume(runner: Runner) -> Generator[Sample, None, None]:
    """The loop ran before, once: a peer that runs it again to get where it was pays for it each time."""
    with runner.paused(_PAUSED + runner.value) as dump:
        data = dump()
        expect(runner.resumed(data, 7), 3_000_007)
        yield lambda: {"durable.resume": seconds(runner.resumed, data, 7)}


def open_size(metric: str, setup: str) -> Callable[[Runner], AbstractContextManager[Sample]]:
    """Return a task's opener: how many bytes a session takes."""

    @contextmanager
    def opened(runner: Runner) -> Generator[Sample, None, None]:
        with _kept(runner, setup) as kept:
            yield lambda: {metric: float(len(kept.dump()))}

    return opened


@contextmanager
def _kept(runner: Runner, setup: str) -> Generator[Kept, None, None]:
    """Give a session in which the program has run, and whose bytes have been seen to hold what it made."""
    with runner.kept() as kept:
        kept.run(runner.opening + setup)
        data = kept.dump()
        expect(_length(runner, lambda: runner.restored(data)), _LENGTHS[setup])
        expect(_length(runner, kept.fork), _LENGTHS[setup])
        yield kept


def _mean(measure: Callable[[], float]) -> float:
    """Return the mean of a few: alone, one would mostly show what the machine did for others."""
    return sum(measure() for _ in range(_FEW)) / _FEW


def _length(runner: Runner, session: Callable[[], AbstractContextManager[Callable[[str], object]]]) -> object:
    with session() as run:
        return run(_LENGTH + runner.value)
