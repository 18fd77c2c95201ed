"""What a machine asks of the layer that talks to Wasmtime: two implementations, one interface."""

from dataclasses import dataclass
from typing import Protocol

from cloche.runtime.wasm.control import Control
from cloche.runtime.wasm.imports import ImportHost
from cloche.runtime.wasm.memory import Memory

__all__ = ["FUEL_FULL", "Adapter", "StoreLimits", "Template"]

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


class Adapter(Protocol):
    """One instance in one store, used by one thread at a time."""

    memory: Memory

    def inbox(self, size: int) -> int:
        """Call ``cloche_inbox``: return the address of room for a request, or 0. Raises Stopped."""
        ...

    def step(self, size: int) -> int:
        """Call ``cloche_step``: return ``address << 32 | length`` of the response, or 0. Raises Stopped."""
        ...

    def set_fuel(self, amount: int) -> None:
        """Set the fuel left. Only with metering by fuel."""
        ...

    def fuel_left(self) -> int:
        """Return the fuel left. Only with metering by fuel."""
        ...

    def stack_pointer(self) -> int:
        """Return the guest's own stack pointer, an address in its memory."""
        ...

    def set_stack_pointer(self, address: int) -> None:
        """Set the guest's own stack pointer."""
        ...

    def close(self) -> None:
        """Free the guest and its memory. Safe to call twice."""
        ...


class Template(Protocol):
    """A loaded module from which guests are made."""

    def guest(self, control: Control, host: ImportHost, limits: StoreLimits) -> Adapter:
        """Return a fresh guest. Raises ImageError if the module cannot be instantiated within the limits."""
        ...

    def release(self, guest: Adapter, *, sound: bool) -> None:
        """Take back a guest of this template; ``sound`` says that it ended all it was asked for."""
        ...
