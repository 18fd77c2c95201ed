"""From source text to code objects: the last expression apart, ``await`` allowed at the top level."""

from collections import OrderedDict
from types import CodeType
from typing import NamedTuple

from _cloche import split
from cloche_guest.sources import register

__all__ = ["Program", "compiled", "forget"]

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
