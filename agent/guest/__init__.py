"""The program that an agent runs in its guest before the model's: read as text, never imported here."""

import functools
from importlib.resources import files

__all__ = ["setup_text"]


@functools.cache
def setup_text() -> str:
    """Return the program that a new session runs first; it wants ``_allowed_imports`` to be set."""
    return files("cloche.agent.guest").joinpath("setup.py").read_text(encoding="utf-8")
