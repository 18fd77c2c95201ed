"""Containers of the standard library beside msgpack's own: dicts of other classes, deques, typed arrays, bytearrays.

They cross as what they are, read with their own class's methods, or are refused with what to send in their place.
"""

import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, NamedTuple, cast

from . import records
from .codes import MalformedValue, UnserializableError
from .records import Record, type_name, type_of

_ORDERED: Final = "OrderedDict"
_COUNTER: Final = "Counter"
_DEFAULTS: Final = "defaultdict"

_FACTORIES: Final[dict[str, Callable[[], Any]]] = {
    kind.__name__: kind
    for kind in (
        *(bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset),
        *(Counter, OrderedDict, deque),
    )
}
"""What a defaultdict may make its values with: classes that both ends have. A function stays where it is."""

_MAKERS: Final[dict[str, Callable[[dict[Any, Any]], dict[Any, Any]]]] = {
    _ORDERED: OrderedDict,
    _COUNTER: Counter,
    _DEFAULTS: partial(defaultdict[Any, Any], None),
    **{f"{_DEFAULTS} {name}": partial(defaultdict[Any, Any], factory) for name, factory in _FACTORIES.items()},
}

_MAX_LENGTH: Final = (1 << 63) - 1


def kind_of(value: dict[Any, Any]) -> str:
    """The kind of an OrderedDict, Counter or defaultdict; UnserializableError for a factory that is a function."""
    if isinstance(value, OrderedDict):
        return _ORDERED
    if not isinstance(value, defaultdict):
        return _COUNTER
    factory: Any = value.default_factory
    if factory is None:
        return _DEFAULTS
    for name, known in _FACTORIES.items():
        if factory is known:
            return f"{_DEFAULTS} {name}"
    name = type_name(type_of(value))
    raise UnserializableError(
        f"cannot send a '{name}' whose factory is a function: make it a dict first", type_name=name
    )


def build_mapping(items: list[Any]) -> dict[Any, Any]:
    """The dict of its kind, from what stands behind the mark."""
    kind, content = items
    maker = _MAKERS.get(kind) if type(kind) is str else None
    if maker is None or type_of(content) is not dict:
        raise MalformedValue("a mapping that is not a kind and its items")
    return maker(content)


def build_deque(items: list[Any]) -> deque[Any]:
    """The deque, from what stands behind the mark."""
    length = items[0]
    if length is not None and (type(length) is not int or not len(items) - 1 <= length <= _MAX_LENGTH):
        raise MalformedValue("a deque whose length is not one")
    return deque(items[1:], length)


def write_bytearray(value: bytearray) -> bytes:
    """Its bytes."""
    return bytes(bytearray.__getitem__(value, slice(None)))


_SIZES: Final = {
    **dict.fromkeys("bB", 1),
    **dict.fromkeys("hH", 2),
    **dict.fromkeys("iIf", 4),
    **dict.fromkeys("qQd", 8),
}
_LONGS: Final = {"l": "iq", "L": "IQ"}
"""C's long has 4 bytes at one end and 8 at the other: the codes of the types that have as many at both."""


def write_typed_array(value: Any) -> bytes:
    """Type code, bytes for each item, and the items, the low byte first."""
    code: str = value.typecode
    if code not in _SIZES and code not in _LONGS:
        raise UnserializableError("cannot send an array of characters: make it a list first", type_name="array")
    if sys.byteorder == "big":
        value = value[:]
        value.byteswap()
    return code.encode() + bytes([value.itemsize]) + bytes(memoryview(value))


def read_typed_array(data: bytes) -> Any:
    """The array; of C's longs that do not fit this end's, one of type code "q" or "Q"."""
    from array import array  # rarely needed

    code, size, content = chr(data[0]), data[1], data[2:]
    exact = _exact_code(code, size)
    make: Any = array
    items: Any = make(exact)
    items.frombytes(content)  # ValueError for a part of an item
    if sys.byteorder == "big":
        items.byteswap()
    if exact == code:
        return items
    try:
        return make(code, items)
    except OverflowError:
        return items


def _exact_code(code: str, size: int) -> str:
    """The code of the type that has this size at both ends."""
    if code in _LONGS and size in (4, 8):
        return _LONGS[code][size == 8]
    if _SIZES.get(code) != size:
        raise ValueError("an array of a type and a size that do not agree")
    return code


class Spelling(NamedTuple):
    """How a container of these classes is written: its parts between an opening and a closing text.

    A part is a value, with the text before it, and with the key before that where there is one.
    """

    opening: str
    parts: Iterable[tuple[Any, str, Any]]
    closing: str


NO_KEY: Final = object()


def spelling(value: Any) -> Spelling | None:
    """How `value` is written, to be read no further than is shown: these classes' own `repr` has no bound.

    None for what is of another class, the built-in ones included.
    """
    kind: Any = type_of(value)
    if kind is Record or issubclass(kind, records.NamedTuple):
        pairs = value.items() if kind is Record else zip(value._fields, value, strict=True)
        name = value.type_name if kind is Record else type_name(kind)
        return Spelling(f"{name}(", ((NO_KEY, f"{field}=", item) for field, item in pairs), ")")
    if kind in (OrderedDict, Counter, defaultdict):
        factory = f"{value.default_factory!r}, " if kind is defaultdict else ""
        pairs = cast("dict[Any, Any]", value).items()
        return Spelling(f"{kind.__name__}({factory}{{", ((key, ": ", item) for key, item in pairs), "})")
    if kind is deque:
        closing = "])" if value.maxlen is None else f"], maxlen={value.maxlen})"
        return Spelling("deque([", _items(value), closing)
    module: Any = sys.modules.get("array")
    if module is not None and kind is module.array:
        return Spelling(f"array({value.typecode!r}, [", _items(value), "])")
    return None


def _items(value: Iterable[Any]) -> Iterable[tuple[Any, str, Any]]:
    return ((NO_KEY, "", item) for item in value)


def plain_class(value: object) -> type[Any]:
    """The built-in class whose methods read this container of a class that crosses; of any other value its own."""
    kind: Any = type_of(value)
    if kind in (Record, OrderedDict, Counter, defaultdict):
        return dict
    return tuple if issubclass(kind, records.NamedTuple) else kind
