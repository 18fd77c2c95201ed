"""Which names a tool may have: those a program can write as a plain function call without losing anything."""

import builtins
import itertools
import keyword
import re
import unicodedata
from collections.abc import Container

from cloche.host_tools.errors import ToolDefinitionError

__all__ = ["check_name", "safe_name", "safe_tool_name"]

# Providers of models cap a function's name at 64 characters, and a longer one is too long to type.
_MAX_LENGTH = 64
# `site` adds these to the builtins of most interpreters, so programs count on them as well.
_BUILTINS = frozenset(dir(builtins)) | {"copyright", "credits", "exit", "help", "license", "quit"}


def check_name(name: object, *, shadow_builtins: bool = False) -> str:
    """Return the name if a tool may have it, else raise ToolDefinitionError.

    A name is an identifier of at most 64 characters, as the parser itself would spell it (NFKC), not a keyword,
    and without a leading underscore: the interactive ``_`` and everything dunder belong to the interpreter.
    Names of builtins are refused unless ``shadow_builtins``: a tool called ``sum`` or ``open`` would be called
    by code that means the builtin.
    """
    if not isinstance(name, str):
        raise ToolDefinitionError("tool name", f"expected a string, got {type(name).__name__}")
    problem = _problem(name, shadow_builtins)
    if problem:
        raise ToolDefinitionError(f"tool name {name[: _MAX_LENGTH + 1]!r}", problem)
    return name


def _problem(name: str, shadow_builtins: bool) -> str:
    if not name.isidentifier() or len(name) > _MAX_LENGTH:
        return f"a tool's name is a Python identifier of at most {_MAX_LENGTH} characters"
    if unicodedata.normalize("NFKC", name) != name:
        return f"Python reads it as {unicodedata.normalize('NFKC', name)!r}; use that spelling"
    if keyword.iskeyword(name):
        return "it is a keyword of Python, so no program can call it"
    if name.startswith("_"):
        return "names that start with an underscore belong to the interpreter"
    if name in _BUILTINS and not shadow_builtins:
        return "it would hide the builtin of that name; choose another, or use ToolRegistry(shadow_builtins=True)"
    return ""


def safe_name(name: str, taken: Container[str] = ()) -> str:
    """Return a name that a program can use for something that is called otherwise elsewhere, and is not taken.

    ``get-weather`` becomes ``get_weather``, ``class`` becomes ``class_``, ``2nd`` becomes ``n2nd``.
    """
    base = re.sub(r"\W", "_", unicodedata.normalize("NFKC", name), flags=re.ASCII).lstrip("_")[: _MAX_LENGTH - 4]
    base = base if base[:1].isalpha() else f"n{base}"
    base = f"{base}_" if keyword.iskeyword(base) else base
    numbered = (f"{base}_{number}" for number in itertools.count(2))
    return base if base not in taken else next(found for found in numbered if found not in taken)


def safe_tool_name(name: str, taken: Container[str] = ()) -> str:
    """Return a name that :func:`check_name` accepts: as :func:`safe_name`, and no builtin's (``open`` is ``open_``)."""
    safe = safe_name(name, taken)
    return safe_name(f"{safe}_", taken) if safe in _BUILTINS else safe
