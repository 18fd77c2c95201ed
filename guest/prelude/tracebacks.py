"""Errors as the host receives them, with the traceback a program's author expects.

It shows the author's own lines, and the library's below, and nothing of the sandbox.
"""

import traceback
from collections.abc import Iterator, Sequence
from traceback import FrameSummary, StackSummary
from types import TracebackType
from typing import Any, TypedDict, cast

from cloche_guest.sources import is_snippet
from cloche_guest.state import CAPS
from cloche_guest.unsupported.reasons import put

__all__ = ["ErrorReport", "describe", "install", "line_in", "refuse", "shorten", "tidy", "written"]

_PRELUDE = __name__.partition(".")[0]
# Chains and groups may be endless; what is not visited keeps its traceback as it is.
_MAX_EXCEPTIONS = 64
# Deeper than Python's own recursion limit, so only programs that raised it are cut.
_MAX_FRAMES = 2_000

_MAX_KEPT = 16
_MAX_NAME = 200
_format_frame = StackSummary.format_frame_summary
_kept: dict[tuple[object, ...], str] = {}
_module_of = type.__dict__["__module__"].__get__
_name_of = type.__dict__["__name__"].__get__


class ErrorReport(TypedDict):
    """An error as it crosses: all texts plain and capped; ``line`` is one of the current snippet, from 1."""

    kind: str
    type: str
    module: str
    message: str
    traceback: str
    line: int | None


def describe(error: BaseException, filename: str) -> ErrorReport:
    """Describe an exception of the snippet compiled as ``filename``; never raises, whatever the exception is like."""
    try:
        tidy(error)
        return _report("exception", error, shorten(written(error), CAPS.traceback), line_in(error, filename))
    except BaseException:  # a __str__ that raises, no memory left: say what is surely sayable
        return _report("exception", error, "", None)


def refuse(error: Exception) -> ErrorReport:
    """Describe a value that cannot be sent: kind ``unserializable``, or ``too_large`` where only its size is wrong."""
    return _report("unserializable" if isinstance(error, TypeError) else "too_large", error, "", None)


def install() -> None:
    """Make long recursions cheap to print: Python formats each of their frames, then leaves out the repeated ones."""
    put(StackSummary, format_frame_summary=_format_frame_once)


def _format_frame_once(stack: StackSummary, frame: FrameSummary, **options: Any) -> str:
    key = (frame.filename, frame.lineno, frame.colno, frame.end_colno, frame.end_lineno, frame.name, frame.line)
    if frame.locals or options.get("colorize"):
        return _format_frame(stack, frame, **options)
    if key not in _kept:
        if len(_kept) >= _MAX_KEPT:
            _kept.clear()
        _kept[key] = _format_frame(stack, frame, **options)
    return _kept[key]


def tidy(error: BaseException) -> None:
    """Drop the sandbox's frames from the traceback of an exception, its causes and its group's members.

    A chain longer than 64 exceptions is cut there.
    """
    todo, seen = [error], {id(error)}
    while todo and len(seen) <= _MAX_EXCEPTIONS:
        current = todo.pop()
        current.__traceback__ = _tidied(current.__traceback__)
        todo += [other for other in _related(current) if id(other) not in seen]
        seen.update(map(id, todo))
    for rest in todo:
        rest.__cause__ = rest.__context__ = None


def written(error: BaseException) -> str:
    """Return the traceback's text, as Python prints it, without colours."""
    return "".join(traceback.format_exception(error))


def line_in(error: BaseException, filename: str) -> int | None:
    """Return the line, from 1, where the error left the snippet: its innermost frame, or where its syntax is wrong."""
    lines = [tb.tb_lineno for tb in _entries(error.__traceback__) if tb.tb_frame.f_code.co_filename == filename]
    if lines:
        return lines[-1]
    # No frame at all: it was never run.
    return error.lineno if isinstance(error, SyntaxError) and is_snippet(error.filename or "") else None


def _entries(entry: TracebackType | None) -> Iterator[TracebackType]:
    while entry is not None:
        yield entry
        entry = entry.tb_next


def _related(error: BaseException) -> Iterator[BaseException]:
    for other in (error.__cause__, error.__context__):
        if other is not None:
            yield other
    if isinstance(error, BaseExceptionGroup):
        members: Sequence[BaseException] = cast("BaseExceptionGroup[BaseException]", error).exceptions
        yield from members[:_MAX_EXCEPTIONS]


def _tidied(start: TracebackType | None) -> TracebackType | None:
    kept = _from_snippet([entry for entry in _entries(start) if not _is_ours(entry)])
    if len(kept) > _MAX_FRAMES:
        kept = kept[: _MAX_FRAMES // 2] + kept[-_MAX_FRAMES // 2 :]
    rebuilt: TracebackType | None = None
    for entry in reversed(kept):
        rebuilt = TracebackType(rebuilt, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return rebuilt


def _from_snippet(entries: list[TracebackType]) -> list[TracebackType]:
    """Drop what lies before the first frame of a snippet: the event loop's frames, when a task failed."""
    for index, entry in enumerate(entries):
        if is_snippet(entry.tb_frame.f_code.co_filename):
            return entries[index:]
    return entries


def _is_ours(entry: TracebackType) -> bool:
    name = entry.tb_frame.f_globals.get("__name__")
    return isinstance(name, str) and name.partition(".")[0] == _PRELUDE


def _report(kind: str, error: BaseException, traceback: str, line: int | None) -> ErrorReport:
    cls = type(error)
    module: Any = _module_of(cls)
    return {
        "kind": kind,
        "type": _short(_name_of(cls)),
        "module": _short(module) if isinstance(module, str) else "",
        "message": _message(error),
        "traceback": traceback,
        "line": line,
    }


def _message(error: BaseException) -> str:
    try:
        return shorten(str(error), CAPS.message)
    except BaseException as second:  # the program's own __str__ may do anything
        return f"<no message: str() of the exception raised {_short(_name_of(type(second)))}>"


def _short(name: str) -> str:
    """Return a name as far as anyone reads it; a class can be called anything, at any length."""
    return _plain(str.__getitem__(name, slice(_MAX_NAME)))


def _plain(text: str) -> str:
    """Return exactly a str, without the lone surrogates that UTF-8 cannot carry."""
    return str.encode(text, "utf-8", "backslashreplace").decode()


def shorten(text: str, limit: int) -> str:
    """Keep the beginning and the end: in a traceback the end matters most."""
    size = str.__len__(text)
    if size <= limit:
        return _plain(text)
    note = f"\n... {size - limit} characters left out ...\n"
    room = max(0, limit - len(note))
    head = str.__getitem__(text, slice(0, room // 2))
    tail = str.__getitem__(text, slice(size - (room - room // 2), size))
    return _plain((head + note + tail)[:limit])
