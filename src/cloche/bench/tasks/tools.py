"""A program calls a host function: guest to host and back."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from cloche.bench.adapters.base import Run, Runner
from cloche.bench.tasks.base import Sample, expect
from cloche.bench.tasks.clock import seconds

__all__ = ["open_calls"]

# Calls in one program, so that the program's own start disappears beside them.
_MOST = 500
_BATCH = 0.02


def open_calls(
    metric: str, setup: str, call: str, check: str, expected: Any
) -> Callable[[Runner], AbstractContextManager[Sample]]:
    """Return a task's opener: programs that do nothing but ``call`` in a loop; the seconds are those of one call.

    ``check`` is an expression of ``value``, what the call returned, that has to give ``expected``.
    """

    @contextmanager
    def opened(runner: Runner) -> Generator[Sample, None, None]:
        with runner.session() as run:
            run(runner.opening + setup)
            once = f"value = {runner.awaits}{call}"
            expect(run(f"{once}\nresult = {check}{runner.value}"), expected)
            yield _sampler(metric, run, once)

    return opened


def _sampler(metric: str, run: Run, once: str) -> Sample:
    count = max(1, min(_MOST, int(_BATCH / seconds(run, once))))
    many = f"for i in range({count}):\n    {once}"
    return lambda: {metric: seconds(run, many) / count}
