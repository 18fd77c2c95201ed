"""The next program in a session."""

import itertools
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial

from cloche.bench.adapters.base import Runner
from cloche.bench.tasks.base import Sample, expect
from cloche.bench.tasks.clock import IN_A_ROW, seconds_in_a_row

__all__ = ["open_next", "open_repeat"]


@contextmanager
def open_next(runner: Runner) -> Generator[Sample, None, None]:
    """A program that the session has not seen before, as every turn of an agent is one."""
    texts = (f"x = {number}" for number in itertools.count())
    with runner.session() as run:
        run("x = 41")
        expect(run("result = x + 1" + runner.value), 42)
        yield lambda: {"session.next": seconds_in_a_row(partial(run, next(texts)) for _ in range(IN_A_ROW))}


@contextmanager
def open_repeat(runner: Runner) -> Generator[Sample, None, None]:
    """The same text each time, which a peer may have kept compiled."""
    with runner.session() as run:
        run("x = 1")
        yield lambda: {"session.repeat": seconds_in_a_row([partial(run, "x = 1")] * IN_A_ROW)}
