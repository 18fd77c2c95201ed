"""The lines typed at the REPL, kept from one session to the next."""

import contextlib
from collections.abc import Generator
from pathlib import Path

from cloche.runtime.wasm.folder import cache_home

__all__ = ["history_file", "kept_history"]

_MOST_LINES = 2_000


def history_file() -> Path:
    """Return where the lines are kept: a file in Cloche's cache folder."""
    return cache_home() / "repl_history"


@contextlib.contextmanager
def kept_history() -> Generator[None]:
    """Edit lines with the history of earlier sessions, and keep it for the next one at the end.

    Without the readline module, or where the file cannot be read or written, there is only no history.
    """
    try:
        import readline  # importing it is also what makes input() edit lines
    except ImportError:
        yield
        return
    with contextlib.suppress(OSError):
        readline.read_history_file(history_file())
    try:
        yield
    finally:
        readline.set_history_length(_MOST_LINES)
        with contextlib.suppress(OSError):
            _make_private(history_file())
            readline.write_history_file(history_file())


def _make_private(path: Path) -> None:
    # Lines may hold secrets, so the file is nobody else's from its first byte on.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
