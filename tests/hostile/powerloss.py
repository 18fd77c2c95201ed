"""What is left of a folder after a loss of power: what was synced, and of the rest whatever happened to be written.

A process writes down what it does to the folder's files (powerloss.c, preloaded). From any beginning of that, folders
are made as a loss of power could leave them: data that was not synced is dropped, kept, or torn; so are new names,
renamings and removals, in their order, unless the folder was synced.
"""

import os
import random
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

__all__ = ["Operation", "acknowledged", "build", "leave", "operations", "preloaded"]

ACKNOWLEDGED = ".acknowledged"
"""A file to which the process writes what it was told is kept; it is not part of what is lost."""
_HEAD, _REST = struct.Struct("<cH"), struct.Struct("<qI")


class Operation(NamedTuple):
    """One thing that was done to a file: ``kind`` is the letter of powerloss.c."""

    kind: str
    path: str
    number: int
    data: bytes


def build(folder: Path) -> Path:
    """Compile the library to preload. Raises CalledProcessError, or ModuleNotFoundError without ziglang."""
    library = folder / "powerloss.so"
    source = Path(__file__).with_suffix(".c")
    command = [sys.executable, "-m", "ziglang", "cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return library


def preloaded(library: Path, root: Path, log: Path) -> dict[str, str]:
    """Return the environment of a process that writes down what it does below ``root``."""
    return os.environ | {"LD_PRELOAD": str(library), "POWERLOSS_ROOT": str(root), "POWERLOSS_LOG": str(log)}


def operations(log: Path) -> list[Operation]:
    """Return what was written down."""
    return list(_parsed(log.read_bytes()))


def _parsed(data: bytes) -> Iterator[Operation]:
    at = 0
    while at + _HEAD.size <= len(data):
        kind, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        path = data[at : at + size].decode()
        number, length = _REST.unpack_from(data, at + size)
        at += size + _REST.size
        yield Operation(kind.decode(), path, number, data[at : at + length])
        at += length


def acknowledged(done: list[Operation]) -> int:
    """Return the last number that was acknowledged, 0 for none."""
    return max((int(each.data) for each in done if each.path == ACKNOWLEDGED and each.kind == "W"), default=0)


@dataclass
class _File:
    """A file's content that is on the disk, and the changes that may be: writes at a place, and sizes."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list[tuple[int, bytes | None]])

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.durable, *change)
        self.pending.clear()

    def after_loss(self, noise: random.Random) -> bytes:
        """Return the content with some of the changes: none, all, any of them, or the last one torn."""
        content, way = bytearray(self.durable), noise.random()
        for number, (at, data) in enumerate(self.pending):
            if way < 0.35 or (way > 0.7 and noise.random() < 0.5):
                continue
            torn = data is not None and number == len(self.pending) - 1 and noise.random() < 0.5
            _apply(content, at, data[: noise.randrange(len(data) + 1)] if torn and data is not None else data)
        return bytes(content)


def _apply(content: bytearray, at: int, data: bytes | None) -> None:
    """Write data at a place, or with None make that the size."""
    if data is None:
        del content[at:]
    content.extend(bytes(max(0, at - len(content))))
    if data is not None:
        content[at : at + len(data)] = data


def leave(done: list[Operation], place: Path, noise: random.Random) -> None:
    """Make the folder as a loss of power could leave it after these operations."""
    # Names are looked up as they are now; on the disk are those of ``durable``, and some of the changes since.
    now: dict[str, _File] = {}
    durable: dict[str, _File] = {}
    changes: list[tuple[str, str | None, _File | None]] = []
    folders = {"."}
    for kind, path, number, data in done:
        if path == ACKNOWLEDGED:
            continue
        if kind == "D":
            folders.add(path)
        elif kind == "C":
            now[path] = _File()
            changes.append((path, None, now[path]))
        elif kind == "W":
            now[path].pending.append((number, data))
        elif kind == "T":
            now[path].pending.append((number, None))
        elif kind == "R":
            to = data.decode()
            now[to] = now.pop(path)
            changes.append((to, path, now[to]))
        elif kind == "U":
            del now[path]
            changes.append((path, None, None))
        elif path in folders:
            kept = [change for change in changes if _folder_of(change[0]) != path]
            for change in changes:
                if _folder_of(change[0]) == path:
                    _rename(durable, *change)
            changes = kept
        elif path in now:
            now[path].sync()
    for change in changes[: noise.randrange(len(changes) + 1)]:
        _rename(durable, *change)
    for name, file in durable.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(file.after_loss(noise))


def _rename(names: dict[str, _File], path: str, before: str | None, file: _File | None) -> None:
    if before is not None:
        names.pop(before, None)
    if file is None:
        names.pop(path, None)
    else:
        names[path] = file


def _folder_of(path: str) -> str:
    return str(Path(path).parent)
