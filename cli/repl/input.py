"""What is typed: Python from the keyboard or a pipe, one complete piece at a time, and the history of lines."""

import ast
import codeop
import contextlib
import sys
import warnings
from collections.abc import Callable, Generator
from pathlib import Path

from cloche.runtime.wasm.cache import cache_home

__all__ = ["LineReader", "history_file", "is_complete", "kept_history", "line_reader", "read_piece"]

LineReader = Callable[[str], str]
"""Shows a prompt and returns a line without its newline; raises EOFError at the end and KeyboardInterrupt."""

_FIRST, _MORE = ">>> ", "... "
_COMMAND = ":"

_MAX_LINES = 2_000


def line_reader() -> LineReader:
    """Return a reader of standard input: with prompts at a terminal, and without from a pipe."""
    return input if sys.stdin.isatty() else _from_pipe


def read_piece(read_line: LineReader) -> str:
    """Return a command, or a piece of Python with all its lines; an end of input inside a piece completes it.

    Raises EOFError at the end of the input, and KeyboardInterrupt.
    """
    piece = read_line(_FIRST)
    while not (piece.startswith(_COMMAND) or is_complete(piece)):
        try:
            piece += "\n" + read_line(_MORE)
        except EOFError:
            break
    return piece


def is_complete(source: str) -> bool:
    """Return whether the guest should have this now: complete or wrong; a compound statement ends with a blank line.

    Nothing is run. What this Python's grammar refuses may be right in the guest's newer one.
    """
    compiler = codeop.CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return compiler(source, "<input>", "single") is not None
        except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
            return True


def _from_pipe(_: str) -> str:
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\r\n")


def history_file() -> Path:
    """Return where the lines are kept: a file in Cloche's cache folder."""
    return Path(cache_home(), "repl_history")


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
        readline.set_history_length(_MAX_LINES)
        with contextlib.suppress(OSError):
            _make_private(history_file())
            readline.write_history_file(history_file())


def _make_private(path: Path) -> None:
    # Lines may hold secrets, so only its owner can read the file from its first byte on.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
