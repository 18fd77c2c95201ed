"""Taking the time."""

from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any

__all__ = ["IN_A_ROW", "seconds", "seconds_each", "seconds_in_a_row"]

IN_A_ROW = 10
"""Short actions are timed so many at once: what the machine did meanwhile for somebody else is not theirs."""


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


def seconds_each(action: Callable[[], Any], least: float) -> float:
    """Return the seconds of one call, from calls back to back for at least that long."""
    count = 0
    start = now = perf_counter()
    while now - start < least:
        action()
        count += 1
        now = perf_counter()
    return (now - start) / count
