"""Files of which there is always the old content or the new, whatever ends the process or the power."""

import contextlib
import os

__all__ = ["PART", "sync_folder", "write_atomically"]


PART = ".part"
"""The suffix of a file that is being written."""


def write_atomically(path: str | os.PathLike[str], content: bytes | bytearray) -> None:
    """Replace a file's content, durably once this returns. Raises OSError, and the old content is there still.

    Only the file's owner may read it.
    """
    import tempfile

    folder = os.path.dirname(path) or os.curdir
    descriptor, part = tempfile.mkstemp(suffix=PART, dir=folder)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
    sync_folder(folder)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Make names in a folder durable, where the system knows how."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
