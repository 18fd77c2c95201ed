"""Files that the command line names: programs, data for the sandbox, and what a command writes."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cloche.cli.exit_codes import CommandError
from cloche.runtime.errors import CallerError

__all__ = ["file_to_put", "problems_with", "read_bytes", "read_source"]

_STDIN = "-"


def read_source(place: str) -> str:
    """Return a program's text; ``-`` reads standard input. Raises CommandError if it cannot be read or is not UTF-8."""
    data = sys.stdin.buffer.read() if place == _STDIN else read_bytes(place)
    try:
        # utf-8-sig: editors on Windows put a byte order mark first, which is no part of the program.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        name = "standard input" if place == _STDIN else place
        raise CommandError(f"{name} is not UTF-8 text: {error.reason} at byte {error.start}") from None


def file_to_put(text: str) -> tuple[str, bytes]:
    """Return the path inside the sandbox and the bytes for ``FILE`` or ``FILE=PATH``. Raises CommandError.

    Without a path it is the file's own name, in the program's working folder.
    """
    place, _, path = text.partition("=")
    return path or Path(place).name, read_bytes(place)


def read_bytes(place: str, what: str = "") -> bytes:
    """Return a file's bytes. Raises CommandError; ``what`` stands before the file's name in its message."""
    with problems_with(place, f"read {what}".rstrip()):
        return Path(place).read_bytes()


@contextmanager
def problems_with(place: str, doing: str = "read") -> Generator[None, None, None]:
    """Turn an error of the system about a file into a CommandError that names the file."""
    try:
        yield
    except CallerError:
        raise  # it names the file itself, or what is wrong in it
    except OSError as error:
        raise CommandError(f"cannot {doing} {place}: {(error.strerror or str(error)).lower()}") from None
    except ValueError as error:
        # A path with a null byte in it, which no system takes.
        raise CommandError(f"cannot {doing} {place!r}: {error}") from None
