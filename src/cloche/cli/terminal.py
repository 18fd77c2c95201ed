"""A run's events on the terminal, as they happen."""

import sys

from cloche.cli.harmless import harmless
from cloche.runtime.errors import GuestError, GuestException
from cloche.runtime.events import Event, Output

__all__ = ["error_text", "write_event"]


def write_event(event: Event) -> None:
    """Write a program's output to stdout or stderr, harmless to terminals, and flush it; other events are nothing.

    What the streams raise, such as BrokenPipeError, comes out.
    """
    if isinstance(event, Output):
        stream = sys.stdout if event.stream == "stdout" else sys.stderr
        stream.write(harmless(event.text))
        stream.flush()


def error_text(error: GuestError) -> str:
    """Return an error as a person reads it: the guest's traceback if it has one, else its type and message."""
    if isinstance(error, GuestException) and error.traceback:
        return harmless(error.traceback.rstrip())
    return harmless(f"{type(error).__name__}: {error}")
