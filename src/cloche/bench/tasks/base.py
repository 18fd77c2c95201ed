"""What a task is: something that opens on a peer and then gives one sample after another."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from cloche.bench.adapters.base import Runner

__all__ = ["GaveUp", "Sample", "Task", "WrongAnswer"]

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
