"""Where ``cloche session`` keeps sessions, and with which key."""

import argparse
from pathlib import Path

from cloche.cli.complaint import Complaint
from cloche.cli.session_store import store_at
from cloche.runtime.session import Session
from cloche.runtime.snapshots.stores.base import SnapshotStore

__all__ = ["keep", "key_from", "store_from"]


def store_from(arguments: argparse.Namespace) -> SnapshotStore:
    """Return the store that ``--store`` names. Raises Complaint or ConfigurationError."""
    try:
        return store_at(arguments.store)
    except OSError as error:
        raise Complaint(f"cannot keep sessions there: {error}") from None


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
