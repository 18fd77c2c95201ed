"""A fresh isolate: made, used for one program, dropped."""

import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from cloche.bench.adapters.base import Runner
from cloche.bench.tasks.base import IN_A_ROW, Sample, expect, seconds, seconds_each, seconds_in_a_row

__all__ = ["open_paused", "open_sustained", "open_tools"]

TRIVIAL = "x = 1"
IMPORTS = "import json, re, datetime, decimal"
# Before each sample, so that a peer that keeps a pool of ready isolates has refilled it.
_PAUSE = 0.003
# Longer than any pool lasts.
_BATCH = 0.1


def open_paused(metric: str, code: str) -> Callable[[Runner], AbstractContextManager[Sample]]:
    """Return a task's opener: one program at a time, with a pause before it that is not measured."""

    @contextmanager
    def opened(runner: Runner) -> Generator[Sample, None, None]:
        _check(runner)

        def sample() -> dict[str, float]:
            time.sleep(_PAUSE)
            return {metric: seconds(runner.fresh, code)}

        yield sample

    return opened


@contextmanager
def open_sustained(runner: Runner) -> Generator[Sample, None, None]:
    """Run the trivial program again and again without a pause; the refilling of pools is paid for."""
    _check(runner)
    yield lambda: {"fresh.sustained": seconds_each(lambda: runner.fresh(TRIVIAL), _BATCH)}


@contextmanager
def open_tools(runner: Runner) -> Generator[Sample, None, None]:
    """The trivial program in a new session that could call host functions; its end is part of the time."""

    def session(code: str) -> object:
        with runner.session() as run:
            return run(runner.opening + code)

    expect(session(f"result = {runner.awaits}add(a=1, b=2)" + runner.value), 3)
    yield lambda: {"fresh.tools": seconds_in_a_row([partial(session, TRIVIAL)] * IN_A_ROW)}


def _check(runner: Runner) -> None:
    expect(runner.fresh("result = 6 * 7" + runner.value), 42)
