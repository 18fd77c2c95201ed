"""Compiled images on disk, so that a new process need not compile for seconds.

An entry is one file, ``<key>.<sha256 of the content>.cwasm``: the key names what it was compiled from and for, the
digest what must be in it. Loading a compiled image is running its code: the folder's owner and mode keep other users
from planting one, and a torn, truncated or rotten file is never executed, because its digest is checked.

That takes 27 ms for 40 MB with the CPU's SHA instructions, as much as all the rest of starting an engine. So a file
that was found sound gets a stamp beside it: what the file system says of it, and which boot of the machine saw it.
While all of that still holds, the content is not hashed again; each write, rename or replacement changes it. Rot that
the file system does not notice is found once per boot.
"""

import contextlib
import json
import os
import stat
import sys
import time
import zlib
from collections.abc import Callable, Generator, Sequence

from cloche.runtime._files import PART, write_atomically
from cloche.runtime.errors import ImageError
from cloche.runtime.wasm import native
from cloche.runtime.wasm.engine import Engine

__all__ = ["CompiledCache", "cache_home", "cache_key", "private_folder"]


def cache_home() -> str:
    """Return the folder for everything Cloche caches: ``$CLOCHE_CACHE``, else the system's place for caches."""
    return os.environ.get("CLOCHE_CACHE") or os.path.join(_system_home(), "cloche")


def private_folder(path: str | os.PathLike[str]) -> str:
    """Create a folder if it is missing, and return it once it is certain that only this user can write there.

    Raises ImageError, saying what to do, where it cannot be created or belongs or is open to others.
    """
    path = os.path.abspath(path)
    try:
        if not os.path.isdir(path):
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, mode=0o700)
        _check_folder(path)
    except OSError as error:
        raise ImageError(
            f"the cache folder {path} cannot be used ({error.strerror}): set CLOCHE_CACHE to a folder you can write to"
        ) from error
    return path


def _system_home() -> str:
    if sys.platform == "win32":
        return os.environ.get("LOCALAPPDATA") or os.path.expanduser(r"~\AppData\Local")
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Caches")
    return os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")


def _check_folder(path: str) -> None:
    # Windows' per-user folders are private by their access lists, which these numbers do not show.
    if not hasattr(os, "geteuid"):
        return
    # Not following a link: a link that another user can change is not a folder of ours.
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise ImageError(f"the cache folder {path} is a link or a file: remove it, or set CLOCHE_CACHE elsewhere")
    if found.st_uid != os.geteuid():
        raise ImageError(f"the cache folder {path} belongs to another user: remove it, or set CLOCHE_CACHE elsewhere")
    if found.st_mode & 0o077:
        raise ImageError(f"the cache folder {path} is open to other users: run chmod 700 on it")
    parent = os.path.dirname(path)
    _check_parent(os.stat(parent), parent)


def _check_parent(found: os.stat_result, path: str) -> None:
    # Whoever may rename entries of the parent could put another folder in our place between two looks.
    if found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
        raise ImageError(f"the folder {path} is writable by other users: run chmod go-w on it, or set CLOCHE_CACHE")


# Entries of images, meterings and versions, from 50 MB to 200 each: bytes that stay, and days without use.
_MAX_BYTES = 2 << 30
_MAX_DAYS = 30
_CODE = ".cwasm"
_OURS = (_CODE, ".lock", ".stamp", PART)
# Noting a use changes the file's metadata, and so voids its stamp: once a day is enough to know what is in use.
_NOTE_AFTER = 86_400
# A file that changed less long ago could change once more with the same times: the file system's clock ticks in
# milliseconds, FAT's in two seconds.
_SETTLED = 3.0
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def cache_key(digest: str, engine: Engine, often: Sequence[int] = ()) -> str:
    """Return the name for a module with this digest compiled by this engine: 32 hexadecimal digits for a real one.

    ``often`` are its functions that are named before the others.
    """
    # Not another SHA-256: all but the settings, of which there are few, is one already.
    settings = json.dumps(engine.settings(), sort_keys=True)
    if often:
        settings += repr(often)
    return f"{digest[:24]}{zlib.crc32(settings.encode()):08x}"


class CompiledCache:
    """Loads compiled modules from a private folder, and compiles and keeps what is missing.

    ``folder`` defaults to ``compiled`` in the cache home. Raises ImageError if other users could write there.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = private_folder(folder or os.path.join(cache_home(), "compiled"))

    def module(
        self, engine: Engine, digest: str, compile_module: Callable[[], native.Module], often: Sequence[int] = ()
    ) -> native.Module:
        """Return the module with this digest for this engine; ``compile_module`` is called if no sound entry exists.

        Processes that find nothing at the same time wait for the first of them to compile.
        """
        key = cache_key(digest, engine, often)
        found = self._load(engine, key)
        if found is not None:
            return found
        with self._only_one(key):
            found = self._load(engine, key)
            return found if found is not None else self._keep(key, compile_module())

    def _load(self, engine: Engine, key: str) -> native.Module | None:
        for path in self._entries(lambda name: name.startswith(f"{key}.") and name.endswith(_CODE)):
            if not _is_sound(path):
                _remove(path)
                continue
            # Sound, yet compiled on a machine whose instructions this one lacks: leave it to that machine.
            with contextlib.suppress(native.EngineError):
                module = native.load_module(engine.handle, path)
                _note_use(path)
                return module
        return None

    def _keep(self, key: str, module: native.Module) -> native.Module:
        import hashlib

        content = module.serialize()
        path = os.path.join(self.folder, f"{key}.{hashlib.sha256(content).hexdigest()}{_CODE}")
        write_atomically(path, content)
        self._prune(key)
        return module

    def _prune(self, key: str) -> None:
        others = self._entries(lambda name: not name.startswith(key) and name.endswith(_OURS))
        stale = time.time() - _MAX_DAYS * 86_400
        entries = sorted((path for path in others if path.endswith(_CODE)), key=_last_use, reverse=True)
        left = _MAX_BYTES - sum(map(_size, self._entries(lambda name: name.startswith(key) and name.endswith(_CODE))))
        # The oldest give way.
        for path in entries:
            left -= _size(path)
            if left < 0:
                _remove(path)
        for path in others:
            if _last_use(path) < stale:
                _remove(path)

    def _entries(self, fits: Callable[[str], bool]) -> list[str]:
        return [os.path.join(self.folder, name) for name in sorted(os.listdir(self.folder)) if fits(name)]

    @contextlib.contextmanager
    def _only_one(self, key: str) -> Generator[None, None, None]:
        try:
            import fcntl
        except ImportError:  # Windows: several processes may compile at once; the last rename wins.
            yield
            return
        with open(os.path.join(self.folder, f"{key}.lock"), "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _is_sound(path: str) -> bool:
    """Return whether the file's content has the digest in its name: as its stamp says, or as its bytes do."""
    try:
        facts = _facts(path)
        if facts and _read(_stamp_of(path)) == facts:
            return True
    except (OSError, UnicodeDecodeError):
        pass
    return _has_its_digest(path)


def _has_its_digest(path: str) -> bool:
    # Here, as a stamp spares most processes the module too.
    import hashlib

    expected = os.path.basename(path).split(".")[1]
    try:
        before = _facts(path)
        with open(path, "rb") as file:
            sound = hashlib.file_digest(file, "sha256").hexdigest() == expected
    except OSError:
        return False
    if sound and before:
        _stamp(path, before)
    return sound


def _stamp(path: str, facts: str) -> None:
    # A cache that cannot be written to is read all the same, and hashed at each load.
    with contextlib.suppress(OSError):
        if time.time() - os.stat(path).st_ctime > _SETTLED and facts == _facts(path):
            write_atomically(_stamp_of(path), facts.encode("ascii"))


def _facts(path: str) -> str:
    """Return what changes whenever the file does, within one boot; nothing where the system does not number boots."""
    try:
        boot = _read(_BOOT_ID).strip()
    except OSError:
        return ""
    found = os.stat(path)
    return f"{boot} {found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def _stamp_of(path: str) -> str:
    return path.removesuffix(_CODE) + ".stamp"


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _last_use(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:  # another process removed it
        return 0.0


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _note_use(path: str) -> None:
    if time.time() - _last_use(path) > _NOTE_AFTER:
        with contextlib.suppress(OSError):
            os.utime(path)


def _remove(path: str) -> None:
    for each in (path, _stamp_of(path)):
        with contextlib.suppress(OSError):
            os.unlink(each)
