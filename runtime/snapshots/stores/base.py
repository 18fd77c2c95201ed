"""What every store of snapshots does."""

from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from cloche.runtime.errors import ConfigurationError
from cloche.runtime.snapshots.snapshot import Snapshot

__all__ = ["LONGEST_NAME", "LockingStore", "SnapshotStore", "checked_name"]

LONGEST_NAME = 200
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
    """A store that can also keep others from going on with a snapshot, as long as they take its lock too."""

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Return what holds the name's lock while it is entered, whether or not there is a snapshot of that name.

        Entering raises SnapshotBusy at once where somebody else holds it, in this process or another. A process that
        ends holds it no more. Put, get, list and delete do not look at locks. Raises ConfigurationError for the name.
        """
        ...


def checked_name(name: object) -> str:
    """Return the name. Raises ConfigurationError if it cannot be one."""
    if not isinstance(name, str) or not name or not name.isprintable():
        raise ConfigurationError("name", f"{name!r:.60} is not a name: write some text without control characters")
    if len(name.encode()) > LONGEST_NAME:
        raise ConfigurationError("name", f"{len(name.encode())} bytes are more than the {LONGEST_NAME} of a name")
    return name
