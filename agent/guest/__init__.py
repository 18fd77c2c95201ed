"""The program that an agent runs in its guest before the model's: read as text, never imported here."""

import functools
from importlib.resources import files
from typing import Any

__all__ = ["RECLAIM", "reclaimed_note", "setup_text"]

RECLAIM = "_reclaim_tools()"
"""Gives the names of tools back to the tools; its value are those that a program had taken."""


@functools.cache
def setup_text() -> str:
    """Return the program that a new session runs first; it wants ``_allowed_imports`` to be set."""
    return files("cloche.agent.guest").joinpath("setup.py").read_text(encoding="utf-8")


def reclaimed_note(result: Any) -> str:
    """Return what a model is shown of names that it had taken; empty where there are none."""
    names = result.value if isinstance(result.value, list) else []
    if not names:
        return ""
    listed = ", ".join(repr(name) for name in names)
    which = "is one of your functions" if len(names) == 1 else "are your functions"
    return f"\n\nNote: {listed} {which}: what your program called so is gone. Use other names for variables."
