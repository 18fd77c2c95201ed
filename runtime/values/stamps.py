"""Whether a message may hold a timestamp: the one extension that msgpack's parser reads without asking the hook.

No value of ours is one, so a message that holds one is refused. To look for its few first bytes everywhere would take
longer than all else that is done with a megabyte of bytes, so long contents are stepped over, and the rest is looked
at in one pass.
"""

from collections.abc import Iterator
from typing import Final

__all__ = ["may_hold_timestamp"]

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
_MOST_TOKENS: Final = 64
_MOST_CANDIDATES: Final = 1_000
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
    for _ in range(_MOST_CANDIDATES):
        at = classes.find(b"\x01\x02", at + 2)
        if at < 0:
            return False
        if data[max(0, at - 4) : at + 2].endswith(_STARTS):
            return True
    return any(start in data for start in _STARTS)


def _without_long_contents(data: bytes) -> Iterator[bytes]:
    """Yield the message without the long ones of its texts and bytes, as far as it is made of few tokens."""
    start = at = 0
    for _ in range(_MOST_TOKENS):
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
