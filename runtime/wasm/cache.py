"""Compiled images on disk, so that a new process need not compile for seconds.

An entry is one file, ``<key>.<sha256 of the content>.cwasm``: the key names what it was compiled from and for, the
digest what must be in it. The digest is checked at every load (27 ms for 40 MB with the CPU's SHA instructions), so a
torn, truncated or rotten file is never executed, whatever its metadata says; the folder's owner and mode keep other
users from planting one. Because the digest is part of the name, there is no second file that could disagree.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Generator
from pathlib import Path

import wasmtime

from cloche.runtime.atomic import PART, write_atomically
from cloche.runtime.wasm.engine import Engine
from cloche.runtime.wasm.folder import cache_home, private_folder

__all__ = ["CompiledCache", "cache_key"]

# Entries of other images, meterings and versions, 50 MB each: how many stay, and for how many days without use.
_KEEP_MOST = 8
_KEEP_DAYS = 30
_OURS = (".cwasm", ".lock", PART)


def cache_key(digest: str, engine: Engine) -> str:
    """Return the name for a module with this digest compiled by this engine: 32 hexadecimal digits."""
    facts = json.dumps([digest, engine.settings()], sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()[:32]


class CompiledCache:
    """Loads compiled modules from a private folder, and compiles and keeps what is missing.

    ``folder`` defaults to ``compiled`` in the cache home. Raises ImageError if other users could write there.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = private_folder(folder or cache_home() / "compiled")

    def module(self, engine: Engine, digest: str, compile_module: Callable[[], wasmtime.Module]) -> wasmtime.Module:
        """Return the module with this digest for this engine; ``compile_module`` is called if no sound entry exists.

        Processes that find nothing at the same time wait for the first of them to compile.
        """
        key = cache_key(digest, engine)
        found = self._load(engine, key)
        if found is not None:
            return found
        with self._only_one(key):
            found = self._load(engine, key)
            return found if found is not None else self._keep(key, compile_module())

    def _load(self, engine: Engine, key: str) -> wasmtime.Module | None:
        for path in sorted(self.folder.glob(f"{key}.*.cwasm")):
            if not _is_sound(path):
                _remove(path)
                continue
            # Sound, yet compiled on a machine whose instructions this one lacks: leave it to that machine.
            with contextlib.suppress(wasmtime.WasmtimeError):
                module = wasmtime.Module.deserialize_file(engine.wasmtime, str(path))
                _note_use(path)
                return module
        return None

    def _keep(self, key: str, module: wasmtime.Module) -> wasmtime.Module:
        content = module.serialize()
        path = self.folder / f"{key}.{hashlib.sha256(content).hexdigest()}.cwasm"
        write_atomically(path, content)
        self._prune(key)
        return module

    def _prune(self, key: str) -> None:
        others = [path for path in self.folder.iterdir() if not path.name.startswith(key) and path.suffix in _OURS]
        stale = time.time() - _KEEP_DAYS * 86_400
        entries = sorted((path for path in others if path.suffix == ".cwasm"), key=_last_use, reverse=True)
        for path in {*entries[_KEEP_MOST:], *(path for path in others if _last_use(path) < stale)}:
            _remove(path)

    @contextlib.contextmanager
    def _only_one(self, key: str) -> Generator[None, None, None]:
        try:
            import fcntl
        except ImportError:  # Windows: several processes may compile at once; the last rename wins.
            yield
            return
        with open(self.folder / f"{key}.lock", "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _is_sound(path: Path) -> bool:
    expected = path.name.split(".")[1]
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == expected
    except OSError:
        return False


def _last_use(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process removed it
        return 0.0


def _note_use(path: Path) -> None:
    with contextlib.suppress(OSError):
        os.utime(path)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
