"""``cloche repl``: a session at the keyboard."""

import argparse
import sys
from contextlib import closing, nullcontext

from cloche.cli.exit_codes import ExitCode
from cloche.cli.repl_history import kept_history
from cloche.cli.repl_input import line_reader
from cloche.cli.rich_extra import make_console

__all__ = ["command"]


def command(arguments: argparse.Namespace) -> int:
    """Talk until the input ends. Raises Complaint or CallerError if no session can be made."""
    console, errors = make_console(), make_console(stderr=True)
    from cloche.cli.repl_loop import ReplLoop
    from cloche.cli.repl_session import ReplSession
    from cloche.cli.sandboxes import sandbox_from
    from cloche.cli.tool_flags import load_tools

    tools = load_tools(arguments.tool)
    session = ReplSession(sandbox_from(arguments, tools), tools)
    with closing(session), kept_history() if sys.stdin.isatty() else nullcontext():
        ReplLoop(session, line_reader(), console, errors).talk()
    return ExitCode.OK
