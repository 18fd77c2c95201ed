"""Reading Python from the keyboard or a pipe, one complete piece at a time."""

import ast
import codeop
import sys
import warnings
from collections.abc import Callable

__all__ = ["LineReader", "is_complete", "line_reader", "read_piece"]

LineReader = Callable[[str], str]
"""Shows a prompt and returns a line without its newline; raises EOFError at the end and KeyboardInterrupt."""

_FIRST, _MORE = ">>> ", "... "
_COMMAND = ":"


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

    Nothing is run. What this Python's grammar refuses is left to the guest's newer one to judge.
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
