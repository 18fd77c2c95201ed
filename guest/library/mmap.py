"""What there is of ``mmap``: its names. A file of the guest lies in the interpreter's own memory already."""

import errno
from typing import Any

__all__ = ["ACCESS_COPY", "ACCESS_READ", "ACCESS_WRITE", "ALLOCATIONGRANULARITY", "PAGESIZE", "error", "mmap"]

ACCESS_READ, ACCESS_WRITE, ACCESS_COPY = 1, 2, 3
ALLOCATIONGRANULARITY = PAGESIZE = 65536
error = OSError


class mmap:
    """A mapped file. Raises OSError: read the file instead."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSYS, "files cannot be mapped in this sandbox: read them, they lie in memory already")
