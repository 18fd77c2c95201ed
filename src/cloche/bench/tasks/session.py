"""The next program in a session."""

import itertools
from collections.abc import Generator
from contextlib import contextmanager

from cloche.bench.adapters.base import Runner
from cloche.bench.tasks.base import Sample, expect
from cloche.bench.tasks.clock import seconds

__all__ = ["open_next", "open_repeat"]


@contextmanager
def open_next(runner: Runner) -> Generator[Sample, None, None]:
    """A program that the session has not seen before, as every turn of an agent is one."""
    texts = (f"x = {number}" for number in itertools.count())
    with runner.session() as run:
        run("x = 41")
        expect(run("result = x + 1" + runner.value), 42)
        yield lambda: {"session.next": seconds(run, next(texts))}


@contextmanager
def open_repeat(runner: Runner) -> Generator[Sample, None, None]:
    """The same text each time, which a peer may have kept compiled."""
    with runner.session() as run:
        run("x = 1")
        yield lambda: {"session.repeat": seconds(run, "x = 1")}
