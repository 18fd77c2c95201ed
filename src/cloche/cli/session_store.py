"""The store that a ``--store`` flag names."""

import os
import sys
from pathlib import Path

from cloche.runtime.snapshots.stores.base import SnapshotStore
from cloche.runtime.snapshots.stores.folder import FolderStore
from cloche.runtime.snapshots.stores.redis import RedisStore
from cloche.runtime.snapshots.stores.remote import FsspecStore
from cloche.runtime.snapshots.stores.sqlite import SQLiteStore

__all__ = ["default_place", "store_at"]


def store_at(place: str | None) -> SnapshotStore:
    """Return the store at a place: a folder, ``sqlite:FILE``, a Redis URL, or another URL, for fsspec.

    Without one it is :func:`default_place`. Raises ConfigurationError where an extra is missing, or OSError.
    """
    place = place or default_place()
    if place.startswith("sqlite:"):
        return SQLiteStore(place.removeprefix("sqlite:"))
    if place.startswith(("redis://", "rediss://", "unix://")):
        return RedisStore(place)
    return FsspecStore(place) if "://" in place else FolderStore(place)


def default_place() -> str:
    """Return ``$CLOCHE_SESSIONS``, or a folder where the system keeps a user's data."""
    return os.environ.get("CLOCHE_SESSIONS") or str(_home() / "cloche" / "sessions")


def _home() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
