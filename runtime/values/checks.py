"""What a message is checked for before it is decoded, and a value before it is encoded."""

import sys
from collections.abc import Collection, Iterable, Iterator
from gc import get_referents
from itertools import chain, islice
from typing import Any, Final

from .codes import MAX_DEPTH, Look, MalformedValue, SizeExceeded, StackError, Unpacker, UnserializableError

__all__ = ["count_items", "has_few_items", "may_hold_timestamp"]


_PARSER_DEPTH: Final = 1024
"""Containers that msgpack's parser opens inside one another before it gives up."""

_PREFIX: Final = b"\x91" * (_PARSER_DEPTH - MAX_DEPTH)
"""Arrays of one item around the message, so that the parser gives up at our depth instead of its own."""

_NO_CONTAINER: Final = bytes(set(range(256)) - set(range(0x80, 0xA0)) - set(range(0xDC, 0xE0)))
_SHORT: Final = 4096
_LOOKED_AT: Final = 1 << 17


def is_too_deep(data: bytes, look: Look | None = None) -> bool:
    """Whether the message nests deeper than MAX_DEPTH. Bytes that are no message at all count as shallow."""
    if len(data) <= MAX_DEPTH:  # a container costs a byte
        return False
    if len(data) <= _SHORT and len(data.translate(None, _NO_CONTAINER)) <= MAX_DEPTH:
        return False
    return _parser_gives_up(data, look if len(data) > _LOOKED_AT else None)


def _parser_gives_up(data: bytes, look: Look | None) -> bool:
    try:
        check_shape(data, look)
    except TooDeep:
        return True
    except MalformedValue:  # the decoder says why
        return False
    return False


class TooDeep(MalformedValue):
    """A message that nests too deep."""

    def __init__(self) -> None:
        super().__init__(f"nested more than {MAX_DEPTH} levels deep")


PIECE: Final = 4_096
"""Bytes of a message that are worked on between two looks: half a millisecond's work at worst."""


class Pieces:
    """A message as a file for msgpack's parser, which asks for the next piece when it has taken the last one apart."""

    def __init__(self, data: bytes | memoryview, look: Look, before: bytes = b"") -> None:
        self._data = data
        self._look = look
        self._at = 0
        self._before = before

    def read(self, size: int) -> bytes | memoryview:
        """The next bytes."""
        self._look()
        if self._before:
            before, self._before = self._before, b""
            return before
        piece = self._data[self._at : self._at + size]
        self._at += len(piece)
        return piece


def check_shape(data: bytes, look: Look | None) -> None:
    """Raise MalformedValue unless the bytes are one message, of no more than MAX_DEPTH levels, and all of it.

    The parser sets room aside for as many items as a container says that it has, so a message that is cut off must not
    be decoded. A ``look`` is for long messages; what it raises passes.
    """
    size = len(_PREFIX) + len(data)
    if look is None:
        parser = Unpacker(max_buffer_size=0, read_size=size)
        parser.feed(_PREFIX)
        parser.feed(data)
    else:
        parser = Unpacker(Pieces(data, look, _PREFIX), read_size=PIECE, max_buffer_size=size)
    try:
        parser.skip()
    except StackError:
        raise TooDeep from None
    except Exception as error:
        raise MalformedValue(f"not a value: {type(error).__name__}") from None
    if parser.tell() != size:
        raise MalformedValue("not a value: there is more behind it")


_STARTS: Final = tuple(
    start + b"\xff"
    for start in (
        b"\xd6",
        b"\xd7",
        *(head + bytes([size]) for size in (4, 8, 12) for head in (b"\xc7", b"\xc8\x00", b"\xc9\x00\x00\x00")),
    )
)
_BEFORE: Final = frozenset(start[-2] for start in _STARTS)
_CLASSES: Final = bytes(2 if byte == 0xFF else 1 if byte in _BEFORE else 0 for byte in range(256))
"""The bytes that stand before the last one of a start become 1, that one 2, and all others 0."""

_LONG: Final = 4_096
_MAX_TOKENS: Final = 64
_MAX_CANDIDATES: Final = 1_000
_SIZES: Final = {
    **dict.fromkeys((*range(0xA0), *range(0xE0, 0x100), 0xC0, 0xC2, 0xC3), 1),
    **{0xA0 + size: 1 + size for size in range(32)},
    **{0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9},
    **{0xD4 + power: 2 + (1 << power) for power in range(5)},
    **{0xDC: 3, 0xDD: 5, 0xDE: 3, 0xDF: 5},
}
"""How many bytes a token takes by its first one; of an array or a map, what stands before its first item."""
_LENGTHS: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
"""How many bytes say how long text or bytes are."""


def may_hold_timestamp(data: bytes) -> bool:
    """Whether there is a timestamp in a message, or content that looks like one. Never False where there is one."""
    if len(data) > _LONG:
        data = b"".join(_without_long_contents(data))
    classes = data.translate(_CLASSES)
    at = -2
    for _ in range(_MAX_CANDIDATES):
        at = classes.find(b"\x01\x02", at + 2)
        if at < 0:
            return False
        if data[max(0, at - 4) : at + 2].endswith(_STARTS):
            return True
    return any(start in data for start in _STARTS)


def _without_long_contents(data: bytes) -> Iterator[bytes]:
    """Yield the message without the long ones of its texts and bytes, as far as it is made of few tokens."""
    start = at = 0
    for _ in range(_MAX_TOKENS):
        if at >= len(data):
            break
        size = _SIZES.get(data[at], 0)
        if size == 0:
            width = _LENGTHS.get(data[at], 0)
            if width == 0:
                break
            content = at + 1 + width
            size = 1 + width + int.from_bytes(data[at + 1 : content], "big")
            if size > _LONG:
                yield data[start:content]
                start = at + size
        at += size
    yield data[start:]


_CONTAINERS: Final = frozenset((list, dict, tuple, set, frozenset))
_DICTS: Final[frozenset[type]] = frozenset((dict,))
_LOOKED_FOR: Final = frozenset((*_CONTAINERS, bytearray))
_FEW_ITEMS: Final = (0, None)
_AT_ONCE: Final = 8_192

_FEW: Final = 16
_LEVELS: Final = 4


def count_items(value: object, room: int, look: Look | None = None) -> tuple[int, bool | None]:
    """The items in exact lists, dicts, tuples and sets, all levels; each takes a byte or more on the wire.

    And whether there is a bytearray among them, which msgpack would write as bytes. Of a value of a few dozen items the
    number is 0 and that is not looked for, so None. Raises SizeExceeded above `room` items and UnserializableError
    below MAX_DEPTH levels (so for every cycle).
    """
    if type(value) not in _CONTAINERS or len(value) <= _FEW:  # type: ignore[arg-type]
        few = get_referents(value)
        for _ in range(_LEVELS):  # most messages are small and flat: looked through here in a few hundred nanoseconds
            if not few:
                return _FEW_ITEMS
            if len(few) > _FEW:
                break
            few = get_referents(*few)
    return _count_by_level(value, room, look)


def holds_bytearray(value: object) -> bool:
    """Whether there is one in exact lists, dicts and tuples of a value whose items have been counted."""
    return _count_by_level(value, sys.maxsize, None)[1]


def has_few_items(value: object, few: int) -> bool:
    """Whether `count_items` finds at most so many, found out by a look at no more than that."""
    try:
        _count_by_level(value, few, None)
    except (SizeExceeded, UnserializableError):
        return False
    return True


def _count_by_level(value: object, room: int, look: Look | None) -> tuple[int, bool]:
    level: list[Collection[Any]] = [value] if type(value) in _CONTAINERS else []  # type: ignore[list-item]
    items, mutable = 0, False
    for _ in range(MAX_DEPTH + 1):
        if not level:
            return items, mutable
        inner: list[Collection[Any]] = []
        for start in range(0, len(level), _AT_ONCE):
            some = level[start : start + _AT_ONCE]
            count = sum(map(len, some))
            items += count
            if items > room:
                raise SizeExceeded(f"more than {room:,} bytes")
            for inside in [get_referents(*some)] if count <= _AT_ONCE else _inside(some):
                if look is not None and items > _AT_ONCE:
                    look()
                # As a rule there are none, which is found out four times as fast as by going through them.
                if not _LOOKED_FOR.isdisjoint(map(type, inside)):
                    mutable = mutable or bytearray in map(type, inside)
                    inner += [item for item in inside if type(item) in _CONTAINERS]
        level = inner
    raise UnserializableError(f"nested more than {MAX_DEPTH} levels deep, or inside itself")


def _inside(containers: list[Collection[Any]]) -> Iterator[list[Any]]:
    """What is in containers, some thousand objects at a time."""
    items = chain.from_iterable(map(_parts, containers))
    while some := list(islice(items, _AT_ONCE)):
        yield some


def _parts(container: Any) -> Iterable[Any]:
    return chain(container, container.values()) if type(container) in _DICTS else container
