"""A Python value to bytes and back: one call of msgpack's packer or parser, with hooks for what these do not know.

The bytes to decode may be anyone's: all that can go wrong ends in MalformedValue.
"""

import sys
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, Final, Literal

from . import arrays, codes
from .checks import PIECE, Pieces, count_items, has_few_items, holds_bytearray, is_too_deep, may_hold_timestamp
from .codes import (
    MAX_DEPTH,
    Look,
    MalformedValue,
    Packer,
    SizeExceeded,
    Unpacker,
    UnserializableError,
    ValueCodecError,
    ValueTooLarge,
    unpackb,
)
from .guarded import KEYED, GuardedDecoder
from .locate import locate
from .records import type_name, type_of
from .reduce import IN_GUEST, is_unhashable, reduce

_BETWEEN_LOOKS: Final = 256
_AT_ONCE: Final = 8_192
"""Items that are written between two looks, at most."""
_PART: Final = 1_000
_SPLIT: Final[frozenset[type]] = frozenset((list, dict))
_LISTS: Final[frozenset[type]] = frozenset((list,))
_MAX_ITEMS: Final = 1 << 24
"""Items in one value where the caller gives no limit."""

_KEPT: Final = 1 << 16
"""Messages above this size leave a large buffer behind in their packer, which is then dropped."""

_MAX_BLOB: Final = (1 << 32) - 1

_FIXED: Final = frozenset((type(None), bool, int, float))
_MAX_FIXED: Final = 9
"""Bytes that one of these takes, at most, unless it is an int beyond 64 bits."""

_pack_fixed: Final = Packer(strict_types=True).pack
"""One packer for all threads: nothing runs while it writes one of these."""

_SCALARS: Final = frozenset((type(None), bool, int, float, str, bytes))


def encode(value: object, *, where: str = "value", limit: int | None = None, look: Look | None = None) -> bytes:
    """`value` as one message.

    `where` is how errors call the value ("result", "argument 'rows'"); `limit` is the most bytes the message may have,
    None for no limit other than 16 million items. Raises UnserializableError naming type and path for what cannot
    cross, is cyclic or nests deeper than 200 levels, and ValueTooLarge above the limit. The value is never changed.
    `look` is called now and then, and ends the work by raising what is no Exception.
    """
    if type(value) in _FIXED and (limit is None or limit >= _MAX_FIXED):
        try:
            plain: bytes = _pack_fixed(value)
            return plain
        except OverflowError:
            pass  # an int beyond 64 bits, which the hook writes
    if type(value) is bytes and len(value) > _KEPT:
        return _blob_head(value, where, limit) + value
    try:
        packing = _idle.pop()
    except IndexError:
        packing = _Packing()
    try:
        data = packing.run(value, _MAX_ITEMS if limit is None else limit, look)
    except Exception as error:
        packing.close()
        return _after_failure(value, where, limit, error, look)
    if len(data) <= _KEPT:
        packing.rest()
        _idle.append(packing)
    else:
        packing.close()
    # A message as short as that cannot nest deeper than allowed.
    if len(data) > MAX_DEPTH or (limit is not None and len(data) > limit):
        return _checked(data, value, where, limit, look)
    return data


def encode_after(before: bytes, value: object, *, where: str = "value", limit: int | None = None) -> bytes:
    """`before` and then what `encode` returns, without a second copy of many bytes."""
    if type(value) is bytes and len(value) > _KEPT:
        return b"".join([before, _blob_head(value, where, limit), value])
    return before + encode(value, where=where, limit=limit)


def _blob_head(value: bytes, where: str, limit: int | None) -> bytes:
    """What stands before many bytes, which are copied once: a packer copies them into twice their size first."""
    size = len(value) + 5
    if size > (_MAX_BLOB if limit is None else limit):
        raise ValueTooLarge(f"{where}: {size:,} bytes (at most {_MAX_BLOB if limit is None else limit:,})", path=where)
    return b"\xc6" + len(value).to_bytes(4, "big")


class _Packing:
    """One packer with the state of the message it is writing. Used by one message at a time: see `_idle`."""

    __slots__ = ("_hashable", "_look", "_mutable", "_pack", "_room")

    def __init__(self, unicode_errors: str | None = None) -> None:
        packer = Packer(default=self._reduce, strict_types=True, buf_size=4096, unicode_errors=unicode_errors)
        self._pack = packer.pack
        self._look: Look | None = None
        self._hashable = False

    def close(self) -> None:
        """Break the cycle with the packer, so that its buffer is freed at once."""
        del self._pack

    def rest(self) -> None:
        """Keep nothing of the latest message: its look is a run's, and would keep that alive."""
        self._look = None

    def run(self, value: object, room: int, look: Look | None) -> bytes:
        """The message, of at most `room` items."""
        self._look = look
        self._mutable = False
        if type(value) in _SCALARS:
            self._room = room
            scalar: bytes = self._pack(value)
            return scalar
        items, found = count_items(value, room, look)
        self._mutable = bool(found)
        self._room = room - items
        if look is not None and items > _AT_ONCE:
            data = self._pack_in_pieces(value, look)
        else:
            data = self._pack(with_marked(value) if found else value)
        # A bytearray is written with a head of one of these. In a short message that is looked at afterwards, which is
        # faster than to look for it before.
        if found is None and (0xC4 in data or 0xC5 in data or 0xC6 in data) and _holds_bytearray(value):
            self._mutable = True
            self._room = room - items
            data = self._pack(with_marked(value))
        if self._hashable:
            self._check_keys(value)
        return data

    def _pack_in_pieces(self, value: Any, look: Look) -> bytes:
        """What `_pack` returns, made of parts of few items, whose heads are taken off again."""
        if type(value) not in _SPLIT:
            return bytes(self._pack(with_marked(value) if self._mutable else value))
        is_list = type(value) in _LISTS
        parts = [_head(0x90 if is_list else 0x80, len(value))]
        rest: Iterator[Any] = iter(value if is_list else value.items())
        while some := list(islice(rest, _PART)):
            self._add_part(some, is_list, look, parts)
        return b"".join(parts)

    def _add_part(self, some: list[Any], is_list: bool, look: Look, parts: list[bytes]) -> None:
        """Write items of a list, or entries of a dict; by halves where there are too many in them."""
        look()
        piece = some if is_list else dict(some)
        if has_few_items(piece, _AT_ONCE):
            parts.append(self._pack(with_marked(piece) if self._mutable else piece)[1 if len(some) < 16 else 3 :])
        elif len(some) == 1:
            parts += [self._pack_in_pieces(item, look) for item in (some if is_list else chain(*some))]
        else:
            half = len(some) // 2
            self._add_part(some[:half], is_list, look, parts)
            self._add_part(some[half:], is_list, look, parts)

    def _reduce(self, value: object) -> Any:
        """msgpack's hook: called for each object it cannot write itself."""
        self._room -= 1
        if self._room < 0:
            raise SizeExceeded("more items than it may have bytes")
        if self._look is not None and not self._room % _BETWEEN_LOOKS:
            self._look()
        content = reduce(value)
        kind = type_of(content)
        return self._opened(value, content) if kind is list or kind is dict else content

    def _opened(self, value: object, content: Any) -> Any:
        """A new container: count what plain ones it holds, and note if it was hashable before but will not be."""
        mutable = self._mutable
        if type(value) is not tuple and type(value) is not set and type(value) is not frozenset:  # else counted already
            items, found = count_items(content, self._room, self._look)
            self._room -= items
            mutable = found is not False
            self._mutable = self._mutable or mutable
            self._hashable = self._hashable or (type(value).__hash__ is not None and is_unhashable(content))
        return with_marked(content) if mutable else content

    def _check_keys(self, value: object) -> None:
        """A frozen dataclass may be a dict key here, but the dict or record it becomes there may not."""
        self._hashable = False
        problem = locate(value, "", self._look)
        if problem is not None:
            raise problem


def _head(short: int, size: int) -> bytes:
    """What begins a list (0x90) or dict (0x80) of so many items."""
    if size < 16:
        return bytes([short + size])
    wide = 0xDC if short == 0x90 else 0xDE
    return bytes([wide]) + size.to_bytes(2, "big") if size < 1 << 16 else bytes([wide + 1]) + size.to_bytes(4, "big")


def _holds_bytearray(value: object) -> bool:
    return type(value) is bytearray or holds_bytearray(value)


def with_marked(value: Any) -> Any:
    """A copy in which what stands for bytearrays is in their place; msgpack would write them as bytes."""
    kind = type_of(value)
    if kind is bytearray:
        return reduce(value)
    if kind is list:
        return [with_marked(item) for item in value]
    return {key: with_marked(item) for key, item in value.items()} if kind is dict else value


_idle: list[_Packing] = []
"""Packers between messages. A message takes one off the list, so that neither another thread nor an encode() from
within a property of a value being encoded can write into it; after an error it is not put back."""


def _checked(data: bytes, value: object, where: str, limit: int | None, look: Look | None) -> bytes:
    """The message, once its size and depth are known to be allowed."""
    if limit is not None and len(data) > limit:
        raise ValueTooLarge(f"{where}: {len(data):,} bytes (at most {limit:,})", path=where)
    if is_too_deep(data, look):
        raise _explain(value, where, UnserializableError(f"nested more than {MAX_DEPTH} levels deep"), look)
    return data


def _after_failure(value: object, where: str, limit: int | None, error: Exception, look: Look | None) -> bytes:
    """A lone surrogate is not UTF-8, so it takes a slower packer; any other failure becomes the caller's error."""
    if not isinstance(error, UnicodeEncodeError):
        raise _explain(value, where, error, look) from None
    packing = _Packing("surrogatepass")
    try:
        data = packing.run(value, _MAX_ITEMS if limit is None else limit, look)
    except Exception as again:
        raise _explain(value, where, again, look) from None
    finally:
        packing.close()
    return _checked(data, value, where, limit, look)


def _explain(value: object, where: str, error: Exception, look: Look | None) -> ValueCodecError:
    """The error for the caller: with the path if the walk finds it, else with what is known."""
    if isinstance(error, SizeExceeded):
        return ValueTooLarge(f"{where}: {error}", path=where)
    try:
        return locate(value, where, look) or _without_path(where, error)
    except Exception:  # no time, memory or recursion left to look for it
        return _without_path(where, error)


def _without_path(where: str, error: Exception) -> ValueCodecError:
    if isinstance(error, MemoryError):
        return ValueTooLarge(f"{where}: more than the memory left", path=where)
    if isinstance(error, ValueCodecError):
        return type(error)(f"{where}: {error}")
    return UnserializableError(f"{where}: cannot be written: {type_name(type(error))}: {error}", path=where)


Records = Literal["dict", "typed"]

_DEFAULT_RECORDS: Final[Records] = "typed" if IN_GUEST else "dict"

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

    `records` says how dataclasses and models arrive: "dict" (the host's default) as a Record, "typed" (the guest's)
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
        if look is None:
            # As ``_unpack`` does, without handing on its hooks: that takes as long as parsing a short message.
            return unpackb(data, strict_map_key=False, unicode_errors="surrogatepass", ext_hook=_on_plain_extension)
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
    guarded = GuardedDecoder(typed=records == "typed", room=budget // 2)
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
