"""What msgpack does not write by itself, as something it does: an extension, a marked list, or a plain value.

Subclasses are read with their base's own methods, so that one which overrides `__str__`, `__iter__` or `__eq__`
cannot show one value here and another elsewhere.
"""

import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from enum import Enum
from typing import Any, Final, cast

from . import arrays, codes, containers, scalars, times
from .codes import MARKS, ExtType, UnserializableError
from .records import Record, describe_exception, fields_of, names_of, type_name, type_of

IN_GUEST: Final = __name__.startswith("cloche_guest.")
"""This package is installed twice, once for each end."""

_mro: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__

_NATIVE: Final = frozenset((type(None), bool, float, str, bytes, memoryview, list, dict))


def is_native(value: object) -> bool:
    """Whether msgpack writes this very object itself (what is inside it may still need reducing)."""
    return type(value) in _NATIVE or (type(value) is int and scalars.fits_64_bits(value))


def is_unhashable(content: Any) -> bool:
    """Whether what a reduced value becomes at the receiver cannot be a dict key or set member."""
    kind = type_of(content)
    if kind is list:
        return not content or type(content[0]) is not ExtType or content[0].code in _UNHASHABLE
    return kind is dict or (kind is ExtType and content.code in _UNHASHABLE)


_UNHASHABLE: Final = frozenset(
    (
        *(codes.SET, codes.RECORD, codes.ARRAY, codes.BYTEARRAY, codes.TYPED_ARRAY, codes.MAPPING, codes.DEQUE),
        codes.FRAME,
    )
)


def reduced(value: object) -> Any:
    """`value` itself if msgpack writes it, else what stands for it."""
    return value if is_native(value) else reduce(value)


def reduce(value: object) -> Any:
    """What stands on the wire for a value that msgpack does not write itself.

    Raises UnserializableError or ValueTooLarge, without a path, or whatever reading the value's attributes raises.
    """
    exact = _REDUCERS.get(type(value))
    if exact is not None:
        return exact(value)
    number = _numpy(value)
    return number if number is not None else _by_class(value)


def _by_class(value: object) -> Any:
    if _LATE:
        _learn()
    for cls in _mro(type(value)):
        if cls is tuple and (names := names_of(cast("tuple[Any, ...]", value))):
            return [MARKS[codes.NAMED_TUPLE], type_name(type(value)), " ".join(names), *_tuple_items(value)]
        if cls in _REDUCERS:
            return _REDUCERS[cls](value)
    rare = _rare(value)
    if rare is not None:
        return rare
    fields = fields_of(value)
    if fields is None:
        raise _refusal(value)
    return [MARKS[codes.RECORD], type_name(type(value)), fields]


def _refusal(value: object) -> UnserializableError:
    name = type_name(type(value))
    return UnserializableError(f"cannot send a '{name}'{_HINTS.get(name, '')}", type_name=name)


_HINTS: Final = {
    "generator": ": make it a list first",
    "range": ": make it a list first",
    "UserDict": ": send its data",
    "UserList": ": send its data",
    "UserString": ": send its data",
    "ChainMap": ": make it a dict first",
    "mappingproxy": ": make it a dict first",
    "dict_keys": ": make it a list first",
    "dict_values": ": make it a list first",
    "dict_items": ": make it a list first",
    "map": ": make it a list first",
    "filter": ": make it a list first",
    "zip": ": make it a list first",
    "coroutine": ": it was not awaited",
}


def _numpy(value: object) -> Any:
    """An array's or numpy scalar's extension; None for what is neither (text scalars go as their base)."""
    numpy = arrays.loaded()
    if numpy is None:
        return None
    if type(value) is numpy.ndarray:
        array: Any = value
        if array.dtype.kind in "MmUO":
            from . import frames

            return [MARKS[codes.FRAME], *frames.parts_of_array(array)]
        return ExtType(codes.ARRAY, arrays.write_array(array))
    if isinstance(value, numpy.generic) and not isinstance(value, (str, bytes)):
        return ExtType(codes.NUMBER, arrays.write_number(value))
    return None


def _rare(value: object) -> Any:
    """What stands for a value of a class whose module the program has to have imported; None for another."""
    module: Any = sys.modules.get("array")
    if module is not None and isinstance(value, module.array):
        return ExtType(codes.TYPED_ARRAY, containers.write_typed_array(value))
    if "pandas" in sys.modules:
        from . import frames

        parts = frames.parts(value)
        if parts is not None:
            return [MARKS[codes.FRAME], *parts]
    module = sys.modules.get("zoneinfo")
    if module is not None and isinstance(value, module.ZoneInfo):
        return ExtType(codes.ZONE, times.write_key(cast("tzinfo", value)))
    return None


def _leaf(code: int, write: Callable[[Any], bytes]) -> Callable[[Any], Any]:
    return lambda value: ExtType(code, write(value))


def _marked(code: int, base: type) -> Callable[[Any], Any]:
    mark, items = MARKS[code], _iterator_of(base)
    return lambda value: [mark, *items(value)]


def _int(value: int) -> Any:
    exact = int.__int__(value)
    return exact if scalars.fits_64_bits(exact) else ExtType(codes.INT, scalars.write_int(exact))


def _iterator_of(base: type) -> Callable[[Any], Iterable[Any]]:
    return cast("Callable[[Any], Iterable[Any]]", base.__dict__["__iter__"])


def _items_of(base: type) -> Callable[[Any], Any]:
    items: Callable[[Any], Iterable[tuple[Any, Any]]] = base.__dict__["items"]
    return lambda value: dict(items(value))


def _list(value: Any) -> list[Any]:
    return list(_list_items(value))


def _exception(value: BaseException) -> Any:
    return [MARKS[codes.EXCEPTION], *describe_exception(value)]


def _group(value: BaseExceptionGroup[Any]) -> Any:
    return [MARKS[codes.GROUP], type_name(type_of(value)), *_group_parts(value)]


def _group_parts(value: BaseExceptionGroup[Any]) -> Iterable[Any]:
    # Its own text would have a count of the exceptions behind the message.
    yield str.__str__(_message_of(value))[: codes.MAX_MESSAGE]
    yield from _errors_in(value)


def _mapping(base: type) -> Callable[[Any], Any]:
    mark, items = MARKS[codes.MAPPING], _items_of(base)
    return lambda value: [mark, containers.kind_of(value), items(value)]


def _record(value: Record) -> Any:
    return [MARKS[codes.RECORD], value.type_name, _dict_items(value)]


def _deque(value: deque[Any]) -> Any:
    return [MARKS[codes.DEQUE], value.maxlen, *_deque_items(value)]


def _enum(value: Enum) -> Any:
    """Of the host's, the value: it is what a tool's description says. A program's own class stays with it."""
    if not IN_GUEST:
        return reduced(object.__getattribute__(value, "_value_"))
    name = type_name(type(value))
    raise UnserializableError(f"cannot send a '{name}', a member of an enum: send its .value or .name", type_name=name)


_message_of: Callable[[Any], str] = BaseExceptionGroup.__dict__["message"].__get__
_errors_in: Callable[[Any], Iterable[BaseException]] = BaseExceptionGroup.__dict__["exceptions"].__get__
_list_items = _iterator_of(list)
_dict_items = _items_of(dict)
_tuple_items = _iterator_of(tuple)
_deque_items = _iterator_of(deque)

_REDUCERS: Final[dict[type, Callable[[Any], Any]]] = {
    int: _int,
    str: str.__str__,
    float: float.__float__,
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
    bytearray: _leaf(codes.BYTEARRAY, containers.write_bytearray),
    list: _list,
    OrderedDict: _mapping(OrderedDict),  # dict's own items would miss a move_to_end
    Counter: _mapping(dict),
    defaultdict: _mapping(dict),
    Record: _record,
    dict: _dict_items,
    deque: _deque,
    tuple: _marked(codes.TUPLE, tuple),
    set: _marked(codes.SET, set),
    frozenset: _marked(codes.FROZENSET, frozenset),
    complex: _leaf(codes.COMPLEX, scalars.write_complex),
    datetime: _leaf(codes.DATETIME, times.write_datetime),
    date: _leaf(codes.DATE, times.write_date),
    time: _leaf(codes.TIME, times.write_time),
    timedelta: _leaf(codes.TIMEDELTA, times.write_timedelta),
    timezone: _leaf(codes.ZONE, times.write_zone),
    times.UnknownZone: _leaf(codes.ZONE, times.write_key),
    Enum: _enum,
    BaseExceptionGroup: _group,
    BaseException: _exception,
}
_LATE: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "decimal": ("Decimal", _leaf(codes.DECIMAL, scalars.write_decimal)),
    "fractions": ("Fraction", _leaf(codes.FRACTION, scalars.write_fraction)),
    "uuid": ("UUID", _leaf(codes.UUID, scalars.write_uuid)),
    "pathlib": ("PurePath", _leaf(codes.PATH, scalars.write_path)),
}
"""By its module, a class and how it is reduced, until it is known that there may be such values."""


def _learn() -> None:
    """Take over the classes of modules that are imported by now: before, no value can be of them."""
    for module in [name for name in _LATE if name in sys.modules]:
        name, reducer = _LATE[module]
        # A module that another thread is importing may not have its class yet.
        cls = getattr(sys.modules[module], name, None)
        if cls is not None:
            _REDUCERS[cls] = reducer
            _LATE.pop(module, None)


_learn()
