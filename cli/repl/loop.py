"""The REPL's conversation: read a piece, run it, show its outcome; and its own commands, which begin with a colon."""

import ast
import codeop
import contextlib
import sys
import warnings
from collections.abc import Callable, Generator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from cloche.cli.exit_codes import CommandError
from cloche.cli.files import file_to_put
from cloche.cli.flags import limit_text, limit_value
from cloche.cli.output import error_text
from cloche.cli.repl.session import ReplSession
from cloche.runtime._terminal import harmless
from cloche.runtime.errors import CallerError, GuestError, bytes_text
from cloche.runtime.limits import LimitChanges
from cloche.runtime.result import Result
from cloche.runtime.wasm.cache import cache_home

__all__ = ["LineReader", "ReplLoop", "history_file", "is_complete", "kept_history", "line_reader", "read_piece"]

# What is typed: Python from the keyboard or a pipe, one complete piece at a time, and the history of lines.

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


# What is done with it.


_WELCOME = "Python in a sandbox. :help lists the commands, Ctrl-D leaves."


class ReplLoop:
    """Writes to two consoles: ``console`` for answers, ``errors`` for errors. Pieces come from ``read_line``."""

    def __init__(self, session: ReplSession, read_line: LineReader, console: Console, errors: Console) -> None:
        self._session = session
        self._read_line = read_line
        self._console = console
        self._errors = errors

    def run(self) -> None:
        """Run pieces until the input ends or the user quits, also by ``exit()``. Ctrl-C drops the piece being typed."""
        if self._console.is_terminal:
            self._console.print(Text(_WELCOME, "dim"))
        while True:
            try:
                self._handle(read_piece(self._read_line))
            except KeyboardInterrupt:
                self._console.print()
            except (EOFError, _Quit):
                break

    def _handle(self, piece: str) -> None:
        if not piece.strip():
            return
        try:
            if piece.startswith(":"):
                self._print(_run_command(piece, self._session))
            else:
                self._show(self._session.run(piece))
        except (CommandError, CallerError, GuestError) as problem:
            # A GuestError comes from file commands: the guest refused the path.
            self._show_error(str(problem))

    def _show(self, result: Result[Any]) -> None:
        if result.exit_code is not None:
            raise _Quit
        if result.error is not None:
            back = "\nthe session is as it was before this piece" if result.rolled_back else ""
            self._show_error(error_text(result.error) + back)

    def _print(self, text: str) -> None:
        # soft_wrap: paths and numbers stay in one piece, to be copied.
        self._console.print(Text(text), soft_wrap=True)

    def _show_error(self, text: str) -> None:
        self._errors.print(Text(harmless(text), "red"), soft_wrap=True)


class _Quit(Exception):
    """The user wants to leave."""


def _run_command(line: str, session: ReplSession) -> str:
    """Run one of the REPL's commands and return the text to show. Raises _Quit, CommandError or CallerError."""
    name, *words = line[1:].split() or ["help"]
    matches = [known for known in _COMMANDS if known.startswith(name)]
    if len(matches) != 1:
        raise CommandError(f"there is no command :{name}; :help lists them")
    return _COMMANDS[matches[0]][0](session, words)


def _help(session: ReplSession, words: Sequence[str]) -> str:
    lines = [f"  :{name:8} {text}" for name, (_, text) in _COMMANDS.items()]
    return "\n".join([*lines, "  Ctrl-C ends the running piece and keeps the session, Ctrl-D leaves"])


def _reset(session: ReplSession, words: Sequence[str]) -> str:
    session.reset()
    return "a fresh session"


def _undo(session: ReplSession, words: Sequence[str]) -> str:
    return "as before the last piece" if session.undo() else "there is nothing to undo"


def _limits(session: ReplSession, words: Sequence[str]) -> str:
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise CommandError(f"write :limits NAME=VALUE, as in :limits time=2 memory=64MiB, not {word!r}")
        session.change(**_change(name, text))
    names = [field.name for field in fields(session.limits)]
    return "\n".join(f"  {name:10} {limit_text(name, getattr(session.limits, name))}" for name in names)


def _usage(session: ReplSession, words: Sequence[str]) -> str:
    return f"  {session.last.usage}" if session.last else "nothing was run yet"


def _tools(session: ReplSession, words: Sequence[str]) -> str:
    specs = session.tools.specs()
    lines = [f"  {spec['name']}  {spec['doc'].partition(chr(10))[0]}".rstrip() for spec in specs]
    return harmless("\n".join(lines)) or "no tools; start with: cloche repl --tool module:function"


def _files(session: ReplSession, words: Sequence[str]) -> str:
    found = session.session.list_files(words[0] if words else "/work")
    return harmless("\n".join(f"  {path}" for path in found)) or "no files"


def _put(session: ReplSession, words: Sequence[str]) -> str:
    if len(words) not in (1, 2):
        raise CommandError("write :put FILE, or :put FILE PATH for another place in the sandbox")
    path, data = file_to_put("=".join(words))
    session.session.put_file(path, data)
    return f"{bytes_text(len(data))} are now in {path}"


def _quit(session: ReplSession, words: Sequence[str]) -> str:
    raise _Quit


_Command = Callable[[ReplSession, Sequence[str]], str]
_COMMANDS: dict[str, tuple[_Command, str]] = {
    "help": (_help, "this list"),
    "limits": (_limits, "show the limits of each piece; :limits time=2 fuel=1e9 memory=64MiB changes them"),
    "usage": (_usage, "what the last piece used"),
    "tools": (_tools, "the host tools that the session can call"),
    "files": (_files, "the session's files below /work, or below a folder: :files /tmp"),
    "put": (_put, "copy a file into the sandbox: :put data.csv, or :put data.csv PATH"),
    "undo": (_undo, "go back to before the last piece, files included; again for the one before it"),
    "reset": (_reset, "forget everything and begin a fresh session"),
    "quit": (_quit, "leave"),
}


def _change(name: str, text: str) -> LimitChanges:
    try:
        return limit_value(name, text)
    except ValueError as error:
        raise CommandError(str(error)) from None
