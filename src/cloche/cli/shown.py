"""Values of a guest as text: their repr, whatever they are and however large."""

import reprlib
from typing import Any

from cloche.cli.harmless import harmless, one_line

__all__ = ["brief_repr", "full_repr"]


def full_repr(value: object) -> str:
    """Return the value's repr, harmless to show; abridged only where Python refuses to write it out."""
    try:
        return harmless(repr(value))
    except (ValueError, RecursionError):
        # Python writes no int of more than 4,300 digits.
        return harmless(_ABRIDGED.repr(value))


def brief_repr(value: object, width: int) -> str:
    """Return the value's repr on one line of at most ``width`` characters, at a cost that does not grow with it."""
    return one_line(_ABRIDGED.repr(value), width)


class _Abridged(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 12
        self.maxstring = self.maxother = 200
        self.maxlong = 80

    def repr_int(self, x: int, level: int) -> str:
        """Return the digits, or how many bits a very long one has."""
        return f"<int of {x.bit_length()} bits>" if x.bit_length() > 1024 else super().repr_int(x, level)

    def repr_bytes(self, x: bytes, level: int) -> str:
        """Return the repr of the first bytes: repr of all of them may be four times the value's size."""
        return repr(x) if len(x) <= self.maxstring else f"{x[: self.maxstring]!r}..."

    def repr_instance(self, x: Any, level: int) -> str:
        """Return the repr of anything else, or its type where that fails."""
        try:
            return super().repr_instance(x, level)
        except RecursionError:
            return f"<{type(x).__name__}>"


_ABRIDGED = _Abridged()
