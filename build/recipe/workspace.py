"""Where steps keep their work: one folder per step and content hash, so nothing is done twice; and how a step fails."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path


class BuildError(Exception):
    """A step of the build failed; the message says which, why, and what to do."""


def cache_root() -> Path:
    """The user's build cache: `$CLOCHE_BUILD_CACHE`, else `cloche/build` under the XDG cache folder."""
    named = os.environ.get("CLOCHE_BUILD_CACHE")
    xdg = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(xdg) / "cloche" / "build"


def digest_of(*parts: str | bytes) -> str:
    """The key of a step: a hash over everything its result depends on, 16 hex digits."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()[:16]


def digest_files(paths: Iterable[Path], base: Path) -> str:
    """A hash over files: their names relative to `base`, and their bytes."""
    parts: list[str | bytes] = []
    for path in sorted(paths):
        parts += [path.relative_to(base).as_posix(), path.read_bytes()]
    return digest_of(*parts)


def step(name: str, key: str, work: Callable[[Path], None]) -> Path:
    """Do a step unless its folder says it is done. Returns the folder.

    A step that fails leaves its folder, log included, and is begun again in place next time.
    """
    folder = cache_root() / f"{name}-{key}"
    if not (folder / ".done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        work(folder)
        (folder / ".done").touch()
    return folder


def fresh(folder: Path) -> Path:
    """Empty a folder, making it if needed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
