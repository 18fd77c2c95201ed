"""Which parts of a guest's memory may have been written since the image made it.

The memory of a fresh guest is a private mapping of the compiled image. The first write to one of its pages gives the
guest an anonymous copy, and Linux tells the two kinds apart in ``/proc/self/pagemap``: eight bytes per page, of which
the highest holds bit 63 "present", bit 62 "swapped" and bit 61 "belongs to a file, or is shared". A page that was
never written is absent, or present and a file's. So the question costs a fraction of a millisecond, where reading
both memories to compare them costs 40; newer kernels search by themselves, in a tenth of that.
"""

import ctypes
import mmap
import os
import re
import sys

from cloche.runtime.wasm.pagescan import scan_own_pages

__all__ = ["Span", "written_spans"]

Span = tuple[int, int]
"""A half-open range of addresses in the guest's memory."""

_ENTRY = 8
# Present or swapped, and not a file's; the five lower bits of the byte say nothing of interest.
_OWN_PAGES = re.compile(rb"[\x40-\x5f\x80-\x9f\xc0-\xdf]+")
_PAGEMAP = "/proc/self/pagemap"


def written_spans(view: memoryview) -> list[Span]:
    """Return the spans of a guest's memory that may differ from the image, in order, page by page.

    Everything outside them is certainly as the image left it. Where the system cannot tell, it is one span of all.
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
    """Return the highest byte of each page's entry, or nothing where there is no saying."""
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
