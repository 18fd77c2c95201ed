"""Snapshots on whatever file system fsspec reaches: S3, GCS, Azure, SSH, HDFS, and more."""

import uuid
from typing import Any

from cloche.runtime._imports import need
from cloche.runtime.errors import SnapshotNotFound
from cloche.runtime.snapshots.snapshot import Snapshot
from cloche.runtime.snapshots.stores.base import file_name, name_of

__all__ = ["FsspecStore"]


class FsspecStore:
    """A :class:`SnapshotStore` in a folder that an fsspec URL names, such as ``s3://bucket/sessions``.

    ``options`` go to the file system, such as its credentials. A snapshot is written under another name first and
    moved into place, so that half of one is never read; whether the move itself is one step is up to the file
    system: it is on local disks, and on object stores, where it is a copy of one object. Wants ``cloche[fsspec]``.

    Raises ConfigurationError without fsspec, and the file system's own errors, as every method may.
    """

    def __init__(self, url: str, **options: Any) -> None:
        core = need("fsspec.core", "fsspec", what="this store", field="url")
        self.url = url
        self._files, self._root = core.url_to_fs(url, **options)
        self._files.makedirs(self._root, exist_ok=True)

    def put(self, name: str, snapshot: Snapshot) -> None:
        """Keep a snapshot in place of the one of that name."""
        final, part = self._path(file_name(name)), self._path(f"{uuid.uuid4().hex}.part")
        try:
            self._files.pipe_file(part, bytes(snapshot))
            self._files.mv(part, final)
        except BaseException:
            if self._files.exists(part):
                self._files.rm_file(part)
            raise

    def get(self, name: str) -> Snapshot:
        """Return the snapshot. Raises SnapshotNotFound, or SnapshotCorrupt."""
        try:
            return Snapshot.from_bytes(self._files.cat_file(self._path(file_name(name))))
        except FileNotFoundError:
            raise SnapshotNotFound(name) from None

    def list(self) -> list[str]:
        """Return all names, sorted."""
        self._files.invalidate_cache(self._root)
        paths: list[str] = self._files.ls(self._root, detail=False)
        names = (name_of(path.rstrip("/").rpartition("/")[2]) for path in paths)
        return sorted(name for name in names if name is not None)

    def delete(self, name: str) -> None:
        """Forget the snapshot. Raises SnapshotNotFound."""
        path = self._path(file_name(name))
        if not self._files.exists(path):
            raise SnapshotNotFound(name)
        self._files.rm_file(path)

    def __repr__(self) -> str:
        # Without the options, and the password that a URL may have.
        return f"<FsspecStore {self._files.unstrip_protocol(self._root)}>"

    def _path(self, file: str) -> str:
        return f"{self._root}/{file}"
