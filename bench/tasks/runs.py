"""Programs in a fresh isolate, made, used once and dropped, and in one session: the next, the same again, ten turns."""

import itertools
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from cloche.bench.adapters.base import Runner
from cloche.bench.tasks.base import IN_A_ROW, Sample, WrongAnswer, expect, seconds, seconds_each, seconds_in_a_row

__all__ = [
    "IMPORTS",
    "TRIVIAL",
    "open_feeds",
    "open_next",
    "open_paused",
    "open_repeat",
    "open_sustained",
    "open_tools",
    "open_transcript",
]

TRIVIAL = "x = 1"
IMPORTS = "import json, re, datetime, decimal"
# Before each sample, so that a peer that keeps a pool of ready isolates has refilled it.
_PAUSE = 0.003
# Longer than any pool lasts.
_BATCH = 0.1
_FILE = Path(__file__).parents[1] / "programs" / "transcript.txt"
_RESULT = [25, 60, 60, 12, 50]


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


@contextmanager
def open_next(runner: Runner) -> Generator[Sample, None, None]:
    """A program that the session has not seen before, as every turn of an agent is one."""
    texts = (f"x = {number}" for number in itertools.count())
    with runner.session() as run:
        run("x = 41")
        expect(run("result = x + 1" + runner.value), 42)
        yield lambda: {"session.next": seconds_in_a_row(partial(run, next(texts)) for _ in range(IN_A_ROW))}


def open_repeat(metric: str) -> Callable[[Runner], AbstractContextManager[Sample]]:
    """Return a task's opener: the same text each time, which a peer may have kept compiled."""

    @contextmanager
    def opened(runner: Runner) -> Generator[Sample, None, None]:
        with runner.session() as run:
            run(runner.opening + "x = 1")
            expect(run("result = x + 41" + runner.value), 42)
            yield lambda: {metric: seconds_in_a_row([partial(run, "x = 1")] * IN_A_ROW)}

    return opened


@contextmanager
def open_transcript(runner: Runner) -> Generator[Sample, None, None]:
    """The session's making and ending are part of the time."""
    turns = _turns(runner)
    expect(_play(runner, turns), _RESULT)
    yield lambda: {"transcript": seconds(_play, runner, turns)}


@contextmanager
def open_feeds(runner: Runner) -> Generator[Sample, None, None]:
    """Ten programs that only compute a little, in a new session, whose making and ending count."""
    middle = [f"total += {number}" for number in range(8)]
    feeds = [runner.opening + "total = 0", *middle, "result = total" + runner.value]
    expect(_play(runner, feeds), 28)
    yield lambda: {"feeds": seconds(_play, runner, feeds)}


def _turns(runner: Runner) -> list[str]:
    text = _FILE.read_text(encoding="utf-8").replace("AWAIT ", runner.awaits)
    first, *others = text.split("# turn\n")[1:]
    turns = [runner.opening + first, *others]
    if len(turns) != 10:
        raise WrongAnswer(f"the transcript has {len(turns)} turns instead of 10")
    return turns[:-1] + [turns[-1] + runner.value]


def _play(runner: Runner, turns: list[str]) -> object:
    with runner.session() as run:
        for turn in turns[:-1]:
            run(turn)
        return run(turns[-1])
