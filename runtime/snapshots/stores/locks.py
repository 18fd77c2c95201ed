"""Locks on names, between processes and threads, that end with whoever holds them, however that ends."""

import contextlib
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cloche.runtime.errors import SnapshotBusy

__all__ = ["locked"]

# Where Windows locks: past the holder's number, since nobody else may read what is locked there.
_FAR = 1 << 20
_LONGEST_NUMBER = 20


@contextmanager
def locked(path: Path, name: str) -> Generator[None, None, None]:
    """Hold the lock that is the file ``path``, which is there while somebody holds it and is made if it is missing.

    The lock is the operating system's own: a process that is killed holds it no more, and the file it leaves behind
    locks nothing. Raises SnapshotBusy at once if somebody else holds it, who may be another thread, or OSError.
    """
    descriptor = _take(path, name)
    try:
        yield
    finally:
        # Removed while it is held, so that what is removed is never somebody else's.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _take(path: Path, name: str) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _try(descriptor):
                raise SnapshotBusy(name, _holder(descriptor))
            if _is_at(path, descriptor):
                _write_holder(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Whoever held it removed the file after it was opened here: a lock on it keeps nobody out any more.
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _try(descriptor: int) -> bool:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def _try(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write_holder(descriptor: int) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, b"%d" % os.getpid())


def _holder(descriptor: int) -> int | None:
    """Return the number of the process that holds the lock, None if it has not written it yet."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    text = os.read(descriptor, _LONGEST_NUMBER)
    return int(text) if text.isdigit() else None
