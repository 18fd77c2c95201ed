"""What to write instead where a call cannot wait: built-in code on the stack cannot be left and entered again."""

import linecache
from types import FrameType

from cloche_guest.whereabouts import snippet_frame

__all__ = ["advice"]

_LONGEST = 80
_AWAIT = (
    "{tool}() has to wait for its answer, and a plain call inside a task cannot: "
    "write `await asyncio.to_thread({tool}, ...)`, or await the coroutine directly instead of making a task of it"
)
_LOOP = (
    "{tool}() has to wait for its answer, and cannot while built-in code calls the program back{place}: "
    "make the calls in a plain for loop first and use their values, as in `answers = [{tool}(x) for x in items]`"
)


def advice(tool: str, caller: FrameType | None) -> str:
    """Return the text of CannotSuspendHere. ``caller`` is the frame that called the built-in code, if known."""
    if caller is not None and _module(caller).partition(".")[0] == "asyncio":
        return _AWAIT.format(tool=tool)
    return _LOOP.format(tool=tool, place=_place(caller))


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def _place(caller: FrameType | None) -> str:
    frame = snippet_frame(caller)
    if frame is None:
        return ""
    text = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return f", at line {frame.f_lineno}: `{shown}`"
