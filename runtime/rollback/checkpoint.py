"""A copy of what a guest changed in its memory."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cloche.runtime.machine_api import Machine

__all__ = ["PAGE", "Checkpoint", "Piece", "changed_pieces", "span"]

PAGE = 1 << 12
"""Bytes that are compared, and kept, at once."""
_BLOCK = 1 << 16


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
        pieces = list(changed_pieces(machine.view(), pristine, machine.written()))
        return cls(pieces, machine.memory_size(), machine.stack_pointer)

    def weight(self) -> int:
        """Return the bytes that it keeps."""
        return sum(len(piece.data) for piece in self.pieces)

    def apply(self, machine: Machine) -> None:
        """Bring a machine that is as the image left it into this state. Raises MemoryError if it has no room."""
        machine.grow_to(self.size)
        for piece in self.pieces:
            machine.write(piece.offset, piece.data)
        machine.stack_pointer = self.stack_pointer


def changed_pieces(
    now: memoryview, before: memoryview, spans: Iterable[tuple[int, int]] | None = None
) -> Iterator[Piece]:
    """Yield the pages of ``now`` that differ from ``before``; what lies beyond ``before`` was zero.

    ``spans`` are the parts that may differ, each beginning at a page; default everything.
    """
    for first, end in [(0, len(now))] if spans is None else spans:
        for start in range(first, end, _BLOCK):
            block = bytes(now[start : min(end, start + _BLOCK)])
            was = span(before, start, len(block))
            if block != was:
                yield from _changed_pages(block, was, start)


def _changed_pages(block: bytes, was: bytes, start: int) -> Iterator[Piece]:
    # Copies, because two bytes objects compare by memcmp and two memoryviews item by item.
    for offset in range(0, len(block), PAGE):
        page = block[offset : offset + PAGE]
        if page != was[offset : offset + PAGE]:
            yield Piece(start + offset, page)


def span(memory: memoryview, start: int, length: int) -> bytes:
    """Return a copy of a part of an image's memory; what lies beyond its end is zero."""
    return bytes(memory[start : start + length]).ljust(length, b"\0")
