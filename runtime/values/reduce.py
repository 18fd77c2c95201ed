"""What msgpack does not write by itself, as something it does: an extension, a marked list, or a plain value.

Subclasses are read with their base's own methods, so that one which overrides `__str__`, `__iter__` or `__eq__`
cannot show one value here and another elsewhere.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from typing import Any, Final, cast
from uuid import UUID

from . import arrays, codes, scalars, times
from .codes import MARKS, ExtType, UnserializableError
from .records import describe_exception, fields_of, type_name, type_of

_mro: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__

_NATIVE: Final = frozenset((type(None), bool, float, str, bytes, bytearray, memoryview, list, dict))


def is_native(value: object) -> bool:
    """Whether msgpack writes this very object itself (what is inside it may still need reducing)."""
    return type(value) in _NATIVE or (type(value) is int and scalars.fits_64_bits(value))


def is_unhashable(content: Any) -> bool:
    """Whether what a reduced value becomes at the receiver cannot be a dict key or set member."""
    kind = type_of(content)
    if kind is list:
        return not content or type(content[0]) is not ExtType or content[0].code in _UNHASHABLE
    return kind is dict or (kind is ExtType and content.code in _UNHASHABLE)


_UNHASHABLE: Final = frozenset((codes.SET, codes.RECORD, codes.ARRAY))


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
    for cls in _mro(type(value)):
        if cls in _REDUCERS:
            return _REDUCERS[cls](value)
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
    "deque": ": make it a list first",
    "array": ": make it a list first",
    "ZoneInfo": ": send its key, str(zone)",
    "dict_keys": ": make it a list first",
    "dict_values": ": make it a list first",
    "dict_items": ": make it a list first",
    "map": ": make it a list first",
    "filter": ": make it a list first",
    "zip": ": make it a list first",
    "coroutine": ": it was not awaited",
    "DataFrame": ": send df.to_dict('records') or df.to_csv()",
    "Series": ": send series.to_list()",
}


def _numpy(value: object) -> Any:
    """An array's or numpy scalar's extension; None for what is neither (text scalars go as their base)."""
    numpy = arrays.loaded()
    if numpy is None:
        return None
    if type(value) is numpy.ndarray:
        return ExtType(codes.ARRAY, arrays.write_array(value))
    if isinstance(value, numpy.generic) and not isinstance(value, (str, bytes)):
        return ExtType(codes.NUMBER, arrays.write_number(value))
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


_list_items = _iterator_of(list)

_REDUCERS: Final[dict[type, Callable[[Any], Any]]] = {
    int: _int,
    str: str.__str__,
    float: float.__float__,
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
    bytearray: lambda value: bytes(bytearray.__getitem__(value, slice(None))),
    list: _list,
    OrderedDict: _items_of(OrderedDict),  # dict's own would miss a move_to_end
    dict: _items_of(dict),
    tuple: _marked(codes.TUPLE, tuple),
    set: _marked(codes.SET, set),
    frozenset: _marked(codes.FROZENSET, frozenset),
    complex: _leaf(codes.COMPLEX, scalars.write_complex),
    Decimal: _leaf(codes.DECIMAL, scalars.write_decimal),
    Fraction: _leaf(codes.FRACTION, scalars.write_fraction),
    datetime: _leaf(codes.DATETIME, times.write_datetime),
    date: _leaf(codes.DATE, times.write_date),
    time: _leaf(codes.TIME, times.write_time),
    timedelta: _leaf(codes.TIMEDELTA, times.write_timedelta),
    timezone: _leaf(codes.ZONE, times.write_zone),
    UUID: _leaf(codes.UUID, scalars.write_uuid),
    PurePath: _leaf(codes.PATH, scalars.write_path),
    Enum: lambda value: reduced(object.__getattribute__(value, "_value_")),
    BaseException: _exception,
}
