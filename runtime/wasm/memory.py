"""A guest's linear memory: bounds-checked access, and which parts of it may have been written.

The memory of a fresh guest is a private mapping of the compiled image. The first write to one of its pages gives the
guest an anonymous copy, and Linux tells the two kinds apart in ``/proc/self/pagemap``: eight bytes per page, of which
the highest holds bit 63 "present", bit 62 "swapped" and bit 61 "belongs to a file, or is shared". A page that was
never written is absent, or present and a file's. So the question costs a fraction of a millisecond, where reading
both memories to compare them costs 40; newer kernels (Linux 6.7) search by themselves, in a tenth of that.
"""

import ctypes
import mmap
import os
import re
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial

from cloche.runtime.errors import ProtocolError
from cloche.runtime.machine_api import Piece

__all__ = ["PAGE", "Memory", "Span", "check_span", "scan_own_pages", "written_spans"]


_PAGEMAP = "/proc/self/pagemap"
_PAGEMAP_SCAN = 0xC060_6610
_FILE, _PRESENT, _SWAPPED = 1 << 2, 1 << 3, 1 << 4
# size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, mask, any of, returned
_ARGUMENT = struct.Struct("<12Q")
_MAX_REGIONS = 2_048


def scan_own_pages(address: int, size: int) -> list[tuple[int, int]] | None:
    """Return the ranges of addresses, from here on, whose pages are this process's own and no file's.

    None where Linux is too old, keeps the file from us, or finds too many ranges to be worth it.
    """
    regions = (ctypes.c_uint64 * (3 * _MAX_REGIONS))()
    count = _pagemap.scan(_argument(address, size, ctypes.addressof(regions)))
    if count is None or count >= _MAX_REGIONS:
        return None
    found = regions[: 3 * count]
    return list(zip(found[::3], found[1::3], strict=True))


def _argument(address: int, size: int, regions: int) -> bytearray:
    # Pages that are not (inverted) a file's, and are present or swapped.
    selection = (_FILE, _FILE, _PRESENT | _SWAPPED, _PRESENT)
    fields = (_ARGUMENT.size, 0, address, address + size, 0, regions, _MAX_REGIONS, 0)
    return bytearray(_ARGUMENT.pack(*fields, *selection))


class _Pagemap:
    """The process's file of its own pages, which stays open: to open it takes longer than to ask it.

    A file that a parent has opened is about the parent's pages.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = self._descriptor = -1

    def scan(self, argument: bytearray) -> int | None:
        """Return the number of ranges that were found; None where the kernel does not say."""
        process = os.getpid()
        if self._process == process:
            found = _scan(self._descriptor, argument)
            if found is not None:
                return found
        with self._lock:
            # Not closed before: if it does not answer any more, someone has closed it, and it may be another file's.
            descriptor = _open()
            found = _scan(descriptor, argument)
            if found is not None:
                self._descriptor, self._process = descriptor, process
            elif descriptor >= 0:
                os.close(descriptor)
            return found


def _open() -> int:
    try:
        return os.open(_PAGEMAP, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _scan(descriptor: int, argument: bytearray) -> int | None:
    try:
        import fcntl

        found: int = fcntl.ioctl(descriptor, _PAGEMAP_SCAN, argument)
        return found
    except (ImportError, OSError, ValueError):
        # Too old, hidden, or another system.
        return None


_pagemap = _Pagemap()


Span = tuple[int, int]
"""A half-open range of addresses in the guest's memory."""

_ENTRY = 8
# Present or swapped, and not a file's; the five lower bits of the byte say nothing of interest.
_OWN_PAGES = re.compile(rb"[\x40-\x5f\x80-\x9f\xc0-\xdf]+")


def written_spans(view: memoryview) -> list[Span]:
    """Return the spans of a guest's memory that may differ from the image, in order, page by page.

    Everything outside them is certainly as the image left it. Where the system does not say, it is one span of all.
    """
    scanned = _scanned(view)
    if scanned is not None:
        return scanned
    size, page = len(view), mmap.PAGESIZE
    flags = _flags(view, page) if size else b""
    if len(flags) != size // page:
        return [(0, size)]
    return [(found.start() * page, found.end() * page) for found in _OWN_PAGES.finditer(flags)]


def _scanned(view: memoryview) -> list[Span] | None:
    if sys.platform != "linux" or not len(view) or _address(view) % mmap.PAGESIZE:
        return None
    address = _address(view)
    found = scan_own_pages(address, len(view))
    return None if found is None else [(start - address, end - address) for start, end in found]


def _address(view: memoryview) -> int:
    return ctypes.addressof(ctypes.c_ubyte.from_buffer(view))


def _flags(view: memoryview, page: int) -> bytes:
    """Return the highest byte of each page's entry, or nothing where the system does not say."""
    if sys.platform != "linux" or sys.byteorder != "little" or len(view) % page:
        return b""
    address = _address(view)
    return b"" if address % page else _entries(address // page, len(view) // page)[_ENTRY - 1 :: _ENTRY]


def _entries(first: int, count: int) -> bytes:
    try:
        descriptor = os.open(_PAGEMAP, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        # Some containers hide it.
        return b""
    try:
        return os.pread(descriptor, count * _ENTRY, first * _ENTRY)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


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

    def change_bits(self, pointer: int, bits: int, *, to: bool) -> None:
        """Set or clear these bits of the byte at ``pointer``. Raises ProtocolError outside the memory."""
        if not 0 <= pointer < self._size:
            self._end(pointer, 1)
        if to:
            self._view[pointer] |= bits
        else:
            self._view[pointer] &= ~bits

    def grow_to(self, size: int) -> None:
        """Grow to at least ``size`` bytes. Raises MemoryError where the limit forbids it."""
        missing = size - self._measure()
        if missing > 0 and not self._grow(-(-missing // PAGE)):
            raise MemoryError(f"the guest's memory cannot grow to {size} bytes")

    def restore(self, pieces: Sequence[Piece], size: int) -> None:
        """Grow to at least ``size`` bytes and write these pieces. Raises MemoryError, or ProtocolError."""
        self.grow_to(size)
        view = self.view()
        for pointer, data in pieces:
            end = pointer + len(data)
            if pointer < 0 or end > self._size:
                check_span(pointer, len(data), self._size)
            view[pointer:end] = data

    def view(self) -> memoryview:
        """Return a writable view over all of the memory, valid until the guest next runs or is closed."""
        self._widen()
        return self._view

    def close(self) -> None:
        """Release the memory. :meth:`size` stays what it was; every later access raises ValueError."""
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
