"""Snapshots as files in a folder."""

import contextlib
import os
import time
from contextlib import AbstractContextManager
from pathlib import Path

from cloche.runtime._files import PART, sync_folder, write_atomically
from cloche.runtime.errors import SnapshotNotFound
from cloche.runtime.snapshots.snapshot import Snapshot
from cloche.runtime.snapshots.stores.base import LOCK, file_name, locked, name_of

__all__ = ["FolderStore"]

# Seconds after which an unfinished file counts as abandoned by its writer.
_ABANDONED = 3600.0


class FolderStore:
    """A :class:`LockingStore` with one file for each snapshot.

    ``folder`` is made if it is missing, for its owner only. Raises OSError.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep()

    def put(self, name: str, snapshot: Snapshot) -> None:
        """Keep a snapshot, durably, in place of the one of that name. Raises OSError; the old one is kept then."""
        write_atomically(self._path(name), bytes(snapshot))

    def get(self, name: str) -> Snapshot:
        """Return the snapshot. Raises SnapshotNotFound, SnapshotCorrupt or OSError."""
        try:
            return Snapshot.load(self._path(name))
        except FileNotFoundError:
            raise SnapshotNotFound(name) from None

    def list(self) -> list[str]:
        """Return all names, sorted."""
        names = (name_of(entry) for entry in os.listdir(self.folder))
        return sorted(name for name in names if name is not None)

    def delete(self, name: str) -> None:
        """Forget the snapshot. Raises SnapshotNotFound or OSError."""
        try:
            self._path(name).unlink()
        except FileNotFoundError:
            raise SnapshotNotFound(name) from None
        sync_folder(self.folder)

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Return what holds the name's lock, a file beside the snapshot's; see :meth:`LockingStore.lock`."""
        return locked(self.folder / f"{file_name(name)}{LOCK}", name)

    def __repr__(self) -> str:
        return f"<FolderStore {self.folder}>"

    def _path(self, name: str) -> Path:
        return self.folder / file_name(name)

    def _sweep(self) -> None:
        """Remove what processes that were killed had begun to write."""
        oldest = time.time() - _ABANDONED
        for path in self.folder.glob(f"*{PART}"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < oldest:
                    path.unlink()
