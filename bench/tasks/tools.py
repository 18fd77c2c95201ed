"""A program calls a host function: guest to host and back."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from cloche.bench.adapters.base import Run, Runner
from cloche.bench.tasks.base import Sample, expect, seconds

__all__ = ["ROWS", "add", "ask", "echo_data", "echo_text", "find_rows", "look_up", "open_calls"]

ROWS: list[dict[str, Any]] = [
    {"id": number, "name": f"customer {number}", "score": number / 7, "active": number % 3 == 0}
    for number in range(10_000)
]
_PRICES = {"apples": 3, "pears": 4, "plums": 6}
# Calls in one program, so that the program's own start disappears beside them.
_MAX_CALLS = 500
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
    count = max(1, min(_MAX_CALLS, int(_BATCH / seconds(run, once))))
    many = f"for i in range({count}):\n    {once}"
    return lambda: {metric: seconds(run, many) / count}


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def ask(question: str) -> int:
    """Ask a person. It is never called: whoever resumes the program gives the answer."""
    raise RuntimeError(f"there is no answer to {question}")


def echo_text(text: str) -> str:
    """Return the text."""
    return text


def echo_data(data: bytes) -> bytes:
    """Return the data."""
    return data


def find_rows() -> list[dict[str, Any]]:
    """Return ten thousand rows."""
    return ROWS


def look_up(name: str) -> dict[str, Any]:
    """Return what is known of a fruit.

    Args:
        name: The fruit's name.
    """
    return {"name": name, "price": _PRICES[name], "stock": 10 * len(name)}
