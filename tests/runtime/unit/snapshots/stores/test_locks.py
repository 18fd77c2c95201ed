"""Locks on names in stores: one holder at a time, and none that is dead."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.processes import ended_afterwards

from cloche.runtime.errors import ConfigurationError, SnapshotBusy
from cloche.runtime.snapshots.stores.base import LockingStore
from cloche.runtime.snapshots.stores.folder import FolderStore
from cloche.runtime.snapshots.stores.sqlite import SQLiteStore

HOLDER = """\
import sys
from cloche import FolderStore, SQLiteStore
with getattr(sys.modules["cloche"], sys.argv[1])(sys.argv[2]).lock("a/b"):
    print("held", flush=True)
    sys.stdin.readline()
"""
MAKERS: dict[str, Callable[[Path], LockingStore]] = {
    "FolderStore": FolderStore,
    "SQLiteStore": SQLiteStore,
}


@pytest.fixture(params=MAKERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> LockingStore:
    return MAKERS[request.param](tmp_path / "store")


@pytest.fixture
def holder(store: LockingStore, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process, which holds the lock of ``a/b`` until it reads a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, type(store).__name__, str(tmp_path / "store")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    with ended_afterwards(process):
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def ended(process: "subprocess.Popen[str]") -> int:
    process.communicate("\n", timeout=60)
    return process.returncode


def locks(folder: Path) -> list[Path]:
    return list(folder.rglob("*.lock"))


def test_one_holder_at_a_time(store: LockingStore, tmp_path: Path) -> None:
    assert isinstance(store, LockingStore)
    for _ in range(2):
        with store.lock("one"), store.lock("two"):
            with pytest.raises(SnapshotBusy, match=f"process {os.getpid()} is working with 'one'") as caught:
                store.lock("one").__enter__()
            assert (caught.value.name, caught.value.holder) == ("one", os.getpid())
            assert len(locks(tmp_path)) == 2
            assert store.list() == []
        assert locks(tmp_path) == []


def test_it_is_given_back_after_an_exception(store: LockingStore) -> None:
    with pytest.raises(ZeroDivisionError), store.lock("one"):
        raise ZeroDivisionError
    with store.lock("one"):
        pass


def test_a_process_keeps_another_out(store: LockingStore, holder: "subprocess.Popen[str]") -> None:
    with pytest.raises(SnapshotBusy, match=rf"process {holder.pid} is working with 'a/b'"):
        store.lock("a/b").__enter__()
    with store.lock("a"):
        pass
    assert ended(holder) == 0
    with store.lock("a/b"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_process_that_was_killed_holds_nothing(
    store: LockingStore, holder: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    holder.send_signal(signal.SIGKILL)
    assert ended(holder) == -signal.SIGKILL
    assert len(locks(tmp_path)) == 1, "its file is still there, and says nothing"
    with store.lock("a/b"), pytest.raises(SnapshotBusy, match=f"process {os.getpid()} "):
        store.lock("a/b").__enter__()
    assert locks(tmp_path) == []


def test_of_many_that_try_no_two_hold_it(store: LockingStore) -> None:
    inside, taken = threading.Semaphore(1), [0] * 4

    def work(number: int) -> None:
        for _ in range(200):
            try:
                with store.lock("one"):
                    assert inside.acquire(blocking=False), "another holder is inside"
                    taken[number] += 1
                    inside.release()
            except SnapshotBusy:
                pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert any(taken)


def test_a_holder_that_has_not_written_its_number_counts() -> None:
    assert str(SnapshotBusy("x")).startswith("another session is working with 'x'")


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201])
def test_names_that_are_none(store: LockingStore, name: str) -> None:
    with pytest.raises(ConfigurationError, match="name"):
        store.lock(name).__enter__()


def test_a_database_takes_every_name_and_has_one_lock_for_all_its_paths(tmp_path: Path) -> None:
    SQLiteStore(tmp_path / "db")
    (tmp_path / "other").symlink_to(tmp_path / "db")
    with SQLiteStore(tmp_path / "db").lock("木" * 66), pytest.raises(SnapshotBusy):
        SQLiteStore(tmp_path / "other").lock("木" * 66).__enter__()
