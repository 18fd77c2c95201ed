"""The memory a message needs once decoded, bounded from its bytes before anything is built.

One byte on the wire can be a 64-byte list, three a 232-byte dict. The bounds are sizes in a 64-bit CPython 3.11-3.13,
with the slot that holds the object and the room that tables keep free.
"""

import re
from typing import Final

from .codes import PATH
from .errors import MalformedValue

DEFAULT_BUDGET: Final = 512 << 20
"""Bytes that a decoded message may take where the caller does not say."""

WORST: Final = 128
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
    if len(data) * WORST > budget:
        Scan(data, budget).run()


class Scan:
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
