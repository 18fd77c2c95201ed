"""A process that is killed while it writes loses nothing that it was told is kept."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cloche.runtime.snapshots.stores.base import SnapshotStore
from cloche.runtime.snapshots.stores.folder import FolderStore
from cloche.runtime.snapshots.stores.sqlite import SQLiteStore

MAKERS: dict[str, Callable[[Path], SnapshotStore]] = {"FolderStore": FolderStore, "SQLiteStore": SQLiteStore}
WRITER = """
import os, sys
from pathlib import Path
from cloche.runtime.bridge.environment import EnvironmentState
from cloche.runtime.limits import Spent
from cloche.runtime.snapshots.format import KnownFacts, SnapshotFacts
from cloche.runtime.snapshots.snapshot import Snapshot
from cloche.runtime.snapshots.stores.folder import FolderStore
from cloche.runtime.snapshots.stores.sqlite import SQLiteStore

store = globals()[sys.argv[1]](Path(sys.argv[2]))
nothing = (1, 1 << 20, 0, ())
for number in range(int(sys.argv[3]), 1_000_000):
    environment, known = EnvironmentState(None, 0, None, 0, 0), KnownFacts(None, None)
    facts = SnapshotFacts("", *nothing, Spent(runs=number), None, environment, known)
    store.put("session", Snapshot.make(facts, os.urandom(300_000)))
    print(number, flush=True)
"""


@pytest.mark.parametrize("kind", MAKERS)
def test_killed_at_any_moment(kind: str, tmp_path: Path) -> None:
    path, noise, acknowledged = tmp_path / "store", random.Random(kind), 0
    for _ in range(6):
        command = [sys.executable, "-c", WRITER, kind, str(path), str(acknowledged + 1)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            writes = noise.randint(1, 6)
            for _ in range(writes):
                acknowledged = int(writer.stdout.readline())
            # Somewhere in the next write: its beginning, its middle, its end.
            time.sleep(noise.random() * 0.02)
            writer.kill()
            acknowledged = max([acknowledged, *map(int, writer.stdout.read().split())])
        store = MAKERS[kind](path)
        assert store.list() == ["session"]
        kept = store.get("session")
        assert kept.spent.runs in (acknowledged, acknowledged + 1)
        assert len(kept.body) == 300_000
        acknowledged = kept.spent.runs
