"""The part of msgpack that is used here; it ships no types."""

from typing import NamedTuple

class ExtType(NamedTuple):
    """An extension: its code, and its bytes."""

    code: int
    data: bytes

def packb(value: object, /) -> bytes:
    """Encode plain values and extensions."""
