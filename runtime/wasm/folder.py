"""The folder for compiled images. Loading one is running its code, so only its owner may be able to write there."""

import os
import stat
import sys
from pathlib import Path

from cloche.runtime.errors import ImageError

__all__ = ["cache_home", "private_folder"]


def cache_home() -> Path:
    """Return the folder for everything Cloche caches: ``$CLOCHE_CACHE``, else the system's place for caches."""
    chosen = os.environ.get("CLOCHE_CACHE")
    return Path(chosen) if chosen else _system_home() / "cloche"


def private_folder(path: Path) -> Path:
    """Create a folder if it is missing, and return it once it is certain that only this user can write there.

    Raises ImageError, saying what to do, where it cannot be created or belongs or is open to others.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        _check(path)
    except OSError as error:
        raise ImageError(
            f"the cache folder {path} cannot be used ({error.strerror}): set CLOCHE_CACHE to a folder you can write to"
        ) from error
    return path


def _system_home() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _check(path: Path) -> None:
    # Windows' per-user folders are private by their access lists, which these numbers do not show.
    if not hasattr(os, "geteuid"):
        return
    # Not following a link: a link that somebody else can change is no folder of ours.
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise ImageError(f"the cache folder {path} is a link or a file: remove it, or set CLOCHE_CACHE elsewhere")
    if found.st_uid != os.geteuid():
        raise ImageError(f"the cache folder {path} belongs to another user: remove it, or set CLOCHE_CACHE elsewhere")
    if found.st_mode & 0o077:
        raise ImageError(f"the cache folder {path} is open to other users: run chmod 700 on it")
    _check_parent(path.parent.stat(), path.parent)


def _check_parent(found: os.stat_result, path: Path) -> None:
    # Whoever may rename entries of the parent could put another folder in our place between two looks.
    if found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
        raise ImageError(f"the folder {path} is writable by other users: run chmod go-w on it, or set CLOCHE_CACHE")
