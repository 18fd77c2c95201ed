"""What a task is, and how its samples are timed."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from cloche.bench.adapters.base import Runner

__all__ = [
    "IN_A_ROW",
    "GaveUp",
    "Sample",
    "Task",
    "WrongAnswer",
    "expect",
    "seconds",
    "seconds_each",
    "seconds_in_a_row",
]

IN_A_ROW = 10
"""So many short actions are timed together: alone, one would mostly show what the machine did for others."""

Sample = Callable[[], dict[str, float]]
"""Measures once. Gives one number for each metric: seconds, bytes, or runs per second."""


class WrongAnswer(Exception):
    """The peer ran the program and got something else than CPython."""


class GaveUp(Exception):
    """The peer can do it, but not within the time or memory that the benchmark allows."""


@dataclass(frozen=True)
class Task:
    """One thing to measure.

    ``open``   opens it on a peer, checks once that the peer gets it right, and gives the function that measures.
    ``tools``  the host functions that programs may call, by name.
    """

    open: Callable[[Runner], AbstractContextManager[Sample]]
    tools: dict[str, Callable[..., Any]] = field(default_factory=dict[str, Callable[..., Any]])


def expect(found: Any, expected: Any) -> None:
    """Raise WrongAnswer unless the two look the same, as ``repr`` shows them."""
    if repr(found) != repr(expected):
        raise WrongAnswer(f"expected {_brief(expected)}, got {_brief(found)}")


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def seconds(action: Callable[..., Any], *arguments: Any) -> float:
    """Return the seconds that one call takes."""
    start = perf_counter()
    action(*arguments)
    return perf_counter() - start


def seconds_in_a_row(actions: Iterable[Callable[[], Any]]) -> float:
    """Return the seconds of one action, from actions back to back. Making them is not part of the time."""
    ready = list(actions)
    start = perf_counter()
    for action in ready:
        action()
    return (perf_counter() - start) / len(ready)


def seconds_each(action: Callable[[], Any], min_seconds: float) -> float:
    """Return the seconds of one call, from calls back to back for at least ``min_seconds``."""
    count = 0
    start = now = perf_counter()
    while now - start < min_seconds:
        action()
        count += 1
        now = perf_counter()
    return (now - start) / count
