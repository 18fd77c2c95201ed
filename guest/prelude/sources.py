"""The source text of snippets, kept so that tracebacks can show their lines, and the line a program is at."""

import inspect
import linecache
from inspect import currentframe
from itertools import count
from types import FrameType, FunctionType
from typing import Any

from cloche_guest import state
from cloche_guest.unsupported.reasons import put

__all__ = ["forget", "getlines", "install", "is_snippet", "register", "snippet_frame", "snippet_line"]

# A function defined long ago may still raise; older sources than this show no lines any more.
_MAX_KEPT = 256
_numbers = count(1)
_getlines = linecache.getlines
_getfile = inspect.getfile


def register(source: str, filename: str = "") -> str:
    """Keep a snippet's source and return the name to compile it under, which is unique among the sources kept.

    No name gives ``<run 1>``, ``<run 2>`` and so on; a name used before for other text gets a number too.
    """
    name = filename or f"<run {next(_numbers)}>"
    known = state.current.sources
    if known.get(name, source) != source:
        name = f"{name} ({next(_numbers)})"
    known.pop(name, None)
    known[name] = source
    if len(known) > _MAX_KEPT:
        oldest = next(iter(known))
        del known[oldest]
        linecache.cache.pop(oldest, None)
    return name


def is_snippet(filename: str) -> bool:
    """Tell whether a code object's file name is that of a snippet still kept."""
    return filename in state.current.sources


def getlines(filename: str, module_globals: dict[str, Any] | None = None) -> list[str]:
    """Do what ``linecache.getlines`` does, for snippets too; their lines are split here, as few are ever asked for."""
    source = state.current.sources.get(filename)
    if source is not None and filename not in linecache.cache:
        lines = source.splitlines(keepends=True)
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        # No modification time: linecache never tries to compare it with a file.
        linecache.cache[filename] = (len(source), None, lines, filename)
    return _getlines(filename, module_globals)


def getfile(object: Any) -> str:
    """Do what ``inspect.getfile`` does, but name the snippet of a program's class, not the one file of ``__main__``."""
    if isinstance(object, type) and vars(object).get("__module__") == "__main__":
        return _snippet_of(object) or _getfile(object)
    return _getfile(object)


def _snippet_of(made: type) -> str | None:
    for part in vars(made).values():
        if isinstance(part, FunctionType) and part.__module__ == "__main__" and is_snippet(part.__code__.co_filename):
            return part.__code__.co_filename
    line = vars(made).get("__firstlineno__", 0)
    for name in reversed(state.current.sources):
        if f"class {made.__name__}" in "".join(getlines(name)[line - 1 : line + 20]):
            return name
    return None


def install() -> None:
    """Let linecache and inspect find the lines of snippets, and with them every module that shows source lines."""
    put(linecache, getlines=getlines)
    put(getfile, __module__="inspect")
    put(inspect, getfile=getfile)


def forget() -> None:
    """Forget all snippets, and begin to count anew."""
    global _numbers
    for name in state.current.sources:
        linecache.cache.pop(name, None)
    state.current.sources.clear()
    _numbers = count(1)


def snippet_frame(frame: FrameType | None) -> FrameType | None:
    """Return the innermost frame of a snippet, from ``frame`` on outwards; None if there is none."""
    while frame is not None and not is_snippet(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def snippet_line() -> int | None:
    """Return the line, from 1, that the program is at, in whichever snippet that is."""
    frame = snippet_frame(currentframe())
    return None if frame is None else frame.f_lineno
