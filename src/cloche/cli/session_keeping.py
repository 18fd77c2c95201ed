"""Where ``cloche session`` keeps sessions, and with which key."""

import argparse
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cloche.cli.complaint import Complaint
from cloche.cli.harmless import one_line
from cloche.cli.session_store import store_at
from cloche.runtime.session import Session
from cloche.runtime.snapshots.stores.base import LockingStore, SnapshotStore

__all__ = ["alone", "keep", "key_from", "store_from"]


def store_from(arguments: argparse.Namespace) -> SnapshotStore:
    """Return the store that ``--store`` names. Raises Complaint or ConfigurationError."""
    try:
        return store_at(arguments.store)
    except OSError as error:
        raise Complaint(f"cannot keep sessions there: {error}") from None


@contextmanager
def alone(store: SnapshotStore, *names: str) -> Generator[None, None, None]:
    """Have nobody else go on with these sessions meanwhile, where the store can keep them off.

    Raises SnapshotBusy for one that somebody goes on with, ConfigurationError or Complaint.
    """
    with ExitStack() as held:
        if isinstance(store, LockingStore):
            for name in set(names):
                held.enter_context(_lock(store, name))
        yield


def key_from(arguments: argparse.Namespace) -> bytes | None:
    """Return what is in the file that ``--key`` names, None without it. Raises Complaint."""
    if arguments.key is None:
        return None
    try:
        return Path(arguments.key).read_bytes()
    except OSError as error:
        raise Complaint(f"cannot read the key {arguments.key}: {(error.strerror or str(error)).lower()}") from None


def keep(store: SnapshotStore, name: str, session: Session, arguments: argparse.Namespace) -> None:
    """Keep the session, sealed and labelled as the flags say."""
    store.put(name, session.snapshot(key=key_from(arguments), tenant=arguments.tenant))


@contextmanager
def _lock(store: LockingStore, name: str) -> Generator[None, None, None]:
    with ExitStack() as held:
        try:
            held.enter_context(store.lock(name))
        except OSError as error:
            raise Complaint(f"cannot lock {one_line(name, 80)!r} in the store: {error}") from None
        yield
