"""Hostile messages from sound ones: cut into tokens, changed token by token, and at times made huge.

A flipped byte seldom gets past the first check. So what is changed is the structure: heads that promise other lengths,
tokens of another type, subtrees twice, elsewhere, or inside themselves.
"""

import random
from collections.abc import Sequence

__all__ = ["Mutator", "tokens_of"]

Tokens = list[bytes]

_SIZES = {
    **dict.fromkeys((*range(0xA0), *range(0xE0, 0x100), 0xC0, 0xC1, 0xC2, 0xC3), 1),
    **{0xA0 + size: 1 + size for size in range(32)},
    **{0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9},
    **{0xD4 + power: 2 + (1 << power) for power in range(5)},
    **{0xDC: 3, 0xDD: 5, 0xDE: 3, 0xDF: 5},
}
_WIDTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4}

_HUGE = b"\xff\xff\xff\xff"
_TOKENS: tuple[bytes, ...] = (
    *(bytes([head]) for head in (0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x91, 0x9F)),
    *(bytes([head]) for head in (0xA0, 0xC0, 0xC1, 0xC2, 0xC3, 0xE0, 0xFF)),
    *(bytes([head]) + _HUGE for head in (0xC6, 0xDB, 0xDD, 0xDF)),
    b"\xc9" + _HUGE + b"\x01",
    b"\xdc\xff\xff",
    b"\xde\xff\xff",
    b"\xcf" + b"\xff" * 8,
    b"\xd3\x80" + b"\0" * 7,
    b"\xcb\x7f\xf8" + b"\0" * 6,
    b"\xcb\x7f\xf0" + b"\0" * 6,
    b"\xcb\xff\xf0" + b"\0" * 6,
    b"\xcb\x43\xab\xc1\x6d\x67\x4e\xc8\0",
    b"\xa1\x00",
    b"\xa3\xed\xa0\x80",
    b"\xa2\xff\xfe",
    b"\xa9__class__",
    b"\xa4self",
    b"\xc4\x00",
    b"\xc4\x03abc",
    *(b"\xc7\x00" + bytes([code]) for code in (1, 5, 16, 32, 33, 34, 35, 36, 64, 255)),
    *(b"\xc7\x02" + bytes([code]) + b"\x01\xff" for code in range(1, 24)),
    b"\xd6\xff\0\0\0\0",
    b"\xd7\xff" + b"\0" * 8,
    b"\xc7\x0c\xff" + b"\xff" * 12,
    # An int of 10**60, and one whose text would have thousands of digits.
    b"\xc7\x1a\x01" + b"\x7f" * 26,
    b"\xc8\x10\x00\x01" + b"\x7f" * 4096,
)
_HEADS = frozenset((*range(0x81, 0x90), *range(0x91, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF))
# Whole values, sound or at least of sound length.
_VALUES = (
    *(token for token in _TOKENS if token[0] not in _HEADS and token[0] != 0xC1 and _HUGE not in token[:5]),
    b"\x91\xc0",
    b"\x92\x01\x02",
    b"\x81\xa1x\x01",
    b"\x92\xc7\x00\x20\x01",
    b"\xcf\x7f" + b"\xff" * 7,
    b"\xcb\x3f\xf8" + b"\0" * 6,
    b"\xcb\xbf\xf8" + b"\0" * 6,
    b"\xd1\xff\x00",
    b"\xd9\xff" + b"x" * 255,
    b"\xc4\x10" + b"\x94\x00\xa3ask\x91\xa1x\x80" + b"\xc0" * 6,
    b"\xc4\x09" + b"\x94\x00\xa3ask\x90\x80" + b"\x80",
    b"\xc4\x08" + b"\x94\x00\xa3ask\x90\x80",
)


def tokens_of(message: bytes) -> Tokens:
    """Return the message's tokens; a container's head is one, and so is what is left where a token is cut short."""
    tokens: Tokens = []
    at = 0
    while at < len(message):
        head = message[at]
        size = _SIZES.get(head, 0)
        if not size:
            width = _WIDTHS[head]
            size = 1 + width + int.from_bytes(message[at + 1 : at + 1 + width], "big") + (0xC7 <= head <= 0xC9)
        tokens.append(message[at : at + size])
        at += size
    return tokens


class Mutator:
    """Makes hostile messages of sound ones; the same ``noise`` makes the same messages."""

    def __init__(self, noise: random.Random) -> None:
        self._noise = noise
        self._random = noise.random

    def pick(self, items: Sequence[bytes]) -> bytes:
        """Return one of the items."""
        return items[int(self._random() * len(items))]

    def message(self, seed: Tokens, others: Sequence[Tokens], huge: bool = False) -> bytes:
        """Return a message like ``seed``, with parts of others in it; ``huge``: with up to a million tokens."""
        tokens = seed.copy()
        sound = self._random() < 0.5
        for _ in range(1 + int(self._random() * 3)):
            if sound:
                self._exchange(tokens, others)
            else:
                self._change(tokens, others)
        if huge:
            self._swell(tokens)
        return self.spoilt(b"".join(tokens)) if not sound and self._random() < 0.2 else b"".join(tokens)

    def spoilt(self, data: bytes) -> bytes:
        """Return bytes of no structure: some flipped, some cut off, some twice."""
        if not data:
            return data
        at, kind = int(self._random() * len(data)), int(self._random() * 4)
        if kind == 0:
            return data[:at]
        if kind == 1:
            return data[:at] + bytes([int(self._random() * 256)]) + data[at + 1 :]
        if kind == 2:
            return data[:at] + data[max(0, at - 7) :]
        return data[:at] + self.pick(_TOKENS) + data[at:]

    def _exchange(self, tokens: Tokens, others: Sequence[Tokens]) -> None:
        """Put another value in place of one that holds no others, so that the message as a whole stays sound."""
        at = int(self._random() * len(tokens)) if tokens else 0
        if not tokens or tokens[at][0] in _HEADS:
            return
        other = others[int(self._random() * len(others))]
        leaf = other[int(self._random() * len(other))] if other else b"\xc0"
        tokens[at] = leaf if leaf[0] not in _HEADS and self._random() < 0.4 else self.pick(_VALUES)

    def _change(self, tokens: Tokens, others: Sequence[Tokens]) -> None:
        at, kind = int(self._random() * len(tokens)), int(self._random() * 7)
        if not tokens or kind == 0:
            tokens.insert(at, self.pick(_TOKENS))
        elif kind == 1:
            tokens[at] = self.pick(_TOKENS)
        elif kind == 2:
            del tokens[at]
        elif kind == 3:
            tokens[at:at] = tokens[at : at + 1 + int(self._random() * 5)]
        elif kind == 4:
            other = others[int(self._random() * len(others))]
            start = int(self._random() * len(other))
            tokens[at:at] = other[start : start + 1 + int(self._random() * 6)]
        elif kind == 5:
            to = int(self._random() * len(tokens))
            tokens[at], tokens[to] = tokens[to], tokens[at]
        else:
            tokens[at] = self._other_length(tokens[at])

    def _other_length(self, token: bytes) -> bytes:
        """Return a container's head, or a text, that promises one item more or less than there is."""
        head, step = token[0], 1 if self._random() < 0.5 else -1
        if 0x80 <= head <= 0xBF:
            return bytes([(head & 0xF0) | ((head + step) & 0x0F)]) + token[1:]
        if head in _WIDTHS or 0xDC <= head <= 0xDF:
            width = _WIDTHS.get(head, 2 if head in (0xDC, 0xDE) else 4)
            length = int.from_bytes(token[1 : 1 + width], "big") + step
            return token[:1] + (length % (1 << 8 * width)).to_bytes(width, "big") + token[1 + width :]
        return self.pick(_TOKENS)

    def _swell(self, tokens: Tokens) -> None:
        """Put a long list of one short pattern in place of a token: the shape that is dearest to check."""
        pattern = b"".join(self.pick(_TOKENS)[:9] for _ in range(1 + int(self._random() * 2)))
        count = 10 ** (3 + int(self._random() * 3)) * (1 + int(self._random() * 9))
        size = (4 << 20) // len(pattern)
        head = b"\xdd" + min(count, size).to_bytes(4, "big")
        tokens[int(self._random() * len(tokens)) if tokens else 0 : 1] = [head, pattern * min(count, size)]
