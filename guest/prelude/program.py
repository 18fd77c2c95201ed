"""A program: its source text compiled and run, snippet by snippet, in one lasting ``__main__`` module."""

import _sitebuiltins
import builtins
import sys
from collections import OrderedDict
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple, NoReturn

from _cloche import split
from cloche_guest.policy import run_coroutine
from cloche_guest.sources import register
from cloche_guest.tool_errors import CannotSuspendHere, ToolError
from cloche_guest.unsupported.reasons import put

__all__ = ["MAIN", "NAMESPACE", "Program", "compiled", "forget", "install", "latest_filename", "run"]


MAIN = ModuleType("__main__")
NAMESPACE: dict[str, Any] = vars(MAIN)


def leave(code: object = None) -> NoReturn:
    """Raise SystemExit, which ends this run, not the session."""
    raise SystemExit(code)


def install() -> None:
    """Make the module ``__main__``, and complete the builtins that ``site`` would have added."""
    sys.modules["__main__"] = MAIN
    put(builtins, exit=leave, quit=leave, help=vars(_sitebuiltins)["_Helper"]())
    put(builtins, ToolError=ToolError, CannotSuspendHere=CannotSuspendHere)


_MAY_AWAIT = 0x80
_MOST_CACHED = 32
_LONGEST_CACHED = 8_192


class Program(NamedTuple):
    """A compiled snippet: code objects to evaluate in turn, the last one giving the value."""

    filename: str
    parts: tuple[CodeType, ...]
    awaits: bool


_cache: OrderedDict[str, Program] = OrderedDict()


def compiled(source: str, filename: str) -> Program:
    """Compile a snippet, or return what the same text gave before, whatever its name: the lines shown are the same.

    Raises SyntaxError, and ValueError, RecursionError or MemoryError where the text is beyond the compiler.
    """
    program = _cache.get(source)
    if program is None:
        program = _program(source, register(source, filename))
        if len(source) <= _LONGEST_CACHED:
            _remember(source, program)
    return program


def forget() -> None:
    """Forget all programs."""
    _cache.clear()


def _remember(source: str, program: Program) -> None:
    if len(_cache) >= _MOST_CACHED:
        _cache.popitem(last=False)
    _cache[source] = program


def _program(source: str, filename: str) -> Program:
    parts = tuple(split(source, filename))
    awaits = bool(parts) and parts[0].co_flags | parts[-1].co_flags
    return Program(filename, parts, bool(awaits & _MAY_AWAIT))


_CO_COROUTINE = 0x80
_latest = ""


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
