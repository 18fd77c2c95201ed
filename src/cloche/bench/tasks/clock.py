"""Taking the time."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

__all__ = ["seconds", "seconds_each"]


def seconds(action: Callable[..., Any], *arguments: Any) -> float:
    """Return the seconds that one call takes."""
    start = perf_counter()
    action(*arguments)
    return perf_counter() - start


def seconds_each(action: Callable[[], Any], least: float) -> float:
    """Return the seconds of one call, from calls back to back for at least that long."""
    count = 0
    start = now = perf_counter()
    while now - start < least:
        action()
        count += 1
        now = perf_counter()
    return (now - start) / count
