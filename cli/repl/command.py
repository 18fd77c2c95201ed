"""``cloche repl``: reads a piece, runs it, shows its outcome."""

import argparse
import sys
from contextlib import closing, nullcontext
from typing import Any

from rich.console import Console
from rich.text import Text

from cloche.cli.exit_codes import CommandError, ExitCode
from cloche.cli.harmless import harmless
from cloche.cli.output import error_text, make_console
from cloche.cli.repl.colon_commands import Quit, run_command
from cloche.cli.repl.input import LineReader, kept_history, line_reader, read_piece
from cloche.cli.repl.session import ReplSession
from cloche.runtime.errors import CallerError, GuestError, GuestException
from cloche.runtime.result import Result

__all__ = ["ReplLoop", "command"]


_WELCOME = "Python in a sandbox. :help lists the commands, Ctrl-D leaves."


class ReplLoop:
    """Talks on two consoles: ``console`` for answers, ``errors`` for errors. Pieces come from ``read_line``."""

    def __init__(self, session: ReplSession, read_line: LineReader, console: Console, errors: Console) -> None:
        self._session = session
        self._read_line = read_line
        self._console = console
        self._errors = errors

    def talk(self) -> None:
        """Obey until the input ends or the person quits, also by ``exit()``. Ctrl-C drops the piece being typed."""
        if self._console.is_terminal:
            self._console.print(Text(_WELCOME, "dim"))
        while True:
            try:
                self._obey(read_piece(self._read_line))
            except KeyboardInterrupt:
                self._console.print()
            except (EOFError, Quit):
                break

    def _obey(self, piece: str) -> None:
        if not piece.strip():
            return
        try:
            if piece.startswith(":"):
                self._say(run_command(piece, self._session))
            else:
                self._tell(self._session.run(piece))
        except (CommandError, CallerError, GuestError) as problem:
            # A GuestError comes from file commands: the guest refused the path.
            self._complain(str(problem))

    def _tell(self, result: Result[Any]) -> None:
        if isinstance(result.error, GuestException) and result.error.type_name == "SystemExit":
            raise Quit
        if result.error is not None:
            back = "\nthe session is as it was before this piece" if result.rolled_back else ""
            self._complain(error_text(result.error) + back)

    def _say(self, text: str) -> None:
        # soft_wrap: paths and numbers stay in one piece, to be copied.
        self._console.print(Text(text), soft_wrap=True)

    def _complain(self, text: str) -> None:
        self._errors.print(Text(harmless(text), "red"), soft_wrap=True)


def command(arguments: argparse.Namespace) -> int:
    """Talk until the input ends. Raises Complaint or CallerError if no session can be made."""
    console, errors = make_console(), make_console(stderr=True)
    from cloche.cli.flags import load_tools, sandbox_from
    from cloche.cli.repl.session import ReplSession

    tools = load_tools(arguments.tool)
    session = ReplSession(sandbox_from(arguments, tools), tools)
    with closing(session), kept_history() if sys.stdin.isatty() else nullcontext():
        ReplLoop(session, line_reader(), console, errors).talk()
    return ExitCode.OK
