"""Snapshots as rows of a SQLite file."""

import hashlib
import os
import sqlite3
from collections.abc import Generator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from cloche.runtime.errors import SnapshotNotFound
from cloche.runtime.snapshots.snapshot import Snapshot
from cloche.runtime.snapshots.stores.base import LOCK, checked_name, locked

__all__ = ["SQLiteStore"]

_TABLE = "CREATE TABLE IF NOT EXISTS snapshots (name TEXT PRIMARY KEY, data BLOB NOT NULL)"
_PUT = "INSERT INTO snapshots VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET data = excluded.data"
# Seconds to wait for another process's transaction.
_PATIENCE = 30.0


class SQLiteStore:
    """A :class:`LockingStore` in one SQLite file, which is made if it is missing, for its owner only.

    Raises sqlite3.Error, as every method may.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.exists():
            # Before SQLite makes it, which would let everybody read it.
            self.path.touch(mode=0o600)
        with self._transaction() as connection:
            connection.execute(_TABLE)

    def put(self, name: str, snapshot: Snapshot) -> None:
        """Keep a snapshot, durably, in place of the one of that name."""
        with self._transaction() as connection:
            connection.execute(_PUT, (checked_name(name), bytes(snapshot)))

    def get(self, name: str) -> Snapshot:
        """Return the snapshot. Raises SnapshotNotFound, or SnapshotCorrupt."""
        with self._transaction() as connection:
            row = connection.execute("SELECT data FROM snapshots WHERE name = ?", (checked_name(name),)).fetchone()
        if row is None:
            raise SnapshotNotFound(name)
        return Snapshot.from_bytes(row[0])

    def list(self) -> list[str]:
        """Return all names, sorted."""
        with self._transaction() as connection:
            return sorted(name for (name,) in connection.execute("SELECT name FROM snapshots"))

    def delete(self, name: str) -> None:
        """Forget the snapshot. Raises SnapshotNotFound."""
        with self._transaction() as connection:
            if not connection.execute("DELETE FROM snapshots WHERE name = ?", (checked_name(name),)).rowcount:
                raise SnapshotNotFound(name)

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Return what holds the name's lock; see :meth:`LockingStore.lock`.

        It is a file in a folder beside the database, whose name ends in ``-locks``: SQLite's own locks are on the
        whole database, and end with a transaction.
        """
        # One folder for the database, however its path is written.
        path = self.path.resolve()
        folder = path.with_name(f"{path.name}-locks")
        folder.mkdir(mode=0o700, exist_ok=True)
        # A digest: names are longer here than file systems allow.
        return locked(folder / f"{hashlib.sha256(checked_name(name).encode()).hexdigest()}{LOCK}", name)

    def __repr__(self) -> str:
        return f"<SQLiteStore {self.path}>"

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection, None, None]:
        # A connection for each: it belongs to one thread, and opening one costs a fraction of what a commit does.
        with closing(sqlite3.connect(self.path, timeout=_PATIENCE)) as connection:
            # EXTRA, not FULL: the journal's removal is what commits, and has to be on the disk too.
            connection.execute("PRAGMA synchronous = EXTRA")
            with connection:
                yield connection
