"""A copy of what a guest changed in its memory."""

from collections.abc import Iterator
from typing import NamedTuple

from cloche.runtime.seam import Machine

__all__ = ["Checkpoint", "Piece", "changed_pieces"]

_BLOCK = 1 << 16
_PAGE = 1 << 12


class Piece(NamedTuple):
    """Some bytes of memory and where they belong."""

    offset: int
    data: bytes


class Checkpoint(NamedTuple):
    """A machine's state between two requests: the pages that differ from the image's own memory, the memory's
    size in bytes, and the stack pointer."""

    pieces: list[Piece]
    size: int
    stack_pointer: int

    @classmethod
    def take(cls, machine: Machine, pristine: memoryview) -> "Checkpoint":
        """Copy what differs from ``pristine``, the memory of a machine as the image left it."""
        pieces = list(changed_pieces(machine.view(), pristine))
        return cls(pieces, machine.memory_size(), machine.stack_pointer)

    def weight(self) -> int:
        """Return the bytes that it keeps."""
        return sum(len(piece.data) for piece in self.pieces)

    def apply(self, machine: Machine) -> None:
        """Bring a machine that is as the image left it into this state."""
        machine.grow_to(self.size)
        for piece in self.pieces:
            machine.write(piece.offset, piece.data)
        machine.stack_pointer = self.stack_pointer


def changed_pieces(now: memoryview, before: memoryview) -> Iterator[Piece]:
    """Yield the pages of ``now`` that differ from ``before``; what lies beyond ``before`` was zero."""
    for start in range(0, len(now), _BLOCK):
        block = now[start : start + _BLOCK]
        if not _are_equal(_span(before, start, len(block)), block):
            yield from _changed_pages(block, before, start)


def _changed_pages(block: memoryview, before: memoryview, start: int) -> Iterator[Piece]:
    for offset in range(0, len(block), _PAGE):
        page = bytes(block[offset : offset + _PAGE])
        if not _are_equal(_span(before, start + offset, len(page)), page):
            yield Piece(start + offset, page)


def _span(memory: memoryview, start: int, length: int) -> bytearray:
    return bytearray(memory[start : start + length]).ljust(length, b"\0")


def _are_equal(one: bytearray, other: object) -> bool:
    # A bytearray compares with any buffer by memcmp; two memoryviews would be compared item by item.
    return one == other
