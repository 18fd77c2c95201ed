"""Where ``cloche session`` keeps sessions, under which lock and with which key."""

import argparse
import os
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cloche.cli.exit_codes import CommandError
from cloche.cli.files import read_bytes
from cloche.runtime._terminal import one_line
from cloche.runtime.session.session import Session
from cloche.runtime.snapshots.stores.base import LockingStore, SnapshotStore
from cloche.runtime.snapshots.stores.folder import FolderStore
from cloche.runtime.snapshots.stores.fsspec import FsspecStore
from cloche.runtime.snapshots.stores.redis import RedisStore
from cloche.runtime.snapshots.stores.sqlite import SQLiteStore

__all__ = ["default_place", "keep", "key_from", "locked", "store_at", "store_from"]


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


def store_from(arguments: argparse.Namespace) -> SnapshotStore:
    """Return the store that ``--store`` names. Raises CommandError or ConfigurationError."""
    try:
        return store_at(arguments.store)
    except OSError as error:
        raise CommandError(f"cannot keep sessions there: {error}; name another place with --store") from None


@contextmanager
def locked(store: SnapshotStore, *names: str) -> Generator[None, None, None]:
    """Hold the locks of these sessions, where the store has locks.

    Raises SnapshotBusy for one that another holds, ConfigurationError or CommandError.
    """
    with ExitStack() as held:
        if isinstance(store, LockingStore):
            for name in set(names):
                held.enter_context(_lock(store, name))
        yield


def key_from(arguments: argparse.Namespace) -> bytes | None:
    """Return the content of the file that ``--key`` names, None without it. Raises CommandError."""
    return None if arguments.key is None else read_bytes(arguments.key, "the key")


def keep(store: SnapshotStore, name: str, session: Session, arguments: argparse.Namespace) -> None:
    """Keep the session, sealed and labelled as the flags say."""
    store.put(name, session.snapshot(key=key_from(arguments), tenant=arguments.tenant))


@contextmanager
def _lock(store: LockingStore, name: str) -> Generator[None, None, None]:
    with ExitStack() as held:
        try:
            held.enter_context(store.lock(name))
        except OSError as error:
            raise CommandError(f"cannot lock {one_line(name, 80)!r} in the store: {error}") from None
        yield
