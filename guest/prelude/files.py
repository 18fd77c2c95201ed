"""The host's view of the files in the guest's memory."""

import importlib
import os

__all__ = ["list_files", "read", "write"]

_HOME = "/work"


def write(path: str, data: bytes) -> None:
    """Write a file, replacing it, and create the folders above it; a relative path lies in /work.

    Raises OSError as usual: no space left, a folder of that name, a read-only place.
    """
    target = _absolute(path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(data)
    importlib.invalidate_caches()  # the file may be a module


def read(path: str) -> bytes:
    """Return a file's bytes; raises FileNotFoundError, IsADirectoryError."""
    with open(_absolute(path), "rb") as file:
        data: bytes = file.read()
    return data


def list_files(path: str) -> list[str]:
    """Return the absolute paths of all files below a folder, sorted; raises FileNotFoundError, NotADirectoryError."""
    top = _absolute(path)
    os.listdir(top)  # walk() would pass over what is missing in silence
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names)


def _absolute(path: str) -> str:
    if not path:
        raise ValueError("the path is empty")
    return os.path.normpath(os.path.join(_HOME, path))
