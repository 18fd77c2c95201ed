"""Bounds-checked access to a guest's linear memory."""

from collections.abc import Callable
from functools import partial

from cloche.runtime.errors import ProtocolError

__all__ = ["PAGE", "Memory", "check_span"]

# A WebAssembly page, the unit in which a memory grows.
PAGE = 65_536


def check_span(pointer: int, length: int, size: int) -> None:
    """Raise ProtocolError unless ``length`` bytes at ``pointer`` lie inside a memory of ``size`` bytes."""
    if pointer < 0 or length < 0 or pointer + length > size:
        raise ProtocolError(f"{length} bytes at {pointer} do not lie in a memory of {size} bytes")


class Memory:
    """One guest's linear memory, read and written through a view of it.

    ``measure`` returns the memory's size now, ``locate`` a writable view over its first so many bytes, and ``grow``
    adds pages and says whether it could. A wasm memory never shrinks, and the engine is configured so that it never
    moves: a view stays valid for as long as the guest lives, and a wider one is made when an access lies beyond it.
    """

    __slots__ = ("_grow", "_locate", "_measure", "_size", "_view")

    def __init__(
        self, measure: Callable[[], int], locate: Callable[[int], memoryview], grow: Callable[[int], bool]
    ) -> None:
        self._measure = measure
        self._locate = locate
        self._grow = grow
        self._size = measure()
        self._view = locate(self._size)

    def size(self) -> int:
        """Return the size now, in bytes."""
        return self._measure()

    def check(self, pointer: int, length: int) -> None:
        """Raise ProtocolError unless the span lies inside the memory."""
        if pointer < 0 or length < 0 or pointer + length > self._size:
            self._end(pointer, length)

    def read(self, pointer: int, length: int) -> bytes:
        """Return a copy of ``length`` bytes at ``pointer``. Raises ProtocolError outside the memory."""
        end = pointer + length
        if pointer < 0 or length < 0 or end > self._size:
            self._end(pointer, length)
        return self._view[pointer:end].tobytes()

    def read_for(self, pointer: int, length: int, answer: int, capacity: int) -> bytes:
        """Do :meth:`read`, once the span where an answer will be written is known to lie inside the memory too."""
        end = pointer + length
        if (
            pointer < 0
            or length < 0
            or end > self._size
            or answer < 0
            or capacity < 0
            or answer + capacity > self._size
        ):
            self._end(answer, capacity)
            self._end(pointer, length)
        return self._view[pointer:end].tobytes()

    def write(self, pointer: int, data: bytes) -> None:
        """Copy ``data`` to ``pointer``. Raises ProtocolError outside the memory."""
        end = pointer + len(data)
        if pointer < 0 or end > self._size:
            self._end(pointer, len(data))
        self._view[pointer:end] = data

    def grow_to(self, size: int) -> None:
        """Grow to at least ``size`` bytes. Raises MemoryError where the limit forbids it."""
        missing = size - self._measure()
        if missing > 0 and not self._grow(-(-missing // PAGE)):
            raise MemoryError(f"the guest's memory cannot grow to {size} bytes")

    def view(self) -> memoryview:
        """Return a writable view over all of the memory, valid until the guest next runs or is closed."""
        self._widen()
        return self._view

    def close(self) -> None:
        """Let go of the memory. :meth:`size` stays what it was; every later access raises ValueError."""
        self._measure = partial(int, self._measure())
        self._view.release()

    def _end(self, pointer: int, length: int) -> None:
        """Look again where the memory ends. The usual case does not come here: each reader compares by itself."""
        self._widen()
        check_span(pointer, length, self._size)

    def _widen(self) -> None:
        size = self._measure()
        if size != self._size:
            self._view = self._locate(size)
            self._size = size
