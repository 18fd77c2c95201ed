"""Compiled images on disk: written at once or not at all, checked before use, in a folder of one's own."""

import hashlib
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from tests.runtime.checked import to_wasmtime

from cloche.runtime.errors import ImageError
from cloche.runtime.limits import METERINGS
from cloche.runtime.wasm import cache as cache_module
from cloche.runtime.wasm import native
from cloche.runtime.wasm.cache import CompiledCache, cache_home, cache_key, private_folder
from cloche.runtime.wasm.engine import MIN_WASMTIME, Engine, check_version

TEXT = '(module (func (export "f") (result i32) (i32.const 42)))'


class Compiler:
    """Compiles a module, and counts how often."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.count = 0

    def __call__(self) -> native.Module:
        self.count += 1
        return native.compile_module(self.engine.handle, bytes(wasmtime.wat2wasm(TEXT)))


@pytest.fixture
def compiler(engine: Engine) -> Compiler:
    return Compiler(engine)


@pytest.fixture
def cache(tmp_path: Path) -> CompiledCache:
    return CompiledCache(tmp_path / "compiled")


def entry(cache: CompiledCache) -> Path:
    (found,) = Path(cache.folder).glob("*.cwasm")
    return found


def runs(module: native.Module, engine: Engine) -> bool:
    store = wasmtime.Store(to_wasmtime(engine))
    if engine.metering == "engine":
        store.set_fuel(1_000)
        store.set_epoch_deadline(1_000)
    function = wasmtime.Instance(store, native.to_wasmtime(module), []).exports(store)["f"]
    assert isinstance(function, wasmtime.Func)
    return bool(function(store) == 42)


def test_what_was_compiled_once_is_loaded(cache: CompiledCache, engine: Engine, compiler: Compiler) -> None:
    for _ in range(3):
        assert runs(cache.module(engine, "digest", compiler), engine)
        assert runs(CompiledCache(cache.folder).module(engine, "digest", compiler), engine)
    assert compiler.count == 1
    assert os.stat(cache.folder).st_mode & 0o777 == 0o700


def test_another_image_or_engine_is_another_entry(cache: CompiledCache, engine: Engine, compiler: Compiler) -> None:
    cache.module(engine, "digest", compiler)
    cache.module(engine, "other", compiler)
    assert compiler.count == 2
    keys = {
        cache_key(digest, Engine.shared(kind), often)
        for digest in "ab"
        for kind in METERINGS
        for often in ([], [1, 2], [2, 1])
    }
    assert len(keys) == 6 * len(METERINGS)


@pytest.mark.parametrize("damage", ["flip", "cut", "grow", "empty"])
def test_a_damaged_entry_is_never_loaded(
    cache: CompiledCache, engine: Engine, compiler: Compiler, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.module(engine, "digest", compiler)
    path = entry(cache)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    path.write_bytes(bytes({"flip": content, "cut": content[:-1], "grow": content + b"\0", "empty": b""}[damage]))
    loaded: list[str] = []
    load = native.load_module

    def note(engine: native.EngineHandle, path: str) -> native.Module:
        loaded.append(path)
        return load(engine, path)

    monkeypatch.setattr(native, "load_module", note)
    assert runs(cache.module(engine, "digest", compiler), engine)
    assert (loaded, compiler.count) == ([], 2)
    assert runs(cache.module(engine, "digest", compiler), engine)
    assert compiler.count == 2


class Hashes:
    """Counts the files that were hashed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._digest = hashlib.file_digest
        monkeypatch.setattr(hashlib, "file_digest", self._count)

    def _count(self, file: Any, name: str) -> Any:
        self.count += 1
        return self._digest(file, name)


@pytest.fixture
def stamped(
    cache: CompiledCache, engine: Engine, compiler: Compiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Hashes:
    """An entry that was found sound in this boot, and changed long enough ago."""
    boot = tmp_path / "boot_id"
    boot.write_text("one\n")
    monkeypatch.setattr(cache_module, "_BOOT_ID", boot)
    monkeypatch.setattr(cache_module, "_SETTLED", -1.0)
    cache.module(engine, "digest", compiler)
    hashes = Hashes(monkeypatch)
    cache.module(engine, "digest", compiler)
    assert hashes.count == 1
    assert entry(cache).with_suffix(".stamp").exists()
    return hashes


def test_a_sound_entry_is_hashed_once_per_boot(
    cache: CompiledCache, engine: Engine, compiler: Compiler, stamped: Hashes, tmp_path: Path
) -> None:
    for _ in range(3):
        assert runs(cache.module(engine, "digest", compiler), engine)
    assert stamped.count == 1
    (tmp_path / "boot_id").write_text("two\n")
    for _ in range(3):
        assert runs(cache.module(engine, "digest", compiler), engine)
    assert (stamped.count, compiler.count) == (2, 1)


def test_without_a_boot_id_each_load_hashes(
    cache: CompiledCache, engine: Engine, compiler: Compiler, stamped: Hashes, tmp_path: Path
) -> None:
    (tmp_path / "boot_id").unlink()
    for _ in range(3):
        cache.module(engine, "digest", compiler)
    assert (stamped.count, compiler.count) == (4, 1)


@pytest.mark.parametrize("way", ["written in place", "replaced", "touched"])
def test_a_stamp_holds_for_the_very_file(
    cache: CompiledCache, engine: Engine, compiler: Compiler, stamped: Hashes, way: str
) -> None:
    path = entry(cache)
    content, times = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 2] ^= 1
    if way == "written in place":
        path.write_bytes(content)
    elif way == "replaced":
        other = path.with_name("other")
        other.write_bytes(content)
        other.replace(path)
    # The same size and the same times: what is left to tell them apart cannot be set.
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert runs(cache.module(engine, "digest", compiler), engine)
    assert stamped.count > 1
    assert compiler.count == (1 if way == "touched" else 2)


@pytest.mark.parametrize("stamp", [b"", b"one", b"\xff\xfe", b"one 1 2 3 4 5"])
def test_a_torn_stamp_is_none(
    cache: CompiledCache, engine: Engine, compiler: Compiler, stamped: Hashes, stamp: bytes
) -> None:
    entry(cache).with_suffix(".stamp").write_bytes(stamp)
    assert runs(cache.module(engine, "digest", compiler), engine)
    assert (stamped.count, compiler.count) == (2, 1)


def test_a_file_that_just_changed_gets_no_stamp(
    cache: CompiledCache, engine: Engine, compiler: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "_SETTLED", 3_600.0)
    for _ in range(2):
        cache.module(engine, "digest", compiler)
    assert not entry(cache).with_suffix(".stamp").exists()


def test_a_forged_name_is_not_trusted(cache: CompiledCache, engine: Engine, compiler: Compiler) -> None:
    forged = Path(cache.folder) / f"{cache_key('digest', engine)}.{'0' * 64}.cwasm"
    forged.write_bytes(Compiler(engine)().serialize())
    assert runs(cache.module(engine, "digest", compiler), engine)
    assert compiler.count == 1
    assert not forged.exists()


def test_sound_bytes_that_are_no_module_are_compiled_anew(
    cache: CompiledCache, engine: Engine, compiler: Compiler
) -> None:
    content = b"no module"
    name = f"{cache_key('digest', engine)}.{hashlib.sha256(content).hexdigest()}.cwasm"
    (Path(cache.folder) / name).write_bytes(content)
    assert runs(cache.module(engine, "digest", compiler), engine)
    assert compiler.count == 1


def test_a_write_that_fails_leaves_nothing(
    cache: CompiledCache, engine: Engine, compiler: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        cache.module(engine, "digest", compiler)
    assert not list(Path(cache.folder).glob("*.cwasm"))
    assert not list(Path(cache.folder).glob("*.part"))
    monkeypatch.undo()
    assert runs(cache.module(engine, "digest", compiler), engine)


def test_threads_that_come_at_once_compile_once(cache: CompiledCache, engine: Engine, compiler: Compiler) -> None:
    barrier = threading.Barrier(6)

    def use() -> None:
        barrier.wait(60)
        CompiledCache(cache.folder).module(engine, "digest", compiler)

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert compiler.count == 1
    assert entry(cache).exists()


def test_old_entries_of_others_go(cache: CompiledCache, engine: Engine, compiler: Compiler) -> None:
    old, new, foreign = (Path(cache.folder) / name for name in ("old.1.cwasm", "new.1.cwasm", "notes.txt"))
    for path in (old, new, foreign):
        path.write_bytes(b"")
    os.utime(old, (0, 0))
    os.utime(foreign, (0, 0))
    cache.module(engine, "digest", compiler)
    assert [path.exists() for path in (old, new, foreign)] == [False, True, True]


posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes and owners are POSIX's")


@posix
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o750, 0o705, 0o777, 0o710])
def test_a_folder_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(ImageError, match="chmod 700"):
        CompiledCache(folder)


@posix
def test_a_folder_below_an_open_one_is_refused(tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    parent.chmod(0o777)
    with pytest.raises(ImageError, match="chmod go-w"):
        private_folder(parent / "folder")
    # As in /tmp, where no user can rename another's folder.
    parent.chmod(0o1777)
    assert os.path.isdir(private_folder(parent / "folder"))


@posix
def test_a_link_or_a_file_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(ImageError, match="link or a file"):
        private_folder(tmp_path / "link")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ImageError):
        private_folder(tmp_path / "file")


@posix
def test_another_users_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(private_folder(tmp_path / "mine"))
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(ImageError, match="another user"):
        private_folder(folder)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ImageError, match="CLOCHE_CACHE"):
        private_folder(tmp_path / "file" / "folder")


def test_the_place_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOCHE_CACHE", str(tmp_path / "chosen"))
    assert cache_home() == str(tmp_path / "chosen")
    assert CompiledCache().folder == str(tmp_path / "chosen" / "compiled")


@pytest.mark.parametrize("version", ["50.0.0", "49.9.9", "36.0.17", "1.0", "dev"])
def test_an_engine_below_the_floor_is_refused(version: str) -> None:
    with pytest.raises(ImportError, match=r"needs wasmtime 50\.0\.1"):
        check_version(version)


@pytest.mark.parametrize("version", [".".join(map(str, MIN_WASMTIME)), "50.0.2", "50.1.0", "51.0.0", "100.0.0"])
def test_an_engine_at_or_above_the_floor_is_fine(version: str) -> None:
    check_version(version)


def test_of_many_others_the_latest_stay_that_have_room(
    cache: CompiledCache, engine: Engine, compiler: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "_MAX_BYTES", 9 << 20)
    for number in range(12):
        other = Path(cache.folder) / f"{number:032}.{'0' * 64}.cwasm"
        other.touch()
        os.truncate(other, 1 << 20)
        os.utime(other, (os.stat(other).st_atime, os.stat(other).st_mtime - 100 + number))
    cache.module(engine, "digest", compiler)
    kept = sorted(path.name.split(".")[0] for path in Path(cache.folder).glob("*.cwasm"))
    assert kept == sorted([cache_key("digest", engine), *(f"{number:032}" for number in range(4, 12))])
