"""Ten turns of an agent: a fresh session, ten small programs with one tool call each, and what they keep."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cloche.bench.adapters.base import Runner
from cloche.bench.tasks.base import Sample, WrongAnswer, expect
from cloche.bench.tasks.clock import seconds

__all__ = ["open_transcript"]

_FILE = Path(__file__).parents[1] / "programs" / "transcript.txt"
_RESULT = [25, 60, 60, 12, 50]


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
