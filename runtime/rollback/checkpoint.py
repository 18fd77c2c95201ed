"""A copy of what a guest changed in its memory."""

from collections.abc import Iterable
from typing import NamedTuple

from cloche.runtime.machine_api import Machine, Piece

__all__ = ["PAGE", "Checkpoint", "changed_pieces"]

PAGE = 1 << 12
"""Bytes that are compared, and kept, at once."""
_CHUNK = 1 << 16


class Checkpoint(NamedTuple):
    """A machine's state between two requests: the parts that differ from the image's own memory, the memory's
    size in bytes, and the stack pointer."""

    pieces: list[Piece]
    size: int
    stack_pointer: int

    @classmethod
    def take(cls, machine: Machine, pristine: memoryview) -> "Checkpoint":
        """Copy what differs from ``pristine``, the memory of a machine as the image left it."""
        pieces = changed_pieces(machine.view(), pristine, machine.written())
        return cls(pieces, machine.memory_size(), machine.stack_pointer)

    def weight(self) -> int:
        """Return the bytes that it keeps."""
        return sum([len(data) for _, data in self.pieces])


def changed_pieces(now: memoryview, before: memoryview, spans: Iterable[tuple[int, int]] | None = None) -> list[Piece]:
    """Return the pages of ``now`` that differ from ``before``; what lies beyond ``before`` was zero.

    ``spans`` are the parts that may differ, each beginning at a page; default everything.
    """
    pieces: list[Piece] = []
    for first, end in [(0, len(now))] if spans is None else spans:
        for start in range(first, end, _CHUNK):
            # Copies, because two bytes objects compare by memcmp and two memoryviews item by item.
            chunk = bytes(now[start : min(end, start + _CHUNK)])
            was = bytes(before[start : start + len(chunk)]).ljust(len(chunk), b"\0")
            if chunk != was:
                _add_pages(pieces, start, chunk, was)
    return pieces


def _add_pages(pieces: list[Piece], start: int, chunk: bytes, was: bytes) -> None:
    for offset in range(0, len(chunk), PAGE):
        page = chunk[offset : offset + PAGE]
        if page != was[offset : offset + PAGE]:
            pieces.append((start + offset, page))
