"""Ready-made constraints on one argument, for ``Policy(arguments=...)``."""

import re
from collections.abc import Callable
from typing import Any

__all__ = ["Constraint", "at_most", "between", "longest", "matching", "one_of"]

Constraint = Callable[[Any], object]
"""Judges one argument: True allows it, text is the reason why not; all else, and an exception, denies as well."""


def one_of(*allowed: Any) -> Constraint:
    """Allow these values only."""

    def check(value: Any) -> object:
        return value in allowed or f"it must be one of {', '.join(map(repr, allowed))}"

    return check


def at_most(most: Any) -> Constraint:
    """Allow what is not greater than ``most``; a nan is never allowed."""

    def check(value: Any) -> object:
        return bool(value <= most) or f"it must be at most {most}"

    return check


def between(least: Any, most: Any) -> Constraint:
    """Allow what is neither less than ``least`` nor greater than ``most``."""

    def check(value: Any) -> object:
        return bool(least <= value <= most) or f"it must be from {least} to {most}"

    return check


def longest(most: int) -> Constraint:
    """Allow text, bytes and containers of at most so many characters, bytes or items."""

    def check(value: Any) -> object:
        return len(value) <= most or f"it must not be longer than {most}, and has {len(value)}"

    return check


def matching(pattern: str) -> Constraint:
    """Allow text that the regular expression matches as a whole."""
    compiled = re.compile(pattern)

    def check(value: Any) -> object:
        return compiled.fullmatch(value) is not None or f"it must match {pattern!r}"

    return check
