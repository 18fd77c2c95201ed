"""Files that the command line names: programs, files for the sandbox, and what is written."""

import sys
from pathlib import Path

from cloche.cli.exit_codes import CommandError

__all__ = ["file_to_put", "read_source"]


_STDIN = "-"


def read_source(place: str) -> str:
    """Return a program's text; ``-`` reads standard input. Raises Complaint if it cannot be read or is not UTF-8."""
    data = sys.stdin.buffer.read() if place == _STDIN else _read_bytes(place)
    try:
        # utf-8-sig: editors on Windows put a byte order mark first, which is no part of the program.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        name = "standard input" if place == _STDIN else place
        raise CommandError(f"{name} is not UTF-8 text: {error.reason} at byte {error.start}") from None


def file_to_put(text: str) -> tuple[str, bytes]:
    """Return the path inside the sandbox and the bytes for ``FILE`` or ``FILE=PATH``. Raises Complaint.

    Without a path it is the file's own name, in the program's working folder.
    """
    place, _, path = text.partition("=")
    return path or Path(place).name, _read_bytes(place)


def _read_bytes(place: str) -> bytes:
    try:
        return Path(place).read_bytes()
    except OSError as error:
        raise CommandError(f"cannot read {place}: {(error.strerror or str(error)).lower()}") from None
    except ValueError as error:
        raise CommandError(f"cannot read {place!r}: {error}") from None
