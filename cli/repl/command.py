"""``cloche repl``: a session at the keyboard."""

import argparse
import sys
from contextlib import closing, nullcontext

from cloche.cli.exit_codes import ExitCode
from cloche.cli.flags import Commands, add_sandbox_flags, load_tools, sandbox_from
from cloche.cli.output import make_console
from cloche.cli.repl.session import ReplSession

__all__ = ["add_parser", "command"]


def add_parser(commands: Commands, name: str, help: str) -> None:
    """Add the command's grammar."""
    description = "Type Python into one session of a sandbox. :help lists the commands."
    add_sandbox_flags(commands.add_parser(name, help=help, description=description))


def command(arguments: argparse.Namespace) -> int:
    """Run pieces until the input ends. Raises CommandError or CallerError if no session can be made."""
    console, errors = make_console(), make_console(stderr=True)
    # It needs rich, which make_console has found.
    from cloche.cli.repl.loop import ReplLoop, kept_history, line_reader

    tools = load_tools(arguments.tool)
    session = ReplSession(sandbox_from(arguments, tools), tools)
    with closing(session), kept_history() if sys.stdin.isatty() else nullcontext():
        ReplLoop(session, line_reader(), console, errors).run()
    return ExitCode.OK
