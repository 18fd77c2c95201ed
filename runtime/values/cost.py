"""What a message takes once it is decoded, found out before anything is: bytes of memory, never too few.

One byte on the wire can be a 64-byte list, two a 264-byte dict. Most messages are cleared by a look at which bytes they
hold; the others are split into tokens, piece by piece, by one regular expression. Sizes are those of a 64-bit CPython
3.11-3.13, with the slot that holds the object and the room that tables keep free.
"""

import re
from functools import cache
from operator import itemgetter
from typing import Final

from .checks import PIECE, check_shape
from .codes import (
    ARRAY,
    BYTEARRAY,
    DEQUE,
    FROZENSET,
    MAPPING,
    MAX_DEPTH,
    PATH,
    SET,
    TYPED_ARRAY,
    Look,
    MalformedValue,
)

__all__ = ["TooCostly", "cost_of"]


class TooCostly(MalformedValue):
    """A message that takes more memory than the receiver has for it: at least ``cost`` bytes, and ``room`` is left."""

    def __init__(self, cost: int, room: int) -> None:
        super().__init__("a message that would decode to more than the receiver allows")
        self.cost = cost
        self.room = room


_FLAT: Final = 64
"""Messages of so few bytes are not looked at: nothing that they hold is dear, but for deques."""
_FLAT_COST: Final = 2_048
_SAMPLED: Final = 1_024
_BLOCK: Final = 1 << 17
_PER_BYTE: Final = 30
_CONTAINER: Final = 240
_NEGATIVE: Final = 16
_EXTENSION: Final = 400


def _all_but(*spans: tuple[int, int]) -> bytes:
    kept = {byte for first, last in spans for byte in range(first, last + 1)}
    return bytes(set(range(256)) - kept)


_NO_CONTAINER: Final = _all_but((0x80, 0x9F), (0xDC, 0xDF))
_NO_NEGATIVE: Final = _all_but((0xE0, 0xFF))
_NO_EXTENSION: Final = _all_but((0xC7, 0xC9), (0xD4, 0xD8))


def cost_of(data: bytes, room: int, look: Look) -> int:
    """Return the bytes that a decoded message takes, never too few and seldom twice too many.

    Arrays that become lists are not counted but as their bytes: the decoder has a budget for them.

    A message of more than a few bytes is checked with ``check_shape`` first. Raises TooCostly above ``room``,
    MalformedValue for what is no message, and what ``look`` raises.
    """
    if len(data) <= _FLAT and _DEQUES not in data:
        return _FLAT_COST
    scan = _Scan(data, room, look)
    short = len(data) > _SAMPLED and scan.is_short()
    if len(data) > MAX_DEPTH:
        check_shape(data, look if len(data) > _BLOCK and not short else None)
    if short:
        return scan.cost
    cost = _bound(data, look)
    # A bound that is far off is not worth having: it would make others pay for room that is not used.
    if cost > room or cost > 2 * _PER_BYTE * len(data):
        try:
            cost = scan.run()
        except IndexError:
            # A short one, whose shape was not checked.
            raise MalformedValue("not a value: it ends within one") from None
    if cost > room:
        raise TooCostly(cost, room)
    return cost


def _bound(data: bytes, look: Look) -> int:
    """A cost that is certainly not too low, as if each byte that looks like the head of a dear token were one."""
    if len(data) > _BLOCK:
        return sum(_bound(data[start : start + _BLOCK], look) for start in range(0, len(data), _BLOCK))
    look()
    containers = len(data.translate(None, _NO_CONTAINER))
    negative = len(data.translate(None, _NO_NEGATIVE))
    extensions = len(data.translate(None, _NO_EXTENSION))
    extension = _EXTENSION + (_DEQUE if extensions and _DEQUES in data else 0)
    per_byte = _PER_BYTE + (_SET_SLOT if extensions and _holds_sets(data) else 0)
    return per_byte * len(data) + _CONTAINER * containers + _NEGATIVE * negative + extension * extensions


def _holds_sets(data: bytes, look: Look | None = None) -> bool:
    if look is None:
        return any(mark in data for mark in _SETS)
    for start in range(0, len(data), _BLOCK):
        look()
        # A mark may stand on the line between two blocks.
        if _holds_sets(data[max(0, start - _MARK) : start + _BLOCK]):
            return True
    return False


_SLOT: Final = 8
_SET_SLOT: Final = 64
"""A set's table takes up to so many bytes for an item of one byte."""
_ENTRY: Final = 62
_NUMBER: Final = 32 + _SLOT
_TEXT: Final = 64 + _SLOT
_WIDE: Final = 24
"""Bytes more for a text that is not ASCII, besides four more for each of its own."""
_KEYED: Final = 176
_EXTENSION_BYTE: Final = 20
_PER_CODE: Final = {PATH: 40, BYTEARRAY: 3, TYPED_ARRAY: 4, ARRAY: 3}
"""Of numpy's arrays as they are: the decoder has a budget for those that become lists."""
_DEQUE: Final = 900
"""An empty deque has room for 64 items."""
_DEQUES: Final = b"\0" + bytes([DEQUE])
"""How the mark of one ends, however its length is written."""
_ASCII: Final = bytes(range(128))
_SETS: Final = tuple(
    head + bytes([code]) for code in (SET, FROZENSET, MAPPING) for head in (b"\xc7\0", b"\xc8\0\0", b"\xc9\0\0\0\0")
)
_MARK: Final = 5
"""Bytes of the longest of these but one."""
_LENGTH_BYTES: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_COUNT_BYTES: Final = {0xDE: 2, 0xDF: 4}
_FIXED: Final = {
    **{0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8, 0xCA: 4, 0xCB: 8, 0xDC: 2, 0xDD: 4},
    **{0xA0 + size: size for size in range(1, 32)},
    **{0xD4 + power: 1 + (1 << power) for power in range(5)},
}
"""How many bytes follow the head of a token of a fixed size; of an array, those of its length."""
_first = itemgetter(0)


def _map_cost(count: int) -> int:
    return 80 + _SLOT + (176 + _ENTRY * max(0, count - 5) if count else 0)


def _slots(head: int) -> int:
    """The cost of a token beside its content, in slots. The slots of a container are its items' cost."""
    if 0x80 <= head <= 0x9F:
        return (_map_cost(head & 0x0F) if head < 0x90 else 64 + _SLOT) // _SLOT
    if head >= 0xE0 or 0xCA <= head <= 0xD3:
        return _NUMBER // _SLOT
    return _KEYED // _SLOT if head in (0xC7, *range(0xD4, 0xD9)) else _TEXT // _SLOT if head > 0xC3 else _short(head)


def _short(head: int) -> int:
    return _TEXT // _SLOT if 0xA1 <= head <= 0xBF else 1


@cache
def _costs() -> bytes:
    return bytes(map(_slots, range(256)))


@cache
def _tokens() -> "re.Pattern[bytes]":
    """Tokens of several bytes; last, what ends a piece, with all that follows.

    A token of one byte is whatever is not found. So a search from the start of a token finds nothing but tokens, until
    one that is cut off by the piece's end or that has a length of several bytes. Each alternative begins with a
    literal, so that the engine looks for these bytes alone.
    """
    fixed = [b"\\x%02x%s" % (head, _any(size)) for head, size in _FIXED.items()]
    sized = [_sized(0xC4), _sized(0xD9), _sized(0xC7, 1)]
    ends = [b"\\x%02x[\\s\\S]*" % head for head in (*_FIXED, 0xC1, *_LENGTH_BYTES, *_COUNT_BYTES)]
    return re.compile(b"(" + b"|".join([*fixed, *sized, *ends]) + b")")


def _sized(head: int, extra: int = 0) -> bytes:
    sizes = b"|".join(b"\\x%02x%s" % (size, _any(size + extra)) for size in range(256))
    return b"\\x%02x(?:%s)" % (head, sizes)


def _any(count: int) -> bytes:
    return b"" if count == 0 else b"[\\s\\S]{%d}" % count


_SMALL_PIECE: Final = 128
_FIRST_PIECE: Final = 64
_FEW: Final = 16
_MIN_LONG: Final = 16
_MAX_WASTEFUL: Final = 1_000


class _Scan:
    """One pass over the tokens, adding up what each becomes; ends at the piece that goes over the room."""

    def __init__(self, data: bytes, room: int, look: Look) -> None:
        self._data = data
        self._room = room
        self._look = look
        self.cost = 0
        # Whether there are sets is looked for only where there are many tokens: four milliseconds for a megabyte.
        self._slot = _SET_SLOT - _SLOT
        self._piece = PIECE
        self._wasteful = 0

    def is_short(self) -> bool:
        """Return whether there are but a few tokens, as in a long text; they have been added up then.

        What is no message may be found to be short, too.
        """
        at, size = 0, len(self._data)
        for _ in range(_FEW):
            self._piece = int(_FIRST_PIECE)
            try:
                at = self._split(at)
            except IndexError:
                # It ends within a token.
                break
            if at >= size and self.cost <= self._room:
                return True
            if self._piece != _SMALL_PIECE:
                break
        self.cost = self._wasteful = 0
        self._piece = PIECE
        return False

    def run(self) -> int:
        """Return the cost. Raises TooCostly."""
        at, size, next_look = 0, len(self._data), 0
        self._slot = _SET_SLOT - _SLOT if _holds_sets(self._data, self._look) else 0
        while at < size:
            if at >= next_look:
                self._look()
                next_look = at + PIECE
            at = self._split(at)
            if self.cost > self._room:
                raise TooCostly(self.cost, self._room)
        return self.cost

    def _split(self, at: int) -> int:
        """Add the tokens of a piece and return where the next one begins."""
        piece = self._data[at : at + self._piece]
        # What stands between those found is tokens of one byte.
        parts = _tokens().split(piece)
        singles, tokens = b"".join(parts[::2]), parts[1::2]
        cut = len(tokens[-1]) if tokens and self._is_cut(tokens[-1]) else 0
        if cut:
            del tokens[-1]
        self._add(singles, tokens)
        at += len(piece) - cut
        # Long contents come in rows: a large piece would be split in vain.
        self._piece = _SMALL_PIECE if cut else min(PIECE, 4 * self._piece)
        return self._long(at) if cut else at

    def _is_cut(self, token: bytes) -> bool:
        head = token[0]
        if head in _FIXED:
            return len(token) != 1 + _FIXED[head]
        return head not in (0xC4, 0xC7, 0xD9) or len(token) < 2 or len(token) != 2 + token[1] + (head == 0xC7)

    def _add(self, singles: bytes, tokens: list[bytes]) -> None:
        content = b"".join(tokens)
        heads = bytes(map(_first, tokens))
        self.cost += _SLOT * sum((singles + heads).translate(_costs())) + len(content)
        self.cost += self._slot * (len(singles) + len(heads))
        if len(content.translate(None, _ASCII)) > len(heads):
            wide = [token for token in tokens if token[0] <= 0xBF or token[0] == 0xD9]
            wide = [token for token in wide if not token[2:].isascii() or token[1] > 0x7F]
            self.cost += _WIDE * len(wide) + 4 * sum(map(len, wide))
        if len(heads.translate(None, _NO_EXTENSION)):
            self.cost += sum(map(_extra_cost, tokens))

    def _long(self, at: int) -> int:
        """Add the token that the piece's end has cut off, or that is long, and return where it ends."""
        data, head = self._data, self._data[at]
        if head in _COUNT_BYTES:
            end = at + 1 + _COUNT_BYTES[head]
            count = int.from_bytes(data[at + 1 : end], "big")
            self._note_waste(count)
            self.cost += _map_cost(count)
            return end
        if head in _FIXED:
            end = at + 1 + _FIXED[head]
            self._add(b"", [data[at:end]])
            return end
        if head not in _LENGTH_BYTES:
            raise MalformedValue("a byte that starts no value")
        start = at + 1 + _LENGTH_BYTES[head]
        size = int.from_bytes(data[at + 1 : start], "big")
        self._note_waste(size + 16 * (head in (0xC4, 0xC7, 0xD9)))
        end = start + size
        if 0xC7 <= head <= 0xC9:
            end += 1
            self.cost += _KEYED + _per_byte(data[start]) * (end - start) + _DEQUE * (data[start] == DEQUE)
        else:
            narrow = head <= 0xC6 or data[start:end].isascii()
            self.cost += _TEXT + (end - start if narrow else _WIDE + 5 * (end - start))
        return end

    def _note_waste(self, size: int) -> None:
        """Refuse a message of many lengths that take more bytes than they need: it costs dear to read them."""
        self._wasteful += size < _MIN_LONG
        if self._wasteful > _MAX_WASTEFUL:
            raise MalformedValue("lengths that take more bytes than they need")


def _extra_cost(token: bytes) -> int:
    head = token[0]
    if head != 0xC7 and not 0xD4 <= head <= 0xD8:
        return 0
    # Of one with a length the code comes after it, of one of a fixed size it comes at once.
    code = token[2] if head == 0xC7 else token[1]
    return _per_byte(code) * (len(token) - 2) + _DEQUE * (code == DEQUE)


def _per_byte(code: int) -> int:
    return _PER_CODE.get(code, _EXTENSION_BYTE)
