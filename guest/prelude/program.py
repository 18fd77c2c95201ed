"""A program: its source text compiled and run, snippet by snippet, in one lasting ``__main__`` module."""

import _sitebuiltins
import atexit
import builtins
import gc
import re
import sys
from types import CodeType, FunctionType, ModuleType
from typing import Any, NoReturn

from _cloche import begin_count, end_count
from _cloche import compile as _compile
from cloche_guest import state
from cloche_guest.policy import run_coroutine
from cloche_guest.sources import register
from cloche_guest.substitutes import outside
from cloche_guest.unsupported.reasons import put

__all__ = [
    "MAIN",
    "NAMESPACE",
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
_ENDINGS = re.compile("__del__|yield|weakref|logging")


class _Settled:
    handlers = 0


def install(home: str = "/work") -> None:
    """Make the module ``__main__`` of a file in ``home``, and complete the builtins that ``site`` would have added."""
    sys.modules["__main__"] = MAIN
    # There is no such file: programs ask for the folder that it is in, and for their own name.
    MAIN.__file__ = f"{home}/main.py"
    sys.argv = [MAIN.__file__]
    put(builtins, exit=_exit, quit=_exit, help=vars(_sitebuiltins)["_Helper"]())


def _exit(code: object = None) -> NoReturn:
    """Raise SystemExit, which ends this run, not the session."""
    raise SystemExit(code)


def compiled(source: str, filename: str) -> tuple[str, CodeType]:
    """Compile a snippet, or return what the same text gave before, whatever its name: the lines shown are the same.

    Return the file name that it was compiled under, and the code, whose value is the one of its last expression.

    Raises SyntaxError, and ValueError, RecursionError or MemoryError where the text is beyond the compiler.
    """
    programs = state.current.programs
    program = programs.get(source)
    if program is None:
        name = register(source, filename)
        program = name, _code(source.removeprefix(_BYTE_ORDER_MARK), name)
        if len(source) <= _MAX_CACHED_LENGTH:
            if len(programs) >= _MAX_CACHED:
                del programs[next(iter(programs))]
            programs[source] = program
    return program


def forget() -> None:
    """Forget all programs."""
    state.current.programs.clear()


def _code(source: str, filename: str) -> CodeType:
    try:
        return _compile(source, filename)
    except SyntaxError as error:
        _show_line(error, source)
        raise


def _show_line(error: SyntaxError, source: str) -> None:
    """Add the line that is wrong, where the compiler had no file to read it from."""
    lines = source.splitlines()
    if error.text is None and error.lineno is not None and 0 < error.lineno <= len(lines):
        error.text = lines[error.lineno - 1]


@outside
def run(source: str, filename: str) -> Any:
    """Run a snippet and return the value of its last expression, or None; raises whatever it raises.

    Top-level ``await`` works; the event loop is touched only where there is one.
    """
    state.current.latest = filename
    state.current.latest, code = compiled(source, filename)
    if NAMESPACE.get("__builtins__") is not builtins:
        NAMESPACE["__builtins__"] = builtins
    # Not by ``eval``, which would put C code on the stack: a program could not be suspended above it.
    below = begin_count()
    try:
        value = FunctionType(code, NAMESPACE)()
        return run_coroutine(value) if code.co_flags & _CO_COROUTINE else value
    finally:
        end_count(below)


def settle() -> None:
    """Take what is there now for the beginning of each program: its exit handlers are the image's own."""
    _Settled.handlers = _handlers()


def leaves_work(source: str) -> bool:
    """Tell whether the end of a program can be seen: by its exit handlers, finalizers or buffers.

    To wind up costs more than most programs, so those that do nothing of the kind are spared it.
    """
    return _handlers() != _Settled.handlers or _ENDINGS.search(source) is not None


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
    return state.current.latest
