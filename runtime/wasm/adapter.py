"""What a store may hold."""

from dataclasses import dataclass

__all__ = ["FUEL_FULL", "StoreLimits"]

# More fuel than any guest can use in a lifetime; the engine counts in signed 64 bits.
FUEL_FULL = 1 << 62


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """What one store may hold: bytes of memory, elements over all tables, and tables. One memory, one instance.

    Wasmtime takes a negative number for "no limit", so the machine checks each of them first.
    """

    memory: int
    table_elements: int
    tables: int
