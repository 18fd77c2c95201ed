"""Where in a value the trouble is. Runs only after a failure, so it may be slow; it never recurses."""

from collections.abc import Iterator
from typing import Any, Final

from . import codes
from .codes import MAX_DEPTH, ExtType, Look, UnserializableError, ValueCodecError, ValueTooLarge
from .records import type_name, type_of
from .reduce import is_unhashable, reduced

_MAX_STEPS: Final = 1_000_000
"""The walk gives up after about a second; the error then has no path."""

_BETWEEN_LOOKS: Final = 512
_PLAIN_KEYS: Final = frozenset((str, int, float, bool, bytes, type(None)))
_SHOWN: Final = 40
"""Characters of a key or of a path's middle that a message shows."""

_FIRST_ITEM: Final = {codes.DEQUE: 2, codes.GROUP: 3}
"""Where the items begin that are a value's own."""

Child = tuple[str, Any, bool]
"""Where, what, and whether it must stay hashable."""


def locate(value: object, where: str, look: Look | None = None) -> ValueCodecError | None:
    """The first thing inside `value` that cannot cross, with its path; None if the walk finds nothing.

    Raises TimeoutError when it has looked at a million things, and what `look` raises, which is called now and then.
    """
    walk = _Walk(look)
    stack = [iter([(where, value, False)])]
    while stack:
        for path, item, is_key in stack[-1]:
            children = walk.enter(path, item, is_key, len(stack))
            if isinstance(children, ValueCodecError):
                return children
            if children is not None:
                stack.append(children)
                break
        else:
            stack.pop()
            walk.leave()
    return None


class _Walk:
    """Which containers are open, so that a cycle is seen, and which are done, so that none is walked twice."""

    def __init__(self, look: Look | None) -> None:
        self._look = look
        self._open: dict[int, None] = {}
        self._done: set[tuple[int, bool]] = set()
        self._steps = 0
        self._alive: list[Any] = []  # what reduce() made: an id is only unique while its object lives

    def enter(self, path: str, item: object, is_key: bool, depth: int) -> Iterator[Child] | ValueCodecError | None:
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise TimeoutError
        if self._look is not None and not self._steps % _BETWEEN_LOOKS:
            self._look()
        if id(item) in self._open:
            return _refuse(path, item, f"cannot send a '{type_name(type(item))}' that contains itself")
        if (id(item), is_key) in self._done:
            return None
        try:
            content = reduced(item)
        except Exception as error:
            return _with_path(path, item, error)
        return self._open_container(path, item, content, is_key, depth)

    def _open_container(
        self, path: str, item: object, content: Any, is_key: bool, depth: int
    ) -> Iterator[Child] | ValueCodecError | None:
        if is_key and is_unhashable(content):
            return _refuse(path, item, f"a '{type_name(type(item))}' cannot be a dict key or set member over there")
        if not isinstance(content, (list, dict)):
            return _check_leaf(path, item)
        if depth > MAX_DEPTH:
            return _refuse(path, item, f"nested more than {MAX_DEPTH} levels deep")
        self._alive.append(content)
        self._open[id(item)] = None
        self._done.add((id(item), is_key))
        return _children(path, content, is_key)

    def leave(self) -> None:
        if self._open:  # the outermost iterator belongs to no container
            self._open.popitem()


def _children(path: str, content: Any, is_key: bool) -> Iterator[Child]:
    if type_of(content) is dict:
        return _dict_children(path, content)
    mark = content[0].code if content and type(content[0]) is ExtType else None
    if mark == codes.RECORD:
        return ((f"{path}.{name}", item, False) for name, item in content[2].items())
    if mark == codes.MAPPING:
        return _dict_children(path, content[2])
    if mark == codes.NAMED_TUPLE:
        return ((f"{path}.{name}", item, is_key) for name, item in zip(content[2].split(" "), content[3:], strict=True))
    if mark in _FIRST_ITEM:
        return ((f"{path}[{index}]", item, False) for index, item in enumerate(content[_FIRST_ITEM[mark] :]))
    if mark in (codes.SET, codes.FROZENSET):
        return ((f"{path}{{…}}", item, True) for item in content[1:])
    items = content if mark is None else content[1:]
    return ((f"{path}[{index}]", item, is_key) for index, item in enumerate(items))


def _dict_children(path: str, mapping: dict[Any, Any]) -> Iterator[Child]:
    for key, item in mapping.items():
        shown = _show(key)
        yield f"{path} key {shown}", key, True
        yield f"{path}[{shown}]", item, False


def _show(key: object) -> str:
    """A key as a message shows it; only built-in scalars are asked for their repr."""
    if type(key) not in _PLAIN_KEYS or (type(key) is int and key.bit_length() > 200):
        return f"<{type_name(type(key))}>"
    text = repr(key[: _SHOWN + 1] if isinstance(key, (str, bytes)) else key)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _check_leaf(path: str, item: Any) -> ValueCodecError | None:
    if type(item) is memoryview and not item.c_contiguous:
        return _refuse(path, item, "cannot send a memoryview with gaps: send bytes(view)")
    return None


def _shorten(path: str) -> str:
    """A path's start and end: 200 levels of keys would be a page."""
    return path if len(path) <= 8 * _SHOWN else f"{path[: 4 * _SHOWN]} … {path[-2 * _SHOWN :]}"


def _refuse(path: str, item: object, reason: str) -> UnserializableError:
    short = _shorten(path)
    return UnserializableError(f"{short}: {reason}", path=short, type_name=type_name(type(item)))


def _with_path(path: str, item: object, error: Exception) -> ValueCodecError:
    if isinstance(error, ValueTooLarge):
        return ValueTooLarge(f"{_shorten(path)}: {error}", path=_shorten(path))
    if isinstance(error, UnserializableError):
        return _refuse(path, item, str(error))
    return _refuse(path, item, f"cannot send a '{type_name(type(item))}': reading it raised {type_name(type(error))}")
