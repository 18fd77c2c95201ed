"""What a run prints: events, values and errors as text for a terminal, and whole results as JSON."""

import base64
import math
import os
import reprlib
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from cloche.cli.exit_codes import CommandError, exit_code
from cloche.runtime._imports import need
from cloche.runtime._terminal import harmless, one_line
from cloche.runtime.errors import ConfigurationError, GuestError, GuestException, LimitExceeded
from cloche.runtime.result import Display, Event, Output, Result, ToolCallRecord

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "brief_repr",
    "compiling",
    "error_text",
    "full_repr",
    "json_value",
    "make_console",
    "need_package",
    "result_json",
    "show_result",
    "write_event",
]

# Python writes no longer int in decimal, and few JSON parsers read one.
_MAX_BITS = 8_192
_TICK = 0.5


def make_console(*, stderr: bool = False) -> "Console":
    """Return a console on stdout or stderr that interprets no markup, emoji or highlighting in what it is given.

    Raises CommandError, saying what to install, if rich is missing.
    """
    need_package("rich", "cli", "  (run and info work without it)")
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def need_package(module: str, extra: str, note: str = "") -> None:
    """Raise CommandError, saying what to install, if the package of an extra is missing."""
    try:
        need(module, extra, what="this command")
    except ConfigurationError as error:
        raise CommandError(f"{error.problem}{note}") from error


def full_repr(value: object) -> str:
    """Return the value's repr, harmless to show; abridged only where Python refuses to write it out."""
    try:
        return harmless(repr(value))
    except (ValueError, RecursionError):
        # Python writes no int of more than 4,300 digits.
        return harmless(_ABRIDGED.repr(value))


def brief_repr(value: object, width: int) -> str:
    """Return the value's repr on one line of at most ``width`` characters, at a cost that does not grow with it."""
    return one_line(_ABRIDGED.repr(value), width)


class _Abridged(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 12
        self.maxstring = self.maxother = 200
        self.maxlong = 80

    def repr_int(self, x: int, level: int) -> str:
        """Return the digits, or how many bits a very long one has."""
        return f"<int of {x.bit_length()} bits>" if x.bit_length() > 1024 else super().repr_int(x, level)

    def repr_bytes(self, x: bytes, level: int) -> str:
        """Return the repr of the first bytes: repr of all of them may be four times the value's size."""
        return repr(x) if len(x) <= self.maxstring else f"{x[: self.maxstring]!r}..."

    def repr_instance(self, x: Any, level: int) -> str:
        """Return the repr of anything else, or its type where that fails."""
        try:
            return super().repr_instance(x, level)
        except RecursionError:
            return f"<{type(x).__name__}>"


_ABRIDGED = _Abridged()


def write_event(event: Event) -> None:
    """Write a program's output to stdout or stderr, harmless to terminals, and flush it; other events are nothing.

    Errors of the streams, such as BrokenPipeError, are raised.
    """
    if isinstance(event, Output):
        stream = sys.stdout if event.stream == "stdout" else sys.stderr
        stream.write(harmless(event.text))
        stream.flush()


@contextmanager
def compiling(path: str) -> Generator[None]:
    """Show on a terminal, in a line that is gone afterwards, that an image is being compiled, and for how long.

    It happens once for each image and machine, and takes from seconds to a minute.
    """
    if not sys.stderr.isatty():
        yield
        return
    done, began = threading.Event(), time.monotonic()
    megabytes = os.path.getsize(path) >> 20

    def show() -> None:
        while not done.wait(_TICK):
            seconds = int(time.monotonic() - began)
            text = f"compiling the image for this machine ({megabytes} MiB, once): {seconds} s"
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    shower = threading.Thread(target=show, name="cloche-compiling", daemon=True)
    shower.start()
    try:
        yield
    finally:
        done.set()
        shower.join()
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def show_result(result: Result[Any]) -> int:
    """Print the value to stdout, or the error to stderr, and return the run's exit code."""
    if result.error is not None:
        print(error_text(result.error), file=sys.stderr)
    elif result.value is not None:
        # What the guest writes, of a value that is another one here.
        print(harmless(result.value_text) if result.value_text else full_repr(result.value))
    return exit_code(result.error, result.exit_code)


def error_text(error: GuestError) -> str:
    """Return an error as a person reads it: the guest's traceback if it has one, else its type and message."""
    if isinstance(error, GuestException) and error.traceback:
        return harmless(error.traceback.rstrip())
    return harmless(f"{type(error).__name__}: {error}")


def result_json(result: Result[Any]) -> dict[str, Any]:
    """Return the whole result as plain JSON data."""
    return {
        **_valued("value", result.value),
        "value_type": type(result.value).__name__,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "error": None if result.error is None else error_json(result.error),
        "usage": result.usage._asdict(),
        "calls": [_call_json(call) for call in result.calls],
        "rolled_back": result.rolled_back,
        "displays": [{"kind": each.kind, "data": _formats(each)} for each in result.displays],
    }


def _formats(display: Display) -> dict[str, str]:
    return {
        mime: base64.b64encode(content).decode() if isinstance(content, bytes) else content
        for mime, content in display.data.items()
    }


def error_json(error: GuestError) -> dict[str, Any]:
    """Return an error; ``exception``, ``line`` and ``traceback`` are the guest's, ``used`` and ``limit`` a limit's."""
    raised = error if isinstance(error, GuestException) else None
    limit = error if isinstance(error, LimitExceeded) else None
    return {
        "type": type(error).__name__,
        "message": raised.message if raised else str(error),
        "exception": raised.type_name if raised else None,
        "line": raised.line if raised else None,
        "traceback": raised.traceback if raised else None,
        "used": limit.used if limit else None,
        "limit": limit.limit if limit else None,
    }


def json_value(value: object) -> Any:
    """Return the value as JSON data; tuples become lists. Raises TypeError for what JSON cannot hold exactly."""
    if value is None or type(value) in (bool, str):
        return value
    if type(value) is int and value.bit_length() <= _MAX_BITS:
        return value
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is list or isinstance(value, tuple):
        return [json_value(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return _object(cast("dict[object, object]", value))
    raise TypeError(f"JSON has no {type(value).__name__}")


def _object(value: dict[object, object]) -> dict[str, Any]:
    if any(type(key) is not str for key in value):
        raise TypeError("JSON has no keys but strings")
    return {str(key): json_value(item) for key, item in value.items()}


def _valued(name: str, value: object) -> dict[str, Any]:
    """Return a value under its name, and ``<name>_repr``: None, or its text where JSON cannot hold it."""
    try:
        return {name: json_value(value), f"{name}_repr": None}
    except (TypeError, RecursionError):
        return {name: None, f"{name}_repr": full_repr(value)}


def _call_json(call: ToolCallRecord) -> dict[str, Any]:
    return {
        "name": call.name,
        **_valued("args", call.args),
        **_valued("kwargs", call.kwargs),
        **_valued("value", call.value),
        "outcome": call.outcome,
        "error": None if call.error is None else f"{type(call.error).__name__}: {call.error}",
        "seconds": call.seconds,
    }
