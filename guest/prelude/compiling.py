"""From source text to code objects: the last expression apart, ``await`` allowed at the top level."""

import ast
import re
from collections import OrderedDict
from types import CodeType
from typing import NamedTuple

from cloche_guest.sources import register

__all__ = ["Program", "compiled"]

_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_CO_COROUTINE = 0x80
_MOST_CACHED = 32
_LONGEST_CACHED = 8_192
# One assignment on one line has no value: this spares the most frequent tiny snippets the syntax tree.
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*[ ]*=[^=;\n]*\n?")
_compile = compile


class Program(NamedTuple):
    """A compiled snippet: code objects to evaluate in turn, the last one giving the value."""

    filename: str
    parts: tuple[CodeType, ...]
    awaits: bool


_cache: OrderedDict[tuple[str, str], Program] = OrderedDict()


def compiled(source: str, filename: str) -> Program:
    """Compile a snippet, or return what the same text under the same name gave before.

    Raises SyntaxError, and ValueError, RecursionError or MemoryError where the text is beyond the compiler.
    """
    key = (source, filename)
    program = _cache.get(key)
    if program is None:
        program = _program(source, register(source, filename))
        if len(source) <= _LONGEST_CACHED:
            _remember(key, program)
    return program


def _remember(key: tuple[str, str], program: Program) -> None:
    if len(_cache) >= _MOST_CACHED:
        _cache.popitem(last=False)
    _cache[key] = program


def _program(source: str, filename: str) -> Program:
    parts = tuple(_parts(source, filename))
    return Program(filename, parts, any(part.co_flags & _CO_COROUTINE for part in parts))


def _parts(source: str, filename: str) -> list[CodeType]:
    if _ASSIGNMENT.fullmatch(source):
        return [_compile(source, filename, "exec", _FLAGS, True)]
    tree: ast.Module = _compile(source, filename, "exec", _FLAGS | ast.PyCF_ONLY_AST, True)
    if not tree.body or not isinstance(last := tree.body[-1], ast.Expr):
        return [_compile(tree, filename, "exec", _FLAGS, True)]
    tree.body.pop()
    value = _compile(ast.Expression(last.value), filename, "eval", _FLAGS, True)
    return [_compile(tree, filename, "exec", _FLAGS, True), value] if tree.body else [value]
