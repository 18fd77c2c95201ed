"""Bytes to a Python value. The bytes may be anyone's: all that can go wrong ends in MalformedValue.

Messages of plain values take one call of msgpack's parser. Those that hold more are read by the guarded decoder:
the parser gives it each array, map and extension, innermost first. Marked arrays become what their mark says;
everything that goes into a dict or set is checked first.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

from . import arrays, codes, scalars, times
from .checks import PIECE, Pieces, is_too_deep, may_hold_timestamp
from .codes import MAX_DEPTH, Look, MalformedValue, Timestamp, Unpacker, unpackb
from .records import build_exception, build_record, is_known, type_name, type_of

Reader = Callable[[bytes], Any]

KEYED: Final[dict[int, Reader]] = {
    codes.DATETIME: times.read_datetime,
    codes.DATE: times.read_date,
    codes.TIME: times.read_time,
    codes.TIMEDELTA: times.read_timedelta,
    codes.PATH: scalars.read_path,
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


_MAX_NEW_SHAPES: Final = 64
"""Record classes one message may bring into being: each costs a third of a millisecond and some kilobytes."""


class _Mark:
    """The empty extension at the head of a marked array. Never part of a decoded value."""

    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        self.code = code


_MARKS: Final = {code: _Mark(code) for code in codes.MARKS}


class _GuardedDecoder:
    """The hooks of one message. `room`: bytes that arrays may take as lists; `typed`: records as dataclasses."""

    def __init__(self, *, typed: bool, room: int) -> None:
        self._typed = typed
        self._room = room
        self._new_shapes = 0
        self._open_marks = 0
        self._fractions: dict[int, list[tuple[int, int]]] = {}
        self._build: dict[int, Callable[[list[Any]], Any]] = {
            codes.TUPLE: tuple,
            codes.SET: self._set,
            codes.FROZENSET: lambda items: frozenset(self._set(items)),
            codes.RECORD: self._record,
            codes.EXCEPTION: self._exception,
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
        return self._typed_record(name, fields) if self._typed else fields

    def _typed_record(self, name: str, fields: dict[str, Any]) -> Any:
        shape = (name, tuple(fields))
        self._new_shapes += not is_known(shape)
        if self._new_shapes > _MAX_NEW_SHAPES:
            raise MalformedValue(f"more than {_MAX_NEW_SHAPES} new types of record")
        return build_record(shape, fields)

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


Records = Literal["dict", "typed"]

_DEFAULT_RECORDS: Final[Records] = "typed" if __name__.startswith("cloche_guest.") else "dict"
"""This package is installed twice, once for each end."""


_DEFAULT_BUDGET: Final = 512 << 20
_MAX_PER_BYTE: Final = 128
"""Decoded bytes per byte of message, at most: a map of one entry in a map of one entry is 264 bytes from 2."""

_MEASURES: Final = sys.platform != "wasi"
"""In the guest, memory is limited anyway."""


def decode(
    data: bytes | memoryview,
    *,
    records: Records = _DEFAULT_RECORDS,
    budget: int = _DEFAULT_BUDGET,
    measured: bool = False,
    look: Look | None = None,
) -> Any:
    """The value that `data` holds.

    `records` says how dataclasses and models arrive: "dict" (the host's default) as plain dicts, "typed" (the guest's)
    as instances of a dataclass made for their type name and fields. `budget` bounds the bytes of memory that the value
    may take; one that is `measured` was cleared by `cost_of`, and the budget is for arrays alone. A message with a
    `look` is decoded piece by piece: it is called in between, and ends the work by raising what is no Exception.
    Where a map without special keys repeats a key, the last one counts. Raises MalformedValue, and nothing else, for
    whatever is wrong.
    """
    try:
        if type(data) is not bytes:
            data = memoryview(data).tobytes()
        if len(data) > MAX_DEPTH and not measured:
            _check_bulk(data, budget)
        if 255 in data and may_hold_timestamp(data):
            return _decode_guarded(data, records, budget, look)
        return _unpack(data, look, ext_hook=_on_plain_extension)
    except _NeedsGuard:
        return _second_pass(data, records, budget, look)
    except Exception as error:
        raise _malformed(error) from None


class _NeedsGuard(Exception):
    """The message holds an extension that the first, quick pass does not read."""


def _on_plain_extension(code: int, data: bytes) -> Any:
    reader = KEYED.get(code)
    if reader is not None:
        return reader(data)
    if code == codes.ARRAY and arrays.loaded() is not None:
        return arrays.read_array(data)
    raise _NeedsGuard


def _check_bulk(data: bytes, budget: int) -> None:
    """What a message too long to be harmless must pass before it is parsed; half of the budget is for arrays."""
    if _MEASURES and len(data) * _MAX_PER_BYTE > budget // 2:
        from .cost import cost_of

        cost_of(data, budget // 2, int)
    elif is_too_deep(data):
        raise MalformedValue(f"nested more than {MAX_DEPTH} levels deep")


def _second_pass(data: bytes | memoryview, records: Records, budget: int, look: Look | None) -> Any:
    try:
        return _decode_guarded(data, records, budget, look)
    except Exception as error:
        raise _malformed(error) from None


def _decode_guarded(data: bytes | memoryview, records: Records, budget: int, look: Look | None) -> Any:
    guarded = _GuardedDecoder(typed=records == "typed", room=budget // 2)
    value = _unpack(
        data,
        look,
        ext_hook=guarded.on_extension,
        list_hook=guarded.on_array,
        object_pairs_hook=guarded.on_map,
    )
    return guarded.finish(value)


def _unpack(data: bytes | memoryview, look: Look | None, **hooks: Any) -> Any:
    if look is None:
        return unpackb(data, strict_map_key=False, unicode_errors="surrogatepass", **hooks)
    options: dict[str, Any] = {"read_size": PIECE, "max_buffer_size": len(data)}
    parser = Unpacker(Pieces(data, look), strict_map_key=False, unicode_errors="surrogatepass", **options, **hooks)
    value = parser.unpack()
    if parser.tell() != len(data):
        raise MalformedValue("not a value: there is more behind it")
    return value


def _malformed(error: Exception) -> MalformedValue:
    """The cause in words; nothing of the message itself, which may be large or hostile."""
    if isinstance(error, MalformedValue):
        return error
    return MalformedValue(f"not a value: {type_name(type(error))}: {str(error)[:200]}")
