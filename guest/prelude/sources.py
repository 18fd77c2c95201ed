"""The source text of snippets, kept so that tracebacks can show their lines."""

import linecache
from collections import OrderedDict
from itertools import count

__all__ = ["forget", "is_snippet", "register"]

# A function defined long ago may still raise; older sources than this show no lines any more.
_MOST = 256
_known: OrderedDict[str, str] = OrderedDict()
_numbers = count(1)


def register(source: str, filename: str = "") -> str:
    """Keep a snippet's source and return the name to compile it under, which is unique among the sources kept.

    No name gives ``<run 1>``, ``<run 2>`` and so on; a name used before for other text gets a number too.
    """
    name = filename or f"<run {next(_numbers)}>"
    if _known.get(name, source) != source:
        name = f"{name} ({next(_numbers)})"
    _known.pop(name, None)
    _known[name] = source
    lines = source.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    # No modification time: linecache never tries to compare it with a file.
    linecache.cache[name] = (len(source), None, lines, name)
    if len(_known) > _MOST:
        linecache.cache.pop(_known.popitem(last=False)[0], None)
    return name


def is_snippet(filename: str) -> bool:
    """Tell whether a code object's file name is that of a snippet still kept."""
    return filename in _known


def forget() -> None:
    """Forget all snippets, and begin to count anew."""
    global _numbers
    for name in _known:
        linecache.cache.pop(name, None)
    _known.clear()
    _numbers = count(1)
