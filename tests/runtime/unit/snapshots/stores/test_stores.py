"""One set of tests for all stores."""

import fnmatch
import importlib.util
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.runtime.bridge.environment import EnvironmentState
from cloche.runtime.errors import ConfigurationError, SnapshotCorrupt, SnapshotNotFound
from cloche.runtime.limits import Spent
from cloche.runtime.snapshots.format import KnownFacts, SnapshotFacts
from cloche.runtime.snapshots.snapshot import Snapshot
from cloche.runtime.snapshots.stores.base import SnapshotStore, file_name, name_of
from cloche.runtime.snapshots.stores.folder import FolderStore
from cloche.runtime.snapshots.stores.fsspec import FsspecStore
from cloche.runtime.snapshots.stores.redis import RedisStore
from cloche.runtime.snapshots.stores.sqlite import SQLiteStore

FACTS = SnapshotFacts(
    "ab" * 32, 1, 1 << 20, 0, (), Spent(), None, EnvironmentState(None, 0, None, 0, 0), KnownFacts(None, None)
)
ONE = Snapshot.make(FACTS, b"one")
TWO = Snapshot.make(replace(FACTS, tenant="two"), b"two")


class FakeRedis:
    """The few commands, with redis-py's types."""

    def __init__(self) -> None:
        self.keys: dict[bytes, bytes] = {b"other:key": b"not ours"}
        self.px: int | None = None

    def set(self, name: str, value: bytes, *, px: int | None = None) -> bool:
        self.keys[name.encode()] = value
        self.px = px
        return True

    def get(self, name: str) -> bytes | None:
        return self.keys.get(name.encode())

    def delete(self, *names: str) -> int:
        return sum(self.keys.pop(name.encode(), None) is not None for name in names)

    def scan_iter(self, match: str) -> Iterable[bytes]:
        pattern = re.compile(fnmatch.translate(match.replace("\\", "")))
        return [key for key in self.keys if pattern.match(key.decode())] * 2  # a scan may repeat itself


MAKERS: dict[str, Callable[[Path], SnapshotStore]] = {
    "folder": lambda path: FolderStore(path / "new" / "folder"),
    "sqlite": lambda path: SQLiteStore(path / "snapshots.db"),
    "redis": lambda path: RedisStore(FakeRedis()),
}
if importlib.util.find_spec("fsspec"):
    MAKERS["fsspec local"] = lambda path: FsspecStore(f"file://{path}/remote")
    MAKERS["fsspec memory"] = lambda path: FsspecStore(f"memory://{path}/remote")


@pytest.fixture(params=MAKERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SnapshotStore:
    return MAKERS[request.param](tmp_path)


NAMES = ["plain", "a/b", "../up", ".", "..", "Case", "case", "with space", "Grüße 木", "100%", "x.cloche", "^a", "*"]


def test_put_get_list_delete(store: SnapshotStore) -> None:
    assert isinstance(store, SnapshotStore)
    assert store.list() == []
    for name in NAMES:
        store.put(name, ONE)
    assert store.list() == sorted(NAMES)
    store.put("plain", TWO)
    assert store.get("plain") == TWO
    assert store.get("../up") == ONE
    store.delete("a/b")
    assert store.list() == sorted(set(NAMES) - {"a/b"})


def test_names_that_are_not_there(store: SnapshotStore) -> None:
    for use in (store.get, store.delete):
        with pytest.raises(SnapshotNotFound, match="'absent'") as caught:
            use("absent")
        assert caught.value.name == "absent"


@pytest.mark.parametrize("name", ["", "a\nb", "\0", "x" * 201, 5, None])
def test_names_that_are_none(store: SnapshotStore, name: Any) -> None:
    with pytest.raises(ConfigurationError, match="name"):
        store.put(name, ONE)
    with pytest.raises(ConfigurationError, match="name"):
        store.get(name)


def test_threads_may_share_it(store: SnapshotStore) -> None:
    def put(number: int) -> None:
        store.put(f"name {number % 3}", ONE if number % 2 else TWO)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, range(24)))
        assert set(pool.map(store.get, store.list())) <= {ONE, TWO}
    assert store.list() == ["name 0", "name 1", "name 2"]


def test_a_damaged_file_is_found(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("one", ONE)
    (tmp_path / file_name("one")).write_bytes(bytes(ONE)[:-3])
    with pytest.raises(SnapshotCorrupt, match="cut off"):
        store.get("one")


def test_only_the_owner_can_read(tmp_path: Path) -> None:
    FolderStore(tmp_path / "folder").put("one", ONE)
    SQLiteStore(tmp_path / "file")
    paths = [tmp_path / "folder", tmp_path / "folder" / file_name("one"), tmp_path / "file"]
    assert [path.stat().st_mode & 0o077 for path in paths] == [0, 0, 0]


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    for name in ("README", "x.part", "UPPER.cloche", "%41.cloche", ".cloche"):
        (tmp_path / name).write_text("mine")
    store = FolderStore(tmp_path)
    assert store.list() == []
    assert len(list(tmp_path.iterdir())) == 5


def test_a_redis_key_can_vanish() -> None:
    client = FakeRedis()
    RedisStore(client, keep=1.5).put("one", ONE)
    assert client.px == 1500


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40))
def test_a_name_and_its_file_are_one_to_one(name: str) -> None:
    try:
        file = file_name(name)
    except ConfigurationError:
        return
    assert name_of(file) == name
    assert re.fullmatch(r"[a-z0-9_~^% -]+\.cloche", file)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("cloche.runtime._imports.import_module", missing)
    with pytest.raises(ConfigurationError, match="cloche\\[fsspec\\]"):
        FsspecStore("memory://x")
    with pytest.raises(ConfigurationError, match="cloche\\[redis\\]"):
        RedisStore("redis://localhost")
