"""Where the ``cloche`` command begins and ends."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import TextIO

from cloche.cli.complaint import Complaint
from cloche.cli.exit_codes import ExitCode
from cloche.cli.parser import build_parser
from cloche.runtime.errors import CallerError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; problems of the caller are told without a traceback.

    ``argv`` are the arguments without the program's name, by default those of this process.
    """
    _write_anything(sys.stdout, sys.stderr)
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.version:
        return _print_version()
    if arguments.command is None:
        parser.print_help()
        return ExitCode.USAGE
    return _guarded(_command(arguments.command), arguments)


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    """Return the command's function. Imported only now: each command needs other modules, and rich is an extra."""
    command: Callable[[argparse.Namespace], int] = importlib.import_module(f"cloche.cli.{name}").command
    return command


def _guarded(command: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    try:
        code = command(arguments)
        sys.stdout.flush()
        return code
    except (Complaint, CallerError) as problem:
        print(f"cloche {arguments.command}: {problem}", file=sys.stderr)
        return ExitCode.USAGE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout at exit and would complain about the closed pipe once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.CLOSED_PIPE


def _print_version() -> int:
    from cloche.cli.versions import cloche_version

    print(f"cloche {cloche_version()}")
    return ExitCode.OK


def _write_anything(*streams: TextIO) -> None:
    """Make every text printable, whatever the terminal's encoding is."""
    for stream in streams:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
