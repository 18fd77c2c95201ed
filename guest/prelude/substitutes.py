"""Python functions that take the place of builtins where these would put C code below the program's own.

``sum`` of a generator, ``sorted`` with a key function and their like call the program back from C, which cannot be
left: no call in there could wait for its answer. Called straight by the program they are these functions, as
guest/c/substitutes.c says, which do the same in the same order, with the same errors. Their frames are in no
traceback, and do not count for the limit of recursion.
"""

import functools
from collections.abc import Callable, Generator, Iterable, Iterator
from types import CodeType
from typing import Any, TypeVar

from _cloche import begin_dict, begin_frozenset, begin_sum, sort_by, substitute, uncount

__all__ = ["hidden", "install", "outside"]

# Flags of code that are CPython's by our patch: no frame of it is added to a traceback; none is in a walk of the stack.
_HIDDEN, _OUTSIDE = 0x40000000, 0x20000000
_MISSING: Any = object()

_Function = TypeVar("_Function", bound=Callable[..., Any])


def hidden(function: _Function) -> _Function:
    """Have the function's frames be in no traceback, and in no walk of the stack."""
    return _flagged(function, _HIDDEN)


def outside(function: _Function) -> _Function:
    """Have the function's frames be in no walk of the stack: it lies below the program's first line.

    So it may use no ``super()`` without arguments, nor ``locals()``, which look at the stack.
    """
    return _flagged(function, _OUTSIDE)


def _flagged(function: _Function, flag: int) -> _Function:
    plain: Any = function
    code: CodeType = plain.__code__
    plain.__code__ = code.replace(co_flags=code.co_flags | flag)
    return function


@hidden
def _any(items: Iterable[Any]) -> bool:
    try:
        for item in items:  # noqa: SIM110
            if item:
                return True
        return False
    finally:
        uncount()


@hidden
def _all(items: Iterable[Any]) -> bool:
    try:
        for item in items:  # noqa: SIM110
            if not item:
                return False
        return True
    finally:
        uncount()


# What follows has comprehensions where a constructor would do: they are loops of the interpreter, and it is C.


@hidden
def _list(items: Iterable[Any]) -> list[Any]:
    try:
        return [item for item in items]  # noqa: C416
    finally:
        uncount()


@hidden
def _tuple(items: Iterable[Any]) -> tuple[Any, ...]:
    try:
        return tuple([item for item in items])  # noqa: C416
    finally:
        uncount()


@hidden
def _set(items: Iterable[Any]) -> set[Any]:
    try:
        return {item for item in items}  # noqa: C416
    finally:
        uncount()


@hidden
def _frozenset(items: Iterable[Any]) -> frozenset[Any]:
    try:
        made = begin_frozenset()
        add = made.add
        for item in items:
            add(item)
        members: frozenset[Any] = made.value()
        return members
    finally:
        uncount()


@hidden
def _dict(items: Iterable[Any]) -> dict[Any, Any]:
    try:
        made = begin_dict()
        add = made.add
        for item in items:
            add(item)
        pairs: dict[Any, Any] = made.value()
        return pairs
    finally:
        uncount()


@hidden
def _join(items: Iterable[str], separator: str) -> str:
    try:
        return separator.join([item for item in items])  # noqa: C416
    finally:
        uncount()


@hidden
def _sum(items: Iterable[Any], start: Any = 0) -> Any:
    try:
        total = begin_sum(start)
        add = total.add
        for item in items:
            add(item)
        return total.value()
    finally:
        uncount()


@hidden
def _best(items: Iterable[Any], key: Callable[[Any], Any] | None, greatest: bool, default: Any = _MISSING) -> Any:
    try:
        best = best_value = _MISSING
        for item in items:
            value = item if key is None else key(item)
            if best_value is _MISSING or (value > best_value if greatest else value < best_value):
                best, best_value = item, value
        if best_value is not _MISSING:
            return best
        if default is _MISSING:
            raise ValueError(f"{'max' if greatest else 'min'}() iterable argument is empty")
        return default
    finally:
        uncount()


@hidden
def _sorted(items: Iterable[Any], key: Callable[[Any], Any] | None, reverse: bool) -> list[Any]:
    try:
        given: Any = items
        found: list[Any] = given if given.__class__ is list else [item for item in items]  # noqa: C416
        if key is None:
            found.sort(reverse=reverse)
        else:
            sort_by(found, [key(item) for item in found], reverse)
        return found
    finally:
        uncount()


@hidden
def _sort(items: list[Any], key: Callable[[Any], Any], reverse: bool) -> None:
    kept = items[:]
    # As long as it is being sorted, a list is empty for all others.
    items.clear()
    try:
        sort_by(kept, [key(item) for item in kept], reverse)
    finally:
        changed = bool(items)
        items[:] = kept
        uncount()
    if changed:
        raise ValueError("list modified during sort")


@hidden
def _reduce(items: Iterable[Any], function: Callable[[Any, Any], Any], value: Any = _MISSING) -> Any:
    try:
        for item in items:
            value = item if value is _MISSING else function(value, item)
        if value is _MISSING:
            raise TypeError("reduce() of empty iterable with no initial value")
        return value
    finally:
        uncount()


# Walks: what ``map`` and its like do, from where one is. As there, nothing is held on to that is not needed any more.


@hidden
def _mapped(function: Callable[[Any], Any], source: Iterable[Any]) -> Generator[Any]:
    # The StopIteration of a function ends a map.
    for item in source:
        try:
            value = function(item)
        except StopIteration:
            return
        del item
        yield value
        del value


@hidden
def _several(function: Callable[..., Any], rows: Iterable[tuple[Any, ...]]) -> Generator[Any]:
    for row in rows:
        try:
            value = function(*row)
        except StopIteration:
            return
        del row
        yield value
        del value


@hidden
def _filtered(test: Callable[[Any], Any], source: Iterable[Any]) -> Generator[Any]:
    for item in source:
        try:
            value = test(item)
        except StopIteration:
            return
        if value:
            yield item
        del item, value


@hidden
def _pairs(first: Iterable[Any], second: Iterable[Any]) -> Generator[tuple[Any, Any]]:
    for item in first:
        for other in second:
            yield item, other
            del item, other
            break
        else:
            return


@hidden
def _zipped(sources: tuple[Iterator[Any], ...]) -> Generator[tuple[Any, ...]]:
    while True:
        row: list[Any] = []
        for source in sources:
            for item in source:
                row.append(item)
                break
            else:
                return
        yield tuple(row)


@hidden
def _numbered(source: Iterable[Any], number: int) -> Generator[tuple[int, Any]]:
    for item in source:
        yield number, item
        del item
        number += 1


@hidden
def _call(function: Callable[[], Any]) -> None:
    function()


def install() -> None:
    """Have the builtins and ``functools.reduce`` be called as said above."""
    functions: dict[str, Callable[..., Any]] = {
        "any": _any,
        "all": _all,
        "list": _list,
        "tuple": _tuple,
        "set": _set,
        "frozenset": _frozenset,
        "dict": _dict,
        "sum": _sum,
        "best": _best,
        "join": _join,
        "sorted": _sorted,
        "sort": _sort,
        "reduce": _reduce,
        "call": _call,
        "mapped": _mapped,
        "several": _several,
        "filtered": _filtered,
        "pairs": _pairs,
        "zipped": _zipped,
        "numbered": _numbered,
    }
    substitute(functions, functools.reduce)
