"""Programs in one session: the next one, the same again, and ten turns of an agent."""

import itertools
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from cloche.bench.adapters.base import Runner
from cloche.bench.tasks.base import IN_A_ROW, Sample, WrongAnswer, expect, seconds, seconds_in_a_row

__all__ = ["open_next", "open_repeat", "open_transcript"]

_FILE = Path(__file__).parents[1] / "programs" / "transcript.txt"
_RESULT = [25, 60, 60, 12, 50]


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
