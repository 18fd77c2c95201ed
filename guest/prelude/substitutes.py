"""Python functions that take the place of builtins where these would put C code below the program's own.

``sum`` of a generator, ``sorted`` with a key function and their like call the program back from C, which cannot be
left: no call in there could wait for its answer. Called straight by the program they are these functions, as
guest/c/substitutes.c says, which do the same in the same order, with the same errors. Their frames are in no
traceback, and do not count for the limit of recursion.
"""

import functools
from collections.abc import Callable, Generator, Iterable, Iterator
from contextvars import Context
from types import CodeType, FunctionType
from typing import Any, TypeVar

from _cloche import begin_sum, enter_context, exit_context, sort_by, substitute, uncount

__all__ = ["hidden", "install"]

# A flag of code that is CPython's by our patch: no frame of it is added to a traceback.
_HIDDEN = 0x40000000
_MISSING: Any = object()

_Function = TypeVar("_Function", bound=Callable[..., Any])


def hidden(function: _Function) -> _Function:
    """Have the function's frames be in no traceback."""
    plain: Any = function
    code: CodeType = plain.__code__
    plain.__code__ = code.replace(co_flags=code.co_flags | _HIDDEN)
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


@hidden
def _walk(items: Any) -> Generator[Any]:
    """Go through a ``map`` or ``filter`` with a Python function, from where it is, as it would do itself."""
    function, *iterators = items.__reduce__()[1]
    if len(iterators) > 1:
        yield from _several(function, iterators)
        return
    source: Iterator[Any] = iterators[0]
    if type(source) in (map, filter) and type(source.__reduce__()[1][0]) is FunctionType:
        source = _walk(source)
    # The StopIteration of a function ends a map.
    if type(items) is map:
        for item in source:
            try:
                value = function(item)
            except StopIteration:
                return
            yield value
        return
    for item in source:
        try:
            value = function(item)
        except StopIteration:
            return
        if value:
            yield item


@hidden
def _several(function: Callable[..., Any], iterators: list[Iterator[Any]]) -> Generator[Any]:
    for items in zip(*iterators, strict=False):
        try:
            value = function(*items)
        except StopIteration:
            return
        yield value


@hidden
def _call(function: Callable[[], Any]) -> None:
    function()


@hidden
def _run(self: Context, callable: Any = _MISSING, /, *args: Any, **kwargs: Any) -> Any:
    if callable is _MISSING:
        raise TypeError("run() missing 1 required positional argument")
    enter_context(self)
    try:
        return callable(*args, **kwargs)
    finally:
        exit_context(self)


def install() -> None:
    """Have the builtins, ``functools.reduce`` and ``Context.run`` be called as said above."""
    functions: dict[str, Callable[..., Any]] = {
        "any": _any,
        "all": _all,
        "list": _list,
        "tuple": _tuple,
        "set": _set,
        "sum": _sum,
        "best": _best,
        "join": _join,
        "sorted": _sorted,
        "sort": _sort,
        "reduce": _reduce,
        "walk": _walk,
        "call": _call,
    }
    method: Any = vars(Context)["run"]
    _run.__name__, _run.__qualname__, _run.__doc__ = "run", "Context.run", method.__doc__
    _run.__module__ = "_contextvars"
    substitute(functions, functools.reduce, _run)
