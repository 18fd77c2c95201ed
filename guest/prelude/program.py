"""A program: its source text compiled and run, snippet by snippet, in one lasting ``__main__`` module."""

import _sitebuiltins
import atexit
import builtins
import gc
import sys
from collections import OrderedDict
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple, NoReturn

from _cloche import split
from cloche_guest.policy import run_coroutine
from cloche_guest.sources import register
from cloche_guest.tool_errors import CannotSuspendHere, ToolError
from cloche_guest.unsupported.reasons import put

__all__ = [
    "MAIN",
    "NAMESPACE",
    "Program",
    "compiled",
    "forget",
    "install",
    "latest_filename",
    "leaves_work",
    "run",
    "settle",
    "wind_up",
]

MAIN = ModuleType("__main__")
NAMESPACE: dict[str, Any] = vars(MAIN)
_CO_COROUTINE = 0x80
_BYTE_ORDER_MARK = "\ufeff"
_MAX_CACHED = 32
_MAX_CACHED_LENGTH = 8_192
# What is called when an object is let go of: its own finalizer, the rest of a generator, a callback, a log's buffer.
_WORDS = ("__del__", "yield", "weakref", "logging")


class _Settled:
    handlers = 0


def install(home: str = "/work") -> None:
    """Make the module ``__main__`` of a file in ``home``, and complete the builtins that ``site`` would have added."""
    sys.modules["__main__"] = MAIN
    # There is no such file: programs ask for the folder that it is in, and for their own name.
    MAIN.__file__ = f"{home}/main.py"
    sys.argv = [MAIN.__file__]
    put(builtins, exit=_exit, quit=_exit, help=vars(_sitebuiltins)["_Helper"]())
    put(builtins, ToolError=ToolError, CannotSuspendHere=CannotSuspendHere)


def _exit(code: object = None) -> NoReturn:
    """Raise SystemExit, which ends this run, not the session."""
    raise SystemExit(code)


class Program(NamedTuple):
    """A compiled snippet: code objects to evaluate in turn, the last one giving the value."""

    filename: str
    parts: tuple[CodeType, ...]
    awaits: bool


_cache: OrderedDict[str, Program] = OrderedDict()
_latest = ""


def compiled(source: str, filename: str) -> Program:
    """Compile a snippet, or return what the same text gave before, whatever its name: the lines shown are the same.

    Raises SyntaxError, and ValueError, RecursionError or MemoryError where the text is beyond the compiler.
    """
    program = _cache.get(source)
    if program is None:
        program = _program(source.removeprefix(_BYTE_ORDER_MARK), register(source, filename))
        if len(source) <= _MAX_CACHED_LENGTH:
            _remember(source, program)
    return program


def forget() -> None:
    """Forget all programs."""
    _cache.clear()


def _remember(source: str, program: Program) -> None:
    if len(_cache) >= _MAX_CACHED:
        _cache.popitem(last=False)
    _cache[source] = program


def _program(source: str, filename: str) -> Program:
    try:
        parts = tuple(split(source, filename))
    except SyntaxError as error:
        _show_line(error, source)
        raise
    awaits = bool(parts) and parts[0].co_flags | parts[-1].co_flags
    return Program(filename, parts, bool(awaits & _CO_COROUTINE))


def _show_line(error: SyntaxError, source: str) -> None:
    """Add the line that is wrong, where the compiler had no file to read it from."""
    lines = source.splitlines()
    if error.text is None and error.lineno is not None and 0 < error.lineno <= len(lines):
        error.text = lines[error.lineno - 1]


def run(source: str, filename: str) -> Any:
    """Run a snippet and return the value of its last expression, or None; raises whatever it raises.

    Top-level ``await`` works; the event loop is touched only where there is one.
    """
    global _latest
    _latest = filename
    program = compiled(source, filename)
    _latest = program.filename
    NAMESPACE["__builtins__"] = builtins
    if program.awaits:
        return run_coroutine(_drive(program.parts))
    value = None
    for part in program.parts:
        value = _evaluate(part)
    return value


def settle() -> None:
    """Take what is there now for the beginning of each program: its exit handlers are the image's own."""
    _Settled.handlers = _handlers()


def leaves_work(source: str) -> bool:
    """Tell whether the end of a program can be seen: by its exit handlers, finalizers or buffers.

    To wind up costs more than most programs, so those that do nothing of the kind are spared it.
    """
    return _handlers() != _Settled.handlers or any(word in source for word in _WORDS)


def _handlers() -> int:
    return atexit._ncallbacks()  # pyright: ignore[reportPrivateUsage]


def wind_up() -> None:
    """Do what Python does when a program ends: call its exit handlers, then let go of its global names.

    What goes wrong in these is printed, as Python does, and not raised.
    """
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
    for name in [name for name in NAMESPACE if name[:1] == "_" != name[1:2]] + list(NAMESPACE):
        if name != "__builtins__":
            NAMESPACE[name] = None
    gc.collect()


def latest_filename() -> str:
    """Return the name under which the latest snippet was compiled."""
    return _latest


def _evaluate(part: CodeType) -> Any:
    """Evaluate code in the namespace, as ``eval`` does, but without C code on the stack: it could not be suspended."""
    return FunctionType(part, NAMESPACE)()


async def _drive(parts: tuple[CodeType, ...]) -> Any:
    value = None
    for part in parts:
        value = _evaluate(part)
        if part.co_flags & _CO_COROUTINE:
            value = await value
    return value
