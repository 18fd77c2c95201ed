"""Where in the program's own text something happens."""

from inspect import currentframe
from types import FrameType

from cloche_guest.sources import is_snippet

__all__ = ["snippet_frame", "snippet_line"]


def snippet_frame(frame: FrameType | None) -> FrameType | None:
    """Return the innermost frame of a snippet, from ``frame`` on outwards; None if there is none."""
    while frame is not None and not is_snippet(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def snippet_line() -> int | None:
    """Return the line, from 1, that the program is at, in whichever snippet that is."""
    frame = snippet_frame(currentframe())
    return None if frame is None else frame.f_lineno
