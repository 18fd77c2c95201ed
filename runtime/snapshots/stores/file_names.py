"""From the names of snapshots to names of files, and back."""

from urllib.parse import quote, unquote

from cloche.runtime.errors import ConfigurationError
from cloche.runtime.snapshots.stores.base import checked_name

__all__ = ["LOCK", "SUFFIX", "file_name", "name_of"]

SUFFIX = ".cloche"
LOCK = ".lock"
"""The suffix of the file that is a snapshot's lock, after that of the snapshot's own file."""
# File systems take 255 bytes; the rest is for the name while it is being written.
_LONGEST = 220


def file_name(name: str) -> str:
    """Return the file's name: no separator, no dot in front, the same on every system. Raises ConfigurationError."""
    quoted = quote(checked_name(name), safe=" ").replace(".", "%2E")
    # Upper case is marked too: some file systems do not tell it from lower case.
    file = "".join(f"^{letter.lower()}" if letter.isupper() else letter for letter in quoted) + SUFFIX
    if len(file) > _LONGEST:
        raise ConfigurationError("name", f"written as a file, {name!r:.60} has more than {_LONGEST} characters")
    return file


def name_of(file: str) -> str | None:
    """Return the snapshot's name, or None for a file that is none."""
    if not file.endswith(SUFFIX):
        return None
    parts = file.removesuffix(SUFFIX).split("^")
    name = unquote(parts[0] + "".join(part[:1].upper() + part[1:] for part in parts[1:]))
    return name if name.isprintable() and name and file_name(name) == file else None
