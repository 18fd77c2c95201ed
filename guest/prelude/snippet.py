"""Runs snippets in one lasting ``__main__`` namespace."""

import builtins
from types import CodeType, FunctionType
from typing import Any

from cloche_guest.compiling import compiled
from cloche_guest.namespace import NAMESPACE
from cloche_guest.policy import run_coroutine

__all__ = ["latest_filename", "run"]

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
