"""What a store of snapshots is, and what those that keep files share: names of files, and locks on names."""

import contextlib
import os
import sys
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import quote, unquote

from cloche.runtime.errors import ConfigurationError, SnapshotBusy
from cloche.runtime.snapshots.snapshot import Snapshot

__all__ = [
    "LOCK",
    "MAX_NAME",
    "SUFFIX",
    "LockingStore",
    "SnapshotStore",
    "checked_name",
    "file_name",
    "locked",
    "name_of",
]


MAX_NAME = 200
"""Bytes of UTF-8 that a name may have."""


@runtime_checkable
class SnapshotStore(Protocol):
    """Keeps snapshots under names. May be shared by threads; several processes may use the same one.

    A name is any text of at most 200 bytes of UTF-8 without control characters; it is never taken for a path.
    """

    def put(self, name: str, snapshot: Snapshot) -> None:
        """Keep a snapshot under that name, in place of the one it had.

        When this returns the new one is kept for good. Whatever ends it before, even the process's death, leaves the
        old one or the new one, whole. Raises ConfigurationError for the name, or the store's own error.
        """
        ...

    def get(self, name: str) -> Snapshot:
        """Return the snapshot. Raises SnapshotNotFound, or SnapshotCorrupt if it was damaged meanwhile."""
        ...

    def list(self) -> list[str]:
        """Return all names, sorted."""
        ...

    def delete(self, name: str) -> None:
        """Forget the snapshot. Raises SnapshotNotFound."""
        ...


@runtime_checkable
class LockingStore(SnapshotStore, Protocol):
    """A store that can also keep others from working with a snapshot, as long as they take its lock too."""

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Return what holds the name's lock while it is entered, whether or not there is a snapshot of that name.

        Entering raises SnapshotBusy at once where it is held already, in this process or another. A process that
        ends holds it no more. Put, get, list and delete do not look at locks. Raises ConfigurationError for the name.
        """
        ...


def checked_name(name: object) -> str:
    """Return the name. Raises ConfigurationError if it cannot be one."""
    if not isinstance(name, str) or not name or not name.isprintable():
        raise ConfigurationError("name", f"{name!r:.60} is not a name: write some text without control characters")
    if len(name.encode()) > MAX_NAME:
        raise ConfigurationError("name", f"{len(name.encode())} bytes are more than the {MAX_NAME} of a name")
    return name


SUFFIX = ".cloche"
LOCK = ".lock"
"""The suffix of the file that is a snapshot's lock, after that of the snapshot's own file."""
# File systems take 255 bytes; the rest is for the name while it is being written.
_MAX_FILE_NAME = 220


def file_name(name: str) -> str:
    """Return the file's name: no separator, no dot in front, the same on every system. Raises ConfigurationError."""
    quoted = quote(checked_name(name), safe=" ").replace(".", "%2E")
    # Upper case is marked too: some file systems do not distinguish it from lower case.
    file = "".join(f"^{letter.lower()}" if letter.isupper() else letter for letter in quoted) + SUFFIX
    if len(file) > _MAX_FILE_NAME:
        raise ConfigurationError("name", f"written as a file, {name!r:.60} has more than {_MAX_FILE_NAME} characters")
    return file


def name_of(file: str) -> str | None:
    """Return the snapshot's name, or None for a file that is none."""
    if not file.endswith(SUFFIX):
        return None
    parts = file.removesuffix(SUFFIX).split("^")
    name = unquote(parts[0] + "".join(part[:1].upper() + part[1:] for part in parts[1:]))
    return name if name.isprintable() and name and file_name(name) == file else None


# Where Windows locks: past the holder's number, since what is locked cannot be read by others.
_FAR = 1 << 20
_MAX_DIGITS = 20


@contextmanager
def locked(path: Path, name: str) -> Generator[None, None, None]:
    """Hold the lock that is the file ``path``, which exists while the lock is held and is made if it is missing.

    The lock is the operating system's own: a process that is killed holds it no more, and the file it leaves behind
    locks nothing. Raises SnapshotBusy at once if it is held already, be it by another thread, or OSError.
    """
    descriptor = _take(path, name)
    try:
        yield
    finally:
        # Removed while it is held, so that no other holder's file is removed.
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
        # Its holder removed the file after it was opened here: a lock on it keeps no one out any more.
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
    text = os.read(descriptor, _MAX_DIGITS)
    return int(text) if text.isdigit() else None
