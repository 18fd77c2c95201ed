"""What a message is checked for before anything is decoded: its depth, timestamps, and the memory it would take.

The bounds of memory are sizes in a 64-bit CPython 3.11-3.13, with the slot that holds the object and the room that
tables keep free: one byte on the wire can be a 64-byte list, three a 232-byte dict.
"""

import re
from collections.abc import Iterator
from typing import Final

from .codes import MAX_DEPTH, PATH, MalformedValue, StackError, Unpacker

__all__ = ["may_hold_timestamp"]


_PARSER_DEPTH: Final = 1024
"""Containers that msgpack's parser opens inside one another before it gives up."""

_PREFIX: Final = b"\x91" * (_PARSER_DEPTH - MAX_DEPTH)
"""Arrays of one item around the message, so that the parser gives up at our depth instead of its own."""

_NO_CONTAINER: Final = bytes(set(range(256)) - set(range(0x80, 0xA0)) - set(range(0xDC, 0xE0)))
_SHORT: Final = 4096


def is_too_deep(data: bytes) -> bool:
    """Whether the message nests deeper than MAX_DEPTH. Bytes that are no message at all count as shallow."""
    if len(data) <= MAX_DEPTH:  # a container costs a byte
        return False
    if len(data) <= _SHORT and len(data.translate(None, _NO_CONTAINER)) <= MAX_DEPTH:
        return False
    return _parser_gives_up(data)


def _parser_gives_up(data: bytes) -> bool:
    parser = Unpacker(max_buffer_size=0, read_size=len(data) + len(_PREFIX))
    parser.feed(_PREFIX)
    parser.feed(data)
    try:
        parser.skip()
    except StackError:
        return True
    except Exception:  # not a message: the decoder says so
        return False
    return False


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


DEFAULT_BUDGET: Final = 512 << 20
"""Bytes that a decoded message may take where the caller does not say."""

MAX_DECODED_PER_BYTE: Final = 128
"""Decoded bytes per byte of message, at most: a map of one entry in a map of one entry is 232 bytes from 2."""

_SLOT: Final = 9
_NUMBERS = re.compile(
    rb"(?:\xcb[\s\S]{8}|[\xcf\xd3][\s\S]{8}|[\xca\xce\xd2][\s\S]{4}|[\xcd\xd1][\s\S]{2}|[\xcc\xd0][\s\S])+"
)
_SMALL = re.compile(rb"[\x00-\x7f\xc0\xc2\xc3]+")
_NEGATIVE = re.compile(rb"[\xe0-\xff]+")
_NUMBER_SIZE: Final = 40
_LENGTH_BYTES: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_COUNT_BYTES: Final = {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}


def check_budget(data: bytes, budget: int) -> None:
    """Raise MalformedValue if decoding `data` could take more than `budget` bytes; a quick look, then a scan."""
    if len(data) * MAX_DECODED_PER_BYTE > budget:
        BudgetScan(data, budget).run()


class BudgetScan:
    """One pass over the tokens, adding up what each becomes; ends at the first byte over the budget."""

    def __init__(self, data: bytes, budget: int) -> None:
        self._data = data
        self._at = 0
        self._room = budget - len(data)  # the copies of text and bytes

    def run(self) -> None:
        """Raise MalformedValue at the byte that goes over the budget, or that starts no value."""
        while self._at < len(self._data):
            self._room -= self._runs() or self._token(self._data[self._at])
            if self._room < 0:
                raise MalformedValue("a message that would decode to more than the receiver allows")

    def _runs(self) -> int:
        """The cost of the run of numbers here, 0 if there is none; the C regex engine takes them all at once."""
        for pattern, cost in ((_SMALL, _SLOT), (_NUMBERS, _NUMBER_SIZE), (_NEGATIVE, _NUMBER_SIZE)):
            match = pattern.match(self._data, self._at)
            if match:
                self._at = match.end()
                return cost * len(match.group())  # more than needed for numbers of several bytes
        return 0

    def _token(self, head: int) -> int:
        self._at += 1
        if head in _COUNT_BYTES:
            return self._container(self._number(_COUNT_BYTES[head]), is_map=head >= 0xDE)
        if head <= 0x9F:
            return self._container(head & 0x0F, is_map=head < 0x90)
        return self._payload(head)

    def _container(self, count: int, *, is_map: bool) -> int:
        if count > len(self._data) - self._at:
            raise MalformedValue("a container longer than the message")
        if is_map:
            return 240 + 120 * count
        marked = self._data[self._at : self._at + 1] == b"\xc7"
        return (400 + 140 * count) if marked else (80 + _SLOT * count)

    def _payload(self, head: int) -> int:
        if head <= 0xBF:
            return self._text(head & 0x1F)
        if head in _LENGTH_BYTES:
            size = self._number(_LENGTH_BYTES[head])
            return self._text(size) if head >= 0xD9 else self._extension(size) if head >= 0xC7 else self._skip(size, 48)
        if 0xD4 <= head <= 0xD8:
            return self._extension(1 << (head - 0xD4))
        raise MalformedValue("a byte that starts no value")

    def _text(self, size: int) -> int:
        ascii_only = self._data[self._at : self._at + size].isascii()
        return self._skip(size, 88 if ascii_only else 88 + 4 * size)

    def _extension(self, size: int) -> int:
        code = self._data[self._at : self._at + 1]
        factor = 40 if code == bytes([PATH]) else 2
        return self._skip(size + 1, 300 + factor * size)

    def _number(self, width: int) -> int:
        start, self._at = self._at, self._at + width
        return int.from_bytes(self._data[start : self._at], "big")

    def _skip(self, size: int, cost: int) -> int:
        self._at += size
        return cost
