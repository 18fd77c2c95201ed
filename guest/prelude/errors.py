"""From an exception to what the host is told of it."""

from typing import Any, TypedDict

from cloche_guest.caps import CAPS
from cloche_guest.tracebacks import line_in, tidy, written

__all__ = ["ErrorReport", "describe", "refuse"]

_LONGEST_NAME = 200
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
        return _report("exception", error, _shorten(written(error), CAPS.traceback), line_in(error, filename))
    except BaseException:  # a __str__ that raises, no memory left: say what is surely sayable
        return _report("exception", error, "", None)


def refuse(error: Exception) -> ErrorReport:
    """Describe a value that cannot be sent: kind ``unserializable``, or ``too_large`` where only its size is wrong."""
    return _report("unserializable" if isinstance(error, TypeError) else "too_large", error, "", None)


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
        return _shorten(str(error), CAPS.message)
    except BaseException as second:  # the program's own __str__ may do anything
        return f"<no message: str() of the exception raised {_short(_name_of(type(second)))}>"


def _short(name: str) -> str:
    """Return a name as far as anyone reads it; a class can be called anything, at any length."""
    return _plain(str.__getitem__(name, slice(_LONGEST_NAME)))


def _plain(text: str) -> str:
    """Return exactly a str, without the lone surrogates that UTF-8 cannot carry."""
    return str.encode(text, "utf-8", "backslashreplace").decode()


def _shorten(text: str, most: int) -> str:
    """Keep the beginning and the end: in a traceback the end matters most."""
    size = str.__len__(text)
    if size <= most:
        return _plain(text)
    note = f"\n... {size - most} characters left out ...\n"
    room = max(0, most - len(note))
    head = str.__getitem__(text, slice(0, room // 2))
    tail = str.__getitem__(text, slice(size - (room - room // 2), size))
    return _plain((head + note + tail)[:most])
