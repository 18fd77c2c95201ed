"""The REPL's conversation: read a piece, run it, show what became of it."""

from typing import Any

from rich.console import Console
from rich.text import Text

from cloche.cli.complaint import Complaint
from cloche.cli.harmless import harmless
from cloche.cli.repl_commands import Quit, run_command
from cloche.cli.repl_input import LineReader, read_piece
from cloche.cli.repl_session import ReplSession
from cloche.cli.terminal import error_text
from cloche.runtime.errors import CallerError, GuestError, GuestException
from cloche.runtime.result import Result

__all__ = ["ReplLoop"]

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
        except (Complaint, CallerError, GuestError) as problem:
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
