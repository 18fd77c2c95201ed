"""Guests used again: a guest that ended well is put back to what the image made of it, and serves the next run.

A fresh guest costs a millisecond, nearly all of it page faults: each page it touches is mapped anew, each it writes is
copied. A guest's state is its linear memory and one global, the stack pointer; so writing the image's bytes over every
page that is not the image's any more makes it a fresh one whose pages are in place. What remains of a run is not a
matter of trust in the guest: the pages to restore are those that the kernel says were written, whoever wrote them.
"""

import ctypes
from typing import Generic, Protocol, TypeVar

from cloche.runtime.wasm.memory import Memory
from cloche.runtime.wasm.written import written_spans

__all__ = ["IDLE_MOST", "Recyclable", "Shelf", "restore"]

IDLE_MOST = 4
"""Idle guests that are kept for each image and metering."""
# A guest that wrote more than this is cheaper made anew, and would hold the memory while it idles.
_MOST_WRITTEN = 2 << 20


class Recyclable(Protocol):
    """What the shelf needs of a guest."""

    memory: Memory

    def stack_pointer(self) -> int:
        """Return the guest's own stack pointer."""
        ...

    def set_stack_pointer(self, address: int) -> None:
        """Set the guest's own stack pointer."""
        ...

    def vacate(self) -> None:
        """Let go of whoever was served, and of every view of the memory."""
        ...


Guest = TypeVar("Guest", bound=Recyclable)


class Shelf(Generic[Guest]):
    """Idle guests of one module, each as the image left it. May be shared by all threads.

    ``pristine`` is a guest that is never run, to copy from: it takes address space, and no memory.
    """

    def __init__(self, pristine: Guest) -> None:
        self._source = pristine.memory.view()
        self._stack_pointer = pristine.stack_pointer()
        self._pristine = pristine
        self._idle: list[Guest] = []

    def __len__(self) -> int:
        return len(self._idle)

    def take(self) -> Guest | None:
        """Return an idle guest, which is the caller's from now on; None if there is none."""
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def put(self, guest: Guest) -> bool:
        """Restore a guest between two requests and keep it; False if it is not worth it, and the guest to be freed."""
        if len(self._idle) >= IDLE_MOST:
            return False
        guest.vacate()
        if not restore(guest.memory.view(), self._source):
            return False
        guest.set_stack_pointer(self._stack_pointer)
        self._idle.append(guest)
        return True


def restore(memory: memoryview, source: memoryview) -> bool:
    """Make a memory equal to ``source``, the memory of a guest that was never run.

    False, and nothing is changed, if it has grown, or if too much of it was written.
    """
    if len(memory) != len(source):
        return False
    spans = written_spans(memory)
    if sum(end - start for start, end in spans) > _MOST_WRITTEN:
        return False
    to, from_ = _address(memory), _address(source)
    for start, end in spans:
        ctypes.memmove(to + start, from_ + start, end - start)
    return True


def _address(memory: memoryview) -> int:
    return ctypes.addressof(ctypes.c_ubyte.from_buffer(memory))
