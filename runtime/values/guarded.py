"""Messages that hold more than plain values, read by hooks: what marks say is built, what is hashed is checked first.

The parser gives the decoder each array, map and extension, innermost first.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from . import arrays, codes, containers, scalars, times
from .codes import MalformedValue, Timestamp
from .records import (
    Record,
    build_exception,
    build_group,
    build_named,
    build_record,
    is_known,
    is_named,
    type_of,
)

Reader = Callable[[bytes], Any]

KEYED: Final[dict[int, Reader]] = {
    codes.DATETIME: times.read_datetime,
    codes.DATE: times.read_date,
    codes.TIME: times.read_time,
    codes.TIMEDELTA: times.read_timedelta,
    codes.PATH: scalars.read_path,
    codes.BYTEARRAY: bytearray,
    codes.TYPED_ARRAY: containers.read_typed_array,
}
"""Values of which no sender can make thousands with one hash: it is keyed per process, or they are too few."""

UNKEYED: Final[dict[int, Reader]] = {
    codes.INT: scalars.read_int,
    codes.DECIMAL: scalars.read_decimal,
    codes.FRACTION: scalars.read_fraction,
    codes.COMPLEX: scalars.read_complex,
    codes.UUID: scalars.read_uuid,
    codes.ZONE: times.read_zone,
}
"""Values whose hash is plain arithmetic (modulo 2**61 - 1), so that a sender can make any number of them collide."""


_KEYED: Final = frozenset((str, bytes, float, bool, type(None)))
"""Types of which only a few can share a hash, or whose hash is keyed per process."""

_FEW: Final = 24
_MAX_SHARING: Final = 8
"""How many different fractions of one message may share a hash of their two numbers."""


def check_spread(keys: Iterable[object]) -> None:
    """Raise MalformedValue if putting these keys into a table would take far more comparisons than there are keys.

    `hash((-1, -1)) == hash((-2, -2))`: honest grids of coordinates collide a little, 16 to one hash in 4 dimensions.
    """
    hashes = [hash(key) for key in keys if type(key) not in _KEYED]
    if len(hashes) <= _FEW or len(set(hashes)) == len(hashes):
        return
    comparisons = sum(count * count for count in Counter(hashes).values())
    if comparisons > 16 * len(hashes) + 256:
        raise MalformedValue("keys made to collide")


_PER_FRAME: Final = 8
"""A frame takes as much as so many columns, beside its own."""
_MAX_NEW_SHAPES: Final = 64
"""Record classes one message may bring into being: each costs a third of a millisecond and some kilobytes."""


class _Mark:
    """The empty extension at the head of a marked array. Never part of a decoded value."""

    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        self.code = code


_MARKS: Final = {code: _Mark(code) for code in codes.MARKS}


class GuardedDecoder:
    """The hooks of one message. `room`: bytes that arrays may take as lists; `typed`: records as dataclasses."""

    def __init__(self, *, typed: bool, room: int) -> None:
        self._typed = typed
        self._room = room
        self._new_shapes = 0
        self._columns = 0
        self._open_marks = 0
        self._fractions: dict[int, list[tuple[int, int]]] = {}
        self._build: dict[int, Callable[[list[Any]], Any]] = {
            codes.TUPLE: tuple,
            codes.SET: self._set,
            codes.FROZENSET: lambda items: frozenset(self._set(items)),
            codes.RECORD: self._record,
            codes.EXCEPTION: self._exception,
            codes.NAMED_TUPLE: self._named_tuple,
            codes.MAPPING: containers.build_mapping,
            codes.DEQUE: containers.build_deque,
            codes.GROUP: self._group,
            codes.FRAME: self._frame,
        }

    def finish(self, value: Any) -> Any:
        """The decoded value, once every mark has been at the head of an array."""
        if self._open_marks or type(value) is Timestamp:
            raise MalformedValue("a mark or timestamp where a value belongs")
        return value

    def on_extension(self, code: int, data: bytes) -> Any:
        """A mark, a leaf, or MalformedValue."""
        if code in _MARKS and not data:
            self._open_marks += 1
            return _MARKS[code]
        if code == codes.ARRAY:
            return self._array(data)
        if code == codes.NUMBER:
            return arrays.read_number(data)
        reader = KEYED.get(code) or UNKEYED.get(code)
        if reader is None:
            raise MalformedValue(f"an extension of unknown code {code}")
        value = reader(data)
        if code == codes.FRACTION:
            self._check_parts((value.numerator, value.denominator))
        return value

    def on_array(self, items: list[Any]) -> Any:
        """A list, or what the mark at its head says."""
        if Timestamp in map(type, items):
            raise MalformedValue("a timestamp extension")
        if not items or type(items[0]) is not _Mark:
            return items
        self._open_marks -= 1
        return self._build[items[0].code](items[1:])

    def on_map(self, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        """A dict, unless keys repeat or collide."""
        check_spread(key for key, _ in pairs)
        mapping = dict(pairs)
        if len(mapping) != len(pairs):
            raise MalformedValue("a map that repeats a key")
        if Timestamp in map(type, mapping) or Timestamp in map(type, mapping.values()):
            raise MalformedValue("a timestamp extension")
        return mapping

    def _check_parts(self, parts: tuple[int, int]) -> None:
        # From Python 3.12 on, each hash of a fraction is kept in a table of the whole process, by its two numbers, in
        # which they could be made to collide without end. Honest ones do where the numerators are -1 and -2.
        sharing = self._fractions.setdefault(hash(parts), [])
        if parts not in sharing:
            sharing.append(parts)
            if len(sharing) > _MAX_SHARING:
                raise MalformedValue("fractions made to collide")

    def _set(self, items: list[Any]) -> set[Any]:
        check_spread(items)
        members = set(items)
        if len(members) != len(items):
            raise MalformedValue("a set that repeats a member")
        return members

    def _record(self, items: list[Any]) -> Any:
        name, fields = items
        if type(name) is not str or type_of(fields) is not dict or not all(type(field) is str for field in fields):
            raise MalformedValue("a record that is not a name and its fields")
        return self._typed_record(name, fields) if self._typed else Record(name, fields)

    def _typed_record(self, name: str, fields: dict[str, Any]) -> Any:
        shape = (name, tuple(fields))
        self._count_shape(is_new=not is_known(shape))
        return build_record(shape, fields)

    def _count_shape(self, *, is_new: bool) -> None:
        self._new_shapes += is_new
        if self._new_shapes > _MAX_NEW_SHAPES:
            raise MalformedValue(f"more than {_MAX_NEW_SHAPES} new types of record")

    def _named_tuple(self, items: list[Any]) -> tuple[Any, ...]:
        name, names, *values = items
        if type(name) is not str or type(names) is not str:
            raise MalformedValue("a named tuple that is not a name, names of fields, and values")
        fields = tuple(names.split(" "))
        self._count_shape(is_new=not is_named((name, fields)))
        return build_named(name, fields, values)

    def _frame(self, items: list[Any]) -> Any:
        # Where there are none, none of it is imported.
        from . import frames

        self._columns += _PER_FRAME + len(items)
        if self._columns > frames.MAX_COLUMNS:
            raise MalformedValue(f"frames of more than {frames.MAX_COLUMNS} columns")
        return frames.build(items)

    def _group(self, items: list[Any]) -> Exception:
        name, message, *errors = items
        if type(name) is not str or type(message) is not str or not all(isinstance(each, Exception) for each in errors):
            raise MalformedValue("an exception group that is not a name, a message and exceptions")
        return build_group(name, message, errors)

    def _exception(self, items: list[Any]) -> Exception:
        name, message = items
        if type(name) is not str or type(message) is not str:
            raise MalformedValue("an exception that is not a name and a message")
        return build_exception(name, message)

    def _array(self, data: bytes) -> Any:
        if arrays.loaded() is not None:
            return arrays.read_array(data)
        self._room -= arrays.cost_of_lists(data)
        if self._room < 0:
            raise MalformedValue("an array that is too large as lists")
        return arrays.read_lists(data)
